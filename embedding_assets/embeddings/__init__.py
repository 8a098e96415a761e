"""The embedding products, one file each; a file with a `SPEC` is found by itself."""

from pathlib import Path

from embedding_assets.discovery import declared_in, load_declared
from embedding_assets.spec import EmbeddingSpec, SpecError


def all_specs() -> list[EmbeddingSpec]:
    """Every `SPEC` in this folder, in the order of the files' names.

    Raises:
        SpecError: a spec has a wrong value, or two have one name; the message names the file and the field.
    """
    specs: dict[str, EmbeddingSpec] = {}
    for module, spec in declared_in(Path(__path__[0]), __name__, "SPEC", EmbeddingSpec):
        if spec.name in specs:
            raise SpecError(f"{module}.py: SPEC.name {spec.name!r} is taken by another file")
        specs[spec.name] = spec
    return list(specs.values())


def load_spec(file: Path, module: str) -> EmbeddingSpec:
    """The `SPEC` of one file, imported as `module`.

    Raises:
        SpecError: as for `all_specs`.
    """
    return load_declared(file, module, "SPEC", EmbeddingSpec)
