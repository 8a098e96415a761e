"""What a trainer raises. A wrong setting is a plain `ValueError`, see `checks`.

TrainerError
├── CannotShard         settings that do not go with several devices or processes
├── DeviceNotFound      no such device here
├── InvalidInit         earlier vectors that this fit cannot begin from
├── InvalidPairTable    a table that cannot be trained on; the message names field and value
└── TrainingDiverged    the loss or a vector stopped being finite
"""


class TrainerError(Exception):
    """Base of all errors of the trainers."""


class InvalidPairTable(TrainerError, ValueError):  # noqa: N818 - reads as what it is
    """A pair table that no trainer accepts: empty, too small, or with impossible ids or counts."""


class InvalidInit(TrainerError, ValueError):  # noqa: N818
    """Vectors of an earlier run that do not suit the table or the settings: other entity, other width."""


class DeviceNotFound(TrainerError, ValueError):  # noqa: N818
    """The settings ask for a device that jax does not see."""


class CannotShard(TrainerError, ValueError):  # noqa: N818
    """The settings ask for something that a fit on several devices, or in several processes, cannot give."""


class TrainingDiverged(TrainerError, ArithmeticError):  # noqa: N818
    """Training left the finite numbers; a smaller learning rate is the usual cure."""
