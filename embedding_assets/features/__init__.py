"""Feature sets that belong to no embedding, one file each: its `STAGE` becomes the asset `features/<name>`."""

from pathlib import Path

from embedding_assets.discovery import declared_in
from embedding_assets.spec import SpecError, Stage


def feature_stages() -> dict[str, Stage]:
    """Asset key -> stage, for every file in this folder.

    Raises:
        SpecError: a stage has a wrong value, declares no features, or two have one name.
    """
    stages: dict[str, Stage] = {}
    for module, stage in declared_in(Path(__path__[0]), __name__, "STAGE", Stage):
        key = f"features/{stage.name}"
        if stage.features is None:
            raise SpecError(f"{module}.py: STAGE.features is None; say which entity the features belong to")
        if key in stages:
            raise SpecError(f"{module}.py: STAGE.name {stage.name!r} is taken by another file")
        stages[key] = stage
    return stages
