"""A whole search: the embedding's own settings first, then trials, then the winner on a week that none has seen."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embedding_assets.search_space import Space
from embedding_assets.tuned import Tuned, settings_now
from embedding_assets.tuning.errors import NoScore
from embedding_assets.tuning.objective import Bench
from embedding_assets.tuning.space import loss_unit
from embedding_assets.tuning.study import Hopeless, Study, Trial, open_study


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When a search ends.

    Attributes:
        trials: of the study in all, those of earlier calls and the embedding's own settings included.
        seconds: no trial is begun after these; None sets no limit.
    """

    trials: int = 20
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ValueError(f"Limits.trials must be at least 1, got {self.trials}")
        if self.seconds is not None and not self.seconds > 0:
            raise ValueError(f"Limits.seconds must be above 0, got {self.seconds}")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found.

    Attributes:
        trials: all of the study that have ended, the embedding's own settings first.
        best: the one with the highest value; trial 0 where nothing is better.
        unseen: `start` and `best` -> value and facts on the week that no trial was judged on.
        tuned: the proposal; None where nothing is better than what the embedding has.
        file: where the proposal was written.
    """

    trials: list[Trial]
    best: Trial
    unseen: Mapping[str, Mapping[str, Any]]
    tuned: Tuned | None
    file: Path | None

    @property
    def start(self) -> Trial:
        """The embedding's own settings."""
        return self.trials[0]


@dataclass(frozen=True, kw_only=True)
class Search:
    """Where a search looks, and how it judges.

    Attributes:
        bench: judges trials.
        unseen: judges the winner, on a later week.
        space: what is tried.
        folder: of the journals and the proposals.
        data: content of everything that is read, such as data versions; another is another study.
        seed: of the proposals.
    """

    bench: Bench
    unseen: Bench
    space: Space
    folder: Path
    data: str = ""
    seed: int = 0

    def run(self, limits: Limits, on_trial: Callable[[Trial, Trial], None]) -> Found:
        """Go on with the study until a limit is met, and propose its winner.

        Args:
            limits: when to stop; the embedding's own settings are always judged.
            on_trial: called with each trial of this call, and with the best so far.

        Raises:
            NoScore: the embedding's own settings have none.
            TuningError: the study cannot be opened; see `open_study`.
        """
        began = time.monotonic()
        file = self.folder / f"{self.bench.spec.name}.journal"
        unit = loss_unit(self.bench.spec, self.space)
        with open_study(file, self.study_name(), self.space, unit=unit, seed=self.seed) as study:
            self._begin(study, on_trial)
            while len(study.trials) < limits.trials:
                if limits.seconds is not None and time.monotonic() - began > limits.seconds:
                    break
                trial = study.next(self.bench)
                on_trial(trial, study.best or trial)
            return self._propose(study.trials, study.best or study.trials[0])

    def study_name(self) -> str:
        """Names all that makes two trials comparable: `word 2026-03-02 6f0c...`."""
        spec, bench = self.bench.spec, self.bench
        question = (
            spec.code_version,
            bench.target.name,
            bench.trained_weeks,
            sorted((name, repr(dimension)) for name, dimension in self.space.items()),
            self.data,
            self.seed,
        )
        return f"{spec.name} {bench.held_out.week} {hashlib.sha256(repr(question).encode()).hexdigest()[:12]}"

    def _begin(self, study: Study, on_trial: Callable[[Trial, Trial], None]) -> None:
        if study.trials:
            return
        try:
            start = study.begin(self.bench, settings_now(self.bench.spec))
        except Hopeless as hopeless:
            raise NoScore(
                f"the settings that {self.bench.spec.name!r} has now come to no score on {self.bench.held_out.week}, "
                f"so nothing can be compared with them: {hopeless}"
            ) from hopeless
        on_trial(start, start)

    def _propose(self, trials: list[Trial], best: Trial) -> Found:
        if best.number == 0:
            return Found(trials=trials, best=best, unseen={}, tuned=None, file=None)
        unseen = {name: _facts_on(self.unseen, trial) for name, trial in (("start", trials[0]), ("best", best))}
        spec = self.bench.spec
        tuned = Tuned(
            embedding=spec.name,
            trainer=type(spec.trainer).__name__,
            settings=best.settings,
            evidence=self._evidence(trials, best, unseen),
        )
        file = self.folder / f"{spec.name}-{self.unseen.held_out.week}.tuned.json"
        _write_whole(file, tuned.text())
        return Found(trials=trials, best=best, unseen=unseen, tuned=tuned, file=file)

    def _evidence(self, trials: list[Trial], best: Trial, unseen: Mapping[str, Any]) -> dict[str, Any]:
        """What a reviewer looks at; no times and no paths, so that the same search writes the same file."""
        return {
            "metric": self.bench.target.name,
            "searched": {name: asdict(dimension) for name, dimension in self.space.items()},
            "study": self.study_name(),
            "trials": len(trials),
            "without_score": sum(trial.value is None for trial in trials),
            "held_out": {
                "trained_on": self.bench.trained_weeks,
                "judged_on": self.bench.held_out.week,
                "start": {"value": trials[0].value, **trials[0].facts},
                "best": {"value": best.value, **best.facts},
            },
            "unseen": {
                "trained_on": self.unseen.trained_weeks,
                "judged_on": self.unseen.held_out.week,
                **unseen,
            },
        }


def _facts_on(bench: Bench, trial: Trial) -> Mapping[str, Any]:
    """What settings come to on another week; why there is no score, where there is none."""
    try:
        outcome = bench(trial.settings, lambda _progress: None)
    except Hopeless as hopeless:
        return {"value": None, "undefined": str(hopeless)}
    return {"value": outcome.value, **outcome.facts}


def _write_whole(file: Path, text: str) -> None:
    """Replace `file`, durably: no reader sees half of it."""
    json.loads(text)  # a proposal that nobody can read must not take the place of one
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    with aside.open("w", encoding="utf-8") as writing:
        writing.write(text)
        writing.flush()
        os.fsync(writing.fileno())
    aside.replace(file)
