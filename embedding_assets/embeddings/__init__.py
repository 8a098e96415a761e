"""The embedding products, one file each; a file with a `SPEC` is found by itself."""

import importlib
import importlib.util
import pkgutil
from pathlib import Path

from embedding_assets.spec import EmbeddingSpec, SpecError


def all_specs() -> list[EmbeddingSpec]:
    """Every `SPEC` in this folder, in the order of the files' names.

    Raises:
        SpecError: a spec has a wrong value, or two have one name; the message names the file and the field.
    """
    specs: dict[str, EmbeddingSpec] = {}
    for module in pkgutil.iter_modules(__path__):
        spec = load_spec(Path(__path__[0]) / f"{module.name}.py", f"{__name__}.{module.name}")
        if spec.name in specs:
            raise SpecError(f"{module.name}.py: SPEC.name {spec.name!r} is taken by another file")
        specs[spec.name] = spec
    return list(specs.values())


def load_spec(file: Path, module: str) -> EmbeddingSpec:
    """The `SPEC` of one file, imported as `module`.

    Raises:
        SpecError: as for `all_specs`.
    """
    definition = importlib.util.spec_from_file_location(module, file)
    if definition is None or definition.loader is None:
        raise SpecError(f"{file} is not a Python file")
    loaded = importlib.util.module_from_spec(definition)
    try:
        definition.loader.exec_module(loaded)
    except (ValueError, TypeError) as error:
        raise SpecError(f"{file}: {error}") from error
    spec = getattr(loaded, "SPEC", None)
    if not isinstance(spec, EmbeddingSpec):
        raise SpecError(f"{file}: SPEC must be an EmbeddingSpec, got {spec!r}")
    return spec
