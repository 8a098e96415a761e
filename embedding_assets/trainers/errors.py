"""What a trainer raises. A wrong setting is a plain `ValueError`, see `checks`.

TrainerError
├── DeviceNotFound      no such device here
├── InvalidPairTable    a table that cannot be trained on; the message names field and value
└── TrainingDiverged    the loss or a vector stopped being finite
"""


class TrainerError(Exception):
    """Base of all errors of the trainers."""


class InvalidPairTable(TrainerError, ValueError):  # noqa: N818 - reads as what it is
    """A pair table that no trainer accepts: empty, too small, or with impossible ids or counts."""


class DeviceNotFound(TrainerError, ValueError):  # noqa: N818
    """The settings ask for a device that jax does not see."""


class TrainingDiverged(TrainerError, ArithmeticError):  # noqa: N818
    """Training left the finite numbers; a smaller learning rate is the usual cure."""
