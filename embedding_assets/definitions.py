"""The Dagster code location: `dagster dev -w workspace.yaml`, or `dg.Definitions` for tests."""

import os
from collections.abc import Mapping, Sequence

import dagster as dg

from embedding_assets.automation import automation
from embedding_assets.component import every_spec
from embedding_assets.factory import build
from embedding_assets.settings import Settings, claim_home
from embedding_assets.sources.schema import Source
from embedding_assets.sources.select import open_source
from embedding_assets.spec import EmbeddingSpec
from resources.accelerator import Accelerator
from resources.benchmark_files import BenchmarkFiles
from resources.engine import Engine
from resources.lake import Lake
from resources.lake_io import LakeIOManager
from resources.notifier import Notifier
from resources.studies import Studies


def build_definitions(
    environ: Mapping[str, str],
    *,
    specs: Sequence[EmbeddingSpec] | None = None,
    source: Source | None = None,
) -> dg.Definitions:
    """Everything that Dagster serves, from the settings in `environ`.

    Args:
        environ: environment variables; the README's configuration table lists them.
        specs: instead of those in `embedding_assets/embeddings/` and `embedding_assets/defs/`.
        source: instead of the one that `EMBEDDINGS_SOURCE` names.

    Raises:
        SettingError, SourceError, SpecError: a setting, the source or a spec is wrong; the message says where.
    """
    settings = Settings.read(environ)
    source = source or open_source(environ, settings.home)
    claim_home(settings.home, source.fingerprint)
    built = build(source, every_spec() if specs is None else specs)
    assets = dg.Definitions(
        assets=built.assets,
        asset_checks=built.checks,
        resources=resources(settings),
        executor=dg.in_process_executor,
    )
    return dg.Definitions.merge(assets, automation(built.specs, source, settings.home))


def resources(settings: Settings) -> dict[str, object]:
    """The handles on the outside world, all below the project's home."""
    home = settings.home
    lake, registry = str(home / "lake"), str(home / "registry")
    return {
        "io_manager": LakeIOManager(root=lake, registry_root=registry),
        "lake": Lake(root=lake, registry_root=registry),
        "engine": Engine(spill=str(home / "spill"), memory_limit=settings.memory_limit),
        "accelerator": Accelerator(device=settings.device, cache=str(home / "cache" / "trainers")),
        "studies": Studies(folder=str(home / "tuning")),
        "benchmark_files": BenchmarkFiles(
            word_similarity=[str(path) for path in settings.word_similarity],
            analogy=[str(path) for path in settings.analogy],
        ),
        "notifier": Notifier(webhook=settings.webhook),
    }


@dg.definitions
def defs() -> dg.Definitions:
    """What `workspace.yaml` loads."""
    return build_definitions(os.environ)
