"""Finds what a folder of one-file products declares: each file's `SPEC`, or each file's `STAGE`."""

import importlib.util
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from embedding_assets.spec import SpecError

Declared = TypeVar("Declared")


def declared_in(folder: Path, package: str, attribute: str, kind: type[Declared]) -> Iterator[tuple[str, Declared]]:
    """(module name, its `attribute`) for every file of `folder`, in the order of the files' names.

    Raises:
        SpecError: a value is wrong; the message names the file and the field.
    """
    for module in pkgutil.iter_modules([str(folder)]):
        yield module.name, load_declared(folder / f"{module.name}.py", f"{package}.{module.name}", attribute, kind)


def load_declared(file: Path, module: str, attribute: str, kind: type[Declared]) -> Declared:
    """The `attribute` of one file, imported as `module`.

    Raises:
        SpecError: the file is not Python, a value in it is wrong, or `attribute` is not a `kind`.
    """
    definition = importlib.util.spec_from_file_location(module, file)
    if definition is None or definition.loader is None:
        raise SpecError(f"{file} is not a Python file")
    loaded = importlib.util.module_from_spec(definition)
    try:
        definition.loader.exec_module(loaded)
    except (ValueError, TypeError) as error:
        raise SpecError(f"{file}: {error}") from error
    found = getattr(loaded, attribute, None)
    if not isinstance(found, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise SpecError(f"{file}: {attribute} must be {article} {kind.__name__}, got {found!r}")
    return found
