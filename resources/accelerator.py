"""Which device trains."""

from typing import Literal

import dagster as dg


class Accelerator(dg.ConfigurableResource):
    """The device that trainers use.

    Attributes:
        device: `auto` takes a GPU where jax finds one and the CPU otherwise.
        cache: folder of compiled programs, reused by later runs and processes.
    """

    device: Literal["auto", "cpu", "gpu"] = "auto"
    cache: str
