"""What an embedding rests on: from the assets that it reads, through the stages that make them, to raw tables."""

import difflib
from collections.abc import Iterable, Mapping

from embedding_assets.spec import EmbeddingSpec, Input, SpecError, Stage


def required_tables(spec: EmbeddingSpec, known: Mapping[str, Stage]) -> frozenset[str]:
    """Raw event tables that `spec` rests on, through all stages that it reads.

    Args:
        spec: the embedding.
        known: asset key -> stage, for stages besides its own: the shared ones and those of other embeddings.

    Raises:
        SpecError: an input names an asset that nobody makes.
    """
    inputs = spec.reads.values()
    return raw_tables(reach(f"SPEC {spec.name!r}", inputs, {**known, **spec.assets}, optional=False))


def raw_tables(assets: Iterable[str]) -> frozenset[str]:
    """The raw event tables among asset keys."""
    return frozenset(asset.removeprefix("raw/") for asset in assets if asset.startswith("raw/"))


def read_by(spec: EmbeddingSpec, stages: Mapping[str, Stage]) -> frozenset[str]:
    """Keys of all assets that `spec` reads, directly or through the stages that make them.

    Raises:
        SpecError: one of them is neither raw nor in `stages`; the message has close matches.
    """
    return reach(f"SPEC {spec.name!r}", spec.reads.values(), stages)


def reach(
    reader: str, inputs: Iterable[Input], stages: Mapping[str, Stage], *, optional: bool = True
) -> frozenset[str]:
    """Keys of the assets of `inputs` and of everything that they are made from.

    Args:
        reader: named in the error.
        inputs: where to begin.
        stages: asset key -> stage.
        optional: whether optional inputs are among them.

    Raises:
        SpecError: one of them is neither raw nor in `stages`; the message has close matches.
    """
    found: set[str] = set()
    wanted = [*inputs]
    while wanted:
        read = wanted.pop()
        asset = read.asset
        if asset in found or (read.optional and not optional):
            continue
        found.add(asset)
        if asset.startswith("raw/"):
            continue
        if asset not in stages:
            raise SpecError(f"{reader} reads {asset!r}, which no stage makes{suggest(asset, stages)}")
        wanted += stages[asset].inputs.values()
    return frozenset(found)


def suggest(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` with the closest of `known`, or what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3)
    return f"; did you mean {', '.join(close)}?" if close else f"; known: {', '.join(names)}"
