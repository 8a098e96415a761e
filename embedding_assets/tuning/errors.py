"""What a study raises.

TuningError
├── MissingOptuna    the extra `tune` is not installed
├── MissingWeeks     weeks that the lake lacks; the message names them all
├── NothingToTune    an embedding without a space or a metric to search by
├── NoScore          not one trial could be scored
├── StudyBusy        another process works on the embedding's studies
└── StudyDamaged     the journal is not whole; it has been moved aside
"""


class TuningError(Exception):
    """Base of all errors of tuning."""


class MissingOptuna(TuningError, ImportError):  # noqa: N818 - reads as what it is
    """Optuna does not import; the message says what to install."""


class MissingWeeks(TuningError, LookupError):  # noqa: N818
    """Weeks that must be materialised before a study can begin."""


class NothingToTune(TuningError, ValueError):  # noqa: N818
    """The embedding has nothing that could be tried, or nothing that a trial could be judged by."""


class NoScore(TuningError, ValueError):  # noqa: N818
    """The embedding's own settings, or all trials, end without a score."""


class StudyBusy(TuningError, RuntimeError):  # noqa: N818
    """Two processes at one study would each take the other's trial for one that was killed."""


class StudyDamaged(TuningError, RuntimeError):  # noqa: N818
    """A journal that was cut short or overwritten; it lies aside, whole as it was found."""
