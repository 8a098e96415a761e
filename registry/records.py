"""The records that the registry stores and returns. Plain data; no file is touched here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa

from registry.errors import InvalidQuery

Metric = Literal["cosine", "dot", "euclidean"]
MissingFeature = Literal["skip", "zero", "mean", "raise"]
ExportFormat = Literal["safetensors", "word2vec", "parquet", "jaxexp"]


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """One asset partition that something was made from.

    Attributes:
        asset: the asset's key, such as `word/pairs`.
        partition: its partition, such as `2026-01-05`; None where it has none.
        data_version: content hash of what was loaded.
        run_id: the orchestrator's run that made it.
        code_version: version of the code that made it.
        upstream: what it was made from in turn, down to raw partitions.
    """

    asset: str
    partition: str | None
    data_version: str | None
    run_id: str | None = None
    code_version: str | None = None
    upstream: tuple["Upstream", ...] = ()


@dataclass(frozen=True, kw_only=True)
class ComposerSpec:
    """How a weighted bag of keys becomes one vector; a version carries it as `composer.json`.

    Attributes:
        combine: `mean` divides the weighted sum by the sum of weights; `sum` does not.
        weighting: a further factor per key: `none`, the attribute `column`, or `idf`, which is
            log(sum of `column` / `column`) and makes frequent keys count less.
        column: name of the attribute column that `weighting` reads.
        missing: what a key without a vector does: `skip` leaves it out, `zero` counts it as a zero
            vector (the mean shrinks), `mean` as the mean of all vectors, `raise` is an error.
        normalize: `l2` scales the result to length 1; a zero vector stays zero.

    Raises:
        InvalidQuery: a field is none of its choices.
    """

    combine: Literal["mean", "sum"] = "mean"
    weighting: Literal["none", "column", "idf"] = "none"
    column: str = "count"
    missing: MissingFeature = "skip"
    normalize: Literal["none", "l2"] = "none"

    def __post_init__(self) -> None:
        for name in ("combine", "weighting", "missing", "normalize"):
            choices = get_args(self.__annotations__[name])
            if getattr(self, name) not in choices:
                raise InvalidQuery(
                    f"ComposerSpec.{name} is {getattr(self, name)!r:.80}; use one of {', '.join(choices)}"
                )


@dataclass(frozen=True, kw_only=True, eq=False)
class Draft:
    """What a publisher hands over; it becomes one immutable version.

    Attributes:
        entity: entity type, such as `word`.
        name: the embedding's name, such as `word` or `consumer_producer`.
        keys: (N,) string; unique, not empty, at most 256 bytes each.
        vectors: (N, D) float32, finite.
        metric: how two vectors are meant to be compared.
        week: the Monday that names the newest data week inside.
        window_weeks: how many weeks of data it was trained on, `week` the last.
        space: id of the coordinate system: tables of one training run share it, a retrain has a new
            one.
        trainer: the trainer's name and every setting, JSON-able.
        training: loss curve, seconds, device and other measurements, JSON-able.
        attributes: (N rows) one row per key, in key order, such as `count`; may be None.
        extra: further arrays of one training run worth keeping, such as `context` (N, D); one whose
            first axis is N long has a row per key, and goes where its key goes.
        min_count: keys whose attribute `count` is smaller are not published; None publishes all.
        graph: also build a graph for `neighbors(plan="hnsw")`, many times faster than Annoy at high
            recall; takes minutes per million vectors and the extra `hnsw`.
        composer: how `compose` makes vectors of bags of these keys; by default their weighted mean.
        lineage: what the version was made from.
        created_by: the run that publishes, so that a retry can be told from a new version.
    """

    entity: str
    name: str
    keys: pa.StringArray
    vectors: np.ndarray
    metric: Metric = "cosine"
    week: str | None = None
    window_weeks: int | None = None
    space: str
    trainer: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    attributes: pa.Table | None = None
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    min_count: int | None = None
    graph: bool = False
    composer: ComposerSpec = field(default_factory=ComposerSpec)
    lineage: Upstream | None = None
    created_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class Score:
    """One number that a benchmark task gave a version.

    Attributes:
        task: the task's id; a changed protocol is a new id.
        metric: such as `spearman` or `roc_auc`.
        value: None where the task is undefined on this version; then `undefined` says why.
        low: lower end of the 95% interval; None where there is none.
        high: upper end of the 95% interval.
        floor: the most that what knows nothing reaches, such as shuffled vectors or log counts; None where there is
            none.
        rows_used: how many examples the value rests on.
        rows_left_out: how many examples could not be used (key without a vector, say).
        seed: of every random draw in the task.
        undefined: the reason why there is no value.
        details: further JSON-able facts, such as the version compared with or the label lineage.
    """

    task: str
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    floor: float | None = None
    rows_used: int
    rows_left_out: int = 0
    seed: int = 0
    undefined: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbors:
    """Answer of a neighbour search for Q queries.

    Attributes:
        keys: Q lists of k keys, best first.
        scores: (Q, k) float32; larger is closer for every metric (euclidean is negated).
        plan: how it was found, such as `exact` or `annoy(search_k=4000)`.
    """

    keys: list[list[str]]
    scores: np.ndarray
    plan: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Composed:
    """Vectors of Q bags of keys.

    Attributes:
        vectors: (Q, D) float32; zero for a bag without any known key (but see `missing`).
        coverage: (Q,) float32, share of the bag's weight whose keys have a vector; 0 for an empty bag.
        unknown: the keys without a vector, each once, in the order of the bags.
        space: coordinate system of the vectors; `neighbors` of another space refuses them.
        reference: the version that composed them.
    """

    vectors: np.ndarray
    coverage: np.ndarray
    unknown: tuple[str, ...]
    space: str
    reference: str


@dataclass(frozen=True, kw_only=True)
class FileDigest:
    """What a file must be, byte for byte, before anything opens it."""

    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class IndexInfo:
    """How `index.ann` was built and how well it answers.

    Attributes:
        space: Annoy's own metric, `angular` or `euclidean`; never its `dot`.
        width: floats per indexed vector; D, or D + 1 for metric `dot`.
        trees: number of trees.
        seed: of Annoy's random splits.
        radius: M of the dot-to-angular reduction, the largest norm; 0 for the other metrics.
        calibration: (search_k, recall@10 against an exact scan), rising, measured at publish.
    """

    space: Literal["angular", "euclidean"]
    width: int
    trees: int
    seed: int
    radius: float
    calibration: tuple[tuple[int, float], ...]


@dataclass(frozen=True, kw_only=True)
class GraphInfo:
    """How `index.hnsw` was built and how well it answers; it holds the vectors as `index.ann` does.

    Attributes:
        connectivity: links of a vector.
        expansion: candidates that were kept while building.
        calibration: (expansion, recall@10 against an exact scan), rising, measured at publish.
    """

    connectivity: int
    expansion: int
    calibration: tuple[tuple[int, float], ...]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything that a version says about itself; `MANIFEST.json`, written last.

    Attributes:
        schema: version of the layout.
        count: number of keys, N.
        left_out: how many keys of the draft were under its `min_count`, and were not published.
        dim: width of a vector, D.
        attributes: names of the attribute columns.
        files: file name -> size and checksum.
        created_at: UTC, ISO 8601, when the files were complete.

    The other fields are those of `Draft`.
    """

    schema: int
    entity: str
    name: str
    week: str | None
    window_weeks: int | None
    count: int
    dim: int
    metric: Metric
    space: str
    trainer: Mapping[str, Any]
    training: Mapping[str, Any]
    attributes: tuple[str, ...]
    index: IndexInfo
    files: Mapping[str, FileDigest]
    created_by: str | None
    created_at: str
    graph: GraphInfo | None = None
    min_count: int | None = None
    left_out: int = 0


