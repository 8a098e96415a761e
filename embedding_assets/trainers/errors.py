"""What a trainer raises, and the checks that refuse a wrong setting with a plain `ValueError`.

TrainerError
├── InvalidPairTable    a table that cannot be trained on; the message names field and value
└── TrainingDiverged    the loss or a vector stopped being finite
"""


class TrainerError(Exception):
    """Base of all errors of the trainers."""


class InvalidPairTable(TrainerError, ValueError):  # noqa: N818 - reads as what it is
    """A pair table that no trainer accepts: empty, too small, or with impossible ids or counts."""


class TrainingDiverged(TrainerError, ArithmeticError):  # noqa: N818
    """Training left the finite numbers; a smaller learning rate is the usual cure."""


def check_setting(settings: object, name: str, holds: bool, rule: str) -> None:  # noqa: FBT001 - the claim that is checked
    """Refuse a setting that breaks its rule.

    Raises:
        ValueError: such as `Sgns.dim must be at least 1, got 0`.
    """
    if not holds:
        owner, value = type(settings).__name__, getattr(settings, name)
        raise ValueError(f"{owner}.{name} must be {rule}, got {value!r}")


def check_integer(settings: object, name: str, least: int) -> None:
    """Refuse a setting that is not an integer of at least `least`; True and 2.0 are not integers here.

    Raises:
        ValueError: names the setting and its value.
    """
    value = getattr(settings, name)
    check_setting(settings, name, type(value) is int, "an integer")
    check_setting(settings, name, value >= least, f"at least {least}")
