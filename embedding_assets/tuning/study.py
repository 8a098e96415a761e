"""An Optuna study on disk: settings are proposed, judged and kept, and a killed study goes on where it was.

Flow: a space and an objective in, trials out. A trial is proposed from the trials that have ended and from the seed
alone, so a study that was killed and resumed has the same trials as one that was not.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embedding_assets.records import Progress, ReportProgress
from embedding_assets.search_space import Choice, Dimension, Space, Value
from embedding_assets.tuning.errors import MissingOptuna, StudyBusy, StudyDamaged

if TYPE_CHECKING:
    import optuna

#: Settings are rounded to so many digits: a reviewer reads them, and a fifth digit decides nothing.
DIGITS = 3
#: A point of a loss curve is kept under the share of the fit that has passed, in thousandths.
WHOLE = 1000
OWN, WHY, SECONDS, FACTS = "own", "why", "seconds", "facts"


class Hopeless(Exception):  # noqa: N818 - a signal, not a failure
    """These settings have no score, and the message says why; the study goes on."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an objective found: `value`, larger is better, and facts worth keeping (JSON-able)."""

    value: float
    facts: Mapping[str, Any] = field(default_factory=dict)


#: Settings and a reporter of progress in, an outcome out; raises `Hopeless`.
Objective = Callable[[Mapping[str, Value], ReportProgress], Outcome]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One that has ended.

    Attributes:
        number: 0 is the embedding's own settings, where the study began with them.
        settings: what was tried; empty for number 0.
        value: larger is better; None where there is no score.
        why: why there is no score; None where there is one.
        seconds: that it took.
        facts: of the outcome.
    """

    number: int
    settings: Mapping[str, Value]
    value: float | None
    why: str | None
    seconds: float
    facts: Mapping[str, Any]


class Study:
    """The trials of one question; get one from `open_study`."""

    def __init__(self, study: "optuna.Study", space: Space, unit: tuple[str, ...], seed: int) -> None:
        self._study, self.space, self._unit, self._seed = study, space, unit, seed

    @property
    def trials(self) -> list[Trial]:
        """Those that have ended, in the order of their ends; one that was killed is not among them."""
        return [_trial_of(number, found) for number, found in enumerate(self._ended())]

    @property
    def best(self) -> Trial | None:
        """The highest value; of equal ones the earliest."""
        scored = [trial for trial in self.trials if trial.value is not None]
        return max(scored, key=lambda trial: trial.value or 0.0, default=None)

    def begin(self, objective: Objective, own: Mapping[str, Value]) -> Trial:
        """Judge the embedding's own settings, once in a study: trial 0, which all others are compared with.

        Args:
            objective: is given no settings.
            own: what the embedding has for each setting; those inside the space tell the sampler where it stands.
        """
        from optuna.trial import create_trial

        if not self._ended():
            began = time.monotonic()
            outcome = objective({}, lambda _progress: None)
            inside = [name for name, dimension in self.space.items() if name in own and own[name] in dimension]
            trial = create_trial(
                value=outcome.value,
                params={name: own[name] for name in inside},
                distributions={name: _distribution(self.space[name]) for name in inside},
                user_attrs={OWN: True, SECONDS: round(time.monotonic() - began, 3), FACTS: dict(outcome.facts)},
            )
            self._study.add_trial(trial)
        return self.trials[0]

    def next(self, objective: Objective) -> Trial:
        """Propose settings, judge them, and keep what came out, durably."""
        from optuna.trial import TrialState

        done = len(self._ended())
        self._study.sampler = _sampler(self._seed, done)
        trial = self._study.ask({name: _distribution(dimension) for name, dimension in self.space.items()})
        began = time.monotonic()
        try:
            outcome = objective(_rounded(trial.params), self._reporter(trial))
        except Hopeless as hopeless:
            trial.set_user_attr(WHY, str(hopeless))
            trial.set_user_attr(SECONDS, round(time.monotonic() - began, 3))
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            trial.set_user_attr(FACTS, dict(outcome.facts))
            trial.set_user_attr(SECONDS, round(time.monotonic() - began, 3))
            self._study.tell(trial, outcome.value)
        return self.trials[-1]

    def _reporter(self, trial: "optuna.Trial") -> ReportProgress:
        """Keeps the loss curve, and stops the trial where it is hopeless."""
        from embedding_assets.tuning.pruner import LossPruner

        pruner = LossPruner(self._unit)

        def report(progress: Progress) -> None:
            # Larger is better in this study, of whatever is reported.
            trial.report(-progress.loss, round(WHOLE * progress.epoch / progress.epochs))
            kept = self._study.get_trials(deepcopy=False)
            why = pruner.why_hopeless(kept[trial.number], self._ended())
            if why and progress.epoch < progress.epochs:
                raise Hopeless(f"{why} after epoch {progress.epoch} of {progress.epochs}")

        return report

    def _ended(self) -> "list[optuna.trial.FrozenTrial]":
        from optuna.trial import TrialState

        return self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


@contextmanager
def open_study(file: Path, name: str, space: Space, *, unit: tuple[str, ...] = (), seed: int = 0) -> Iterator[Study]:
    """The study `name` of a journal, made where there is none; no other process may open the journal meanwhile.

    Trials that a killed process left under way are told to have failed: their settings are proposed again.

    Args:
        file: Optuna's journal, one JSON object a line; it may hold several studies.
        name: of the study; it must say all that makes scores comparable.
        space: what is tried.
        unit: settings that two trials must share for their losses to be compared.
        seed: the same seed, space and scores give the same trials.

    Raises:
        MissingOptuna: the extra `tune` is not installed.
        StudyBusy: another process has it open.
        StudyDamaged: the file is not a whole journal; it has been moved aside.
    """
    optuna = load_optuna()
    file.parent.mkdir(parents=True, exist_ok=True)
    with _alone(file):
        mend(file)
        try:
            storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(file)))
            study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
            orphans = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
        except Exception as error:  # whatever Optuna makes of lines that are not its own
            raise _moved_aside(file, f"{type(error).__name__}: {error}") from error
        for orphan in orphans:
            study.tell(orphan.number, state=optuna.trial.TrialState.FAIL)
        yield Study(study, space, unit, seed)


def load_optuna() -> Any:
    """Optuna, silent below warnings.

    Raises:
        MissingOptuna: it does not import.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingOptuna(
            f"optuna is needed for tuning and does not import: {error}; run pip install 'embedding-assets[tune]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def mend(file: Path) -> None:
    """Make a journal ready to be gone on with, after whatever way its last process ended.

    A last line without its end was being written when the process was killed: it says nothing yet, and is cut off,
    or the next line would be glued to it. The caller alone has the journal, so a lock that is left over is nobody's.

    Raises:
        StudyDamaged: another line is not JSON; the file has been moved aside.
    """
    file.with_name(f"{file.name}.lock").unlink(missing_ok=True)
    content = file.read_bytes() if file.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    try:
        lines = [json.loads(line) for line in whole.splitlines()]
    except ValueError as error:
        raise _moved_aside(file, str(error)) from error
    # Optuna passes over what is said of a study that no line has made.
    if content and not (lines and isinstance(lines[0], dict) and lines[0].get("op_code") == 0):
        raise _moved_aside(file, "it does not begin with the making of a study")
    if len(whole) < len(content):
        with file.open("r+b") as journal:
            journal.truncate(len(whole))
            os.fsync(journal.fileno())


def _moved_aside(file: Path, damage: str) -> StudyDamaged:
    """Move the journal away, and say so."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    aside = file.with_name(f"{file.name}.damaged-{stamp}")
    file.rename(aside)
    return StudyDamaged(
        f"{file} is not a whole journal of studies ({damage}); it now lies at {aside}. Run the same again to begin "
        "anew, or put a backup in its place first; proposals that were written are not touched"
    )


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Hold the journal, by a lock which the kernel gives back however the process ends."""
    lock = os.open(file.with_name(f"{file.name}.owner"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        yield
    except BlockingIOError as error:
        owner = os.pread(lock, 20, 0).decode() or "unknown"
        raise StudyBusy(f"{file} is being worked on by process {owner}; wait for it, or stop it") from error
    finally:
        os.close(lock)


def _sampler(seed: int, done: int) -> Any:
    """TPE, seeded by how many trials have ended: what it draws does not depend on when the process began.

    Source: Bergstra, Bardenet, Bengio and Kégl, Algorithms for Hyper-Parameter Optimization, 2011.
    """
    from optuna.samplers import TPESampler

    return TPESampler(seed=int(np.random.SeedSequence([seed, done]).generate_state(1)[0]))


def _distribution(dimension: Dimension) -> "optuna.distributions.BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.values)
    if dimension.is_whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _rounded(settings: Mapping[str, Any]) -> dict[str, Value]:
    """Settings with few digits; the sampler keeps the exact ones."""
    return {
        name: float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value for name, value in settings.items()
    }


def _trial_of(number: int, found: "optuna.trial.FrozenTrial") -> Trial:
    attributes = found.user_attrs
    return Trial(
        number=number,
        settings={} if OWN in attributes else _rounded(found.params),
        value=None if WHY in attributes else found.value,
        why=attributes.get(WHY),
        seconds=attributes.get(SECONDS, 0.0),
        facts=attributes.get(FACTS, {}),
    )
