"""Optional libraries, loaded by the first call that needs one."""

import importlib
from typing import Any

from registry.errors import MissingExtra


def load_extra(module: str, extra: str, otherwise: str = "") -> Any:
    """Import `module`, which the extra `extra` of this distribution installs.

    Raises:
        MissingExtra: it does not import; the message says what Python said, what to install, and `otherwise`.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        hint = f"run pip install 'embedding-assets[{extra}]'{otherwise}"
        raise MissingExtra(f"{module} is needed here and does not import: {error}; {hint}") from error
