"""Which weeks a search reads, and what it makes of them: two held-out weeks, each with the window before it.

For a search at week W, trials are trained on the window that ends at W - 2 and judged on W - 1; the winner is then
trained on the window that ends at W - 1 and judged on W, which no trial has seen.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from benchmarks.task import Task
from embedding_assets.assets.scores import label_tables
from embedding_assets.records import Trainer, Week
from embedding_assets.search_space import Space, Tuning
from embedding_assets.sources.schema import shift_week
from embedding_assets.spec import EmbeddingSpec, Input, last_weeks
from embedding_assets.tuning.errors import MissingWeeks
from embedding_assets.tuning.objective import Bench, Connect, HeldOut, Target, target_of
from embedding_assets.tuning.search import Search
from embedding_assets.tuning.space import space_of
from resources.accelerator import Accelerator
from resources.engine import Engine
from resources.lake_files import LakeFiles

#: Role or label -> week -> what the lake has of it.
Loaded = Mapping[str, Mapping[Week, ds.Dataset]]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a search works with.

    Attributes:
        connect: opens an in-memory DuckDB.
        placed: puts a trainer on the machine's device.
        lake: where the weeks lie.
        files: benchmark files that the user gave.
        studies: folder of journals and proposals.
    """

    connect: Connect
    placed: Callable[[Trainer], Trainer]
    lake: LakeFiles
    files: Mapping[str, Path]
    studies: Path

    @classmethod
    def of(
        cls, engine: Engine, accelerator: Accelerator, lake: LakeFiles, files: Mapping[str, Path], studies: Path
    ) -> "Machine":
        """From the resources; compiled programs are kept as those of versions are."""
        from embedding_assets.trainers.devices import enable_compilation_cache  # loads jax: not in the code server

        enable_compilation_cache(Path(accelerator.cache) / "programs")
        return cls(connect=engine.connect, placed=accelerator.placed, lake=lake, files=files, studies=studies)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A search before its data are there.

    Attributes:
        spec: the embedding.
        target: what trials are judged by.
        labels: label -> what it is read from; those that the target's task needs or can use.
        space: what is tried.
        seed: of the proposals.
    """

    spec: EmbeddingSpec
    target: Target
    labels: Mapping[str, Input]
    space: Space
    seed: int = 0

    def search(self, loaded: Loaded, week: Week, machine: Machine) -> Search:
        """The search at `week`.

        Raises:
            MissingWeeks: nothing lies before one of the held-out weeks.
        """
        judged, unseen = (self._held_out(loaded, held, machine) for held in (shift_week(week, -1), week))
        return Search(
            bench=Bench(self.spec, self.target, judged, machine.connect, machine.placed),
            unseen=Bench(self.spec, self.target, unseen, machine.connect, machine.placed),
            space=self.space,
            folder=machine.studies,
            data=self._digest(judged, machine.lake),
            seed=self.seed,
        )

    def _held_out(self, loaded: Loaded, week: Week, machine: Machine) -> HeldOut:
        spec = self.spec
        weeks = {
            role: _between(loaded[role], shift_week(week, -(read.weeks or 1)), shift_week(week, -1))
            for role, read in spec.reads.items()
        }
        if not all(weeks.values()):
            raise MissingWeeks(
                f"{spec.name}: no week before {week} is there to train on; a search needs two weeks before its own, "
                "so take a later one"
            )
        labels = {name: _label(loaded[name], read, week) for name, read in self.labels.items()}
        with machine.connect() as connection:
            tables = label_tables(connection, labels, hold_out=spec.window.hold_out)
        return HeldOut(week=week, weeks=weeks, labels=tables, files=machine.files)

    def _digest(self, held_out: HeldOut, lake: LakeFiles) -> str:
        """Data versions of all that trials see: a week that was made again is another question."""
        assets = {role: read.asset for role, read in self.spec.reads.items()}
        read = [(assets[role], week) for role, weeks in held_out.weeks.items() for week in weeks]
        read += [(label.asset, held_out.week) for label in self.labels.values()]
        versions = [(asset, week, lake.lineage(asset, week).data_version) for asset, week in sorted(set(read))]
        return hashlib.sha256(repr(versions).encode()).hexdigest()[:16]


def plan_of(
    spec: EmbeddingSpec,
    tasks: Sequence[Task],
    labels: Mapping[str, Input],
    machine: Machine,
    asked: Tuning,
    *,
    seed: int = 0,
) -> Plan:
    """What is tried and what it is judged by: what was asked for, else what the spec says, else the usual.

    Args:
        spec: the embedding.
        tasks: those that judge it.
        labels: label -> what it is read from, for what the source has.
        machine: its benchmark files count.
        asked: what it leaves out is as the spec says.
        seed: of the proposals.

    Raises:
        NothingToTune: there is no such task, metric or setting, or nothing to judge by.
    """
    own = spec.tuning or Tuning()
    target = target_of(spec, tasks, list(labels), machine.files, asked.metric or own.metric)
    used = {name: labels[name] for name in (*target.task.needs_labels, *target.task.uses_labels) if name in labels}
    return Plan(spec=spec, target=target, labels=used, space=space_of(spec, asked.space or own.space), seed=seed)


def reads_of(spec: EmbeddingSpec, labels: Mapping[str, Input]) -> dict[str, Input]:
    """Role or label -> the weeks, up to and including its own, that a search reads."""
    window = {role: last_weeks(read.asset, (read.weeks or 1) + 2) for role, read in spec.reads.items()}
    return window | {name: last_weeks(read.asset, (read.weeks or 1) + 1) for name, read in labels.items()}


def load_weeks(
    lake: LakeFiles, reads: Mapping[str, Input], week: Week, first: Week
) -> dict[str, dict[Week, ds.Dataset]]:
    """What a search at `week` reads from the lake; nothing is materialised.

    Args:
        lake: the lake.
        reads: as `reads_of` makes them.
        week: of the search.
        first: the source's first week; nothing before it is asked for.

    Raises:
        MissingWeeks: the lake lacks some; the message names them all.
    """
    wanted = {
        name: [found for back in range(read.weeks or 1) if (found := shift_week(week, -back)) >= first]
        for name, read in reads.items()
    }
    lacking = {
        read.asset: missing
        for name, read in reads.items()
        if (missing := sorted(found for found in wanted[name] if not lake.exists(read.asset, found)))
    }
    if lacking:
        named = "; ".join(f"{asset}: {', '.join(weeks)}" for asset, weeks in sorted(lacking.items()))
        raise MissingWeeks(f"a search at {week} needs weeks that are not materialised. {named}")
    return {
        name: {found: lake.dataset(read.asset, found) for found in sorted(wanted[name])} for name, read in reads.items()
    }


def newest_week(lake: LakeFiles, reads: Mapping[str, Input]) -> Week:
    """The newest week that all of `reads` have.

    Raises:
        MissingWeeks: there is none.
    """
    common = set.intersection(*(set(lake.partitions(read.asset)) for read in reads.values()))
    if not common:
        have = {read.asset: len(lake.partitions(read.asset)) for read in reads.values()}
        raise MissingWeeks(f"no week is materialised of all that a search reads; weeks of each: {have}")
    return max(common)


def _between(weeks: Mapping[Week, ds.Dataset], first: Week, last: Week) -> dict[Week, ds.Dataset]:
    return {week: dataset for week, dataset in weeks.items() if first <= week <= last}


def _label(weeks: Mapping[Week, ds.Dataset], read: Input, week: Week) -> pa.Table | dict[Week, ds.Dataset]:
    """One week as a table, several as they are, as `label_tables` takes them."""
    if read.weeks is None:
        return weeks[week].to_table()
    return _between(weeks, shift_week(week, 1 - read.weeks), week)
