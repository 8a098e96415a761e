"""Checks that refuse a wrong setting when it is made, and the settings that trainers share. No JAX here."""

from typing import Literal, get_args

Place = Literal["auto", "cpu", "gpu"]
PLACES: tuple[str, ...] = get_args(Place)
Precision = Literal["float32", "bfloat16"]
PrecisionChoice = Literal["auto", "float32", "bfloat16"]
PRECISIONS: tuple[str, ...] = get_args(PrecisionChoice)
ShardsChoice = int | Literal["auto"]


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
