"""Which device trains, and how."""

from dataclasses import fields, replace
from typing import Any, Literal, TypeVar

import dagster as dg

Settings = TypeVar("Settings")


class Accelerator(dg.ConfigurableResource):
    """The devices that trainers use.

    Attributes:
        device: `auto` takes a GPU where jax finds one and the CPU otherwise.
        precision: of matrix products where a trainer lets one choose; `auto` is bfloat16 on a GPU that multiplies it
            well, and float32 otherwise.
        shards: over how many devices a trainer that can spreads its tables; 0 takes all there are.
        cache: folder of what later runs and processes reuse: `programs`, which are compiled, and `checkpoints`, one
            file for each fit that was killed. It may be deleted while nothing trains.
    """

    device: Literal["auto", "cpu", "gpu"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    shards: int = 1
    cache: str

    def placed(self, trainer: Settings) -> Settings:
        """`trainer`, a dataclass, with these settings in place of its own, as far as it has such."""
        machine = {"device": self.device, "precision": self.precision, "shards": self.shards or "auto"}
        own: Any = trainer
        known = {field.name for field in fields(own)}
        return replace(own, **{name: value for name, value in machine.items() if name in known})