@dataclass(frozen=True, kw_only=True)
class VersionInfo:
    """One line of an embedding's log: a version exists if and only if it has one.

    Attributes:
        number: 1, 2, 3, ... in the order of publishing.
        attempt: name of the folder that holds the files.
        published_at: UTC, ISO 8601; never earlier than that of a lower number.
        manifest: size and checksum of the version's `MANIFEST.json`.
        replaces: number of the version whose rows these are, after keys were erased from it, however often;
            it is as new as that one.

    The other fields are those of `Manifest`.
    """

    entity: str
    name: str
    number: int
    attempt: str
    week: str | None
    count: int
    dim: int
    metric: Metric
    space: str
    created_by: str | None
    published_at: str
    manifest: FileDigest
    replaces: int | None = None

    @property
    def reference(self) -> str:
        """The exact reference, such as `word/word@v12`."""
        return f"{self.entity}/{self.name}@v{self.number}"


@dataclass(frozen=True, kw_only=True)
class Tombstone:
    """Why a version can no longer be read; its log entry stays, its files are gone or going.

    Attributes:
        version: its number.
        kind: `retired` by a policy, or `erased` because it held keys that had to go.
        reason: in words; never a key.
        at: UTC, ISO 8601.
        replaced_by: number of the version that took its place; None where there is none.
    """

    version: int
    kind: Literal["retired", "erased"]
    reason: str
    at: str
    replaced_by: int | None = None


HoldKind = Literal["pin", "lease"]


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A promise that a version's files stay, whatever a policy says; only an erasure ends it early.

    Attributes:
        id: what renews and releases it; its newest entry counts.
        kind: a `pin` for a while or for good, or the `lease` of somebody who works with it now.
        version: its number; None for all of the embedding, what is being published included.
        until: UTC, ISO 8601; None for good.
        reason: in words.
        by: `user@host`.
        at: UTC, ISO 8601, when this entry was made.
    """

    id: str
    kind: HoldKind
    entity: str
    name: str
    version: int | None
    until: str | None
    reason: str
    by: str
    at: str


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What a walk over the registry found.

    Attributes:
        versions: how many versions were read whole.
        scores: how many recorded scores were read.
        files: how many files were hashed.
        bytes: their total size.
        problems: one line per damaged file; empty when all is well.
    """

    versions: int
    scores: int
    files: int
    bytes: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """True when nothing is damaged."""
        return not self.problems
