"""Where training runs, and what compiling for it costs."""

from pathlib import Path
from typing import Any

import jax

from embedding_assets.trainers.checks import Place
from embedding_assets.trainers.errors import DeviceNotFound

#: A `jax.Device`, which is a variable to a type checker and may not stand in an annotation.
Device = Any


def pick_device(place: Place) -> Device:
    """The first device of `place`; `auto` takes an accelerator where jax has one.

    Raises:
        DeviceNotFound: jax sees no device of that kind.
    """
    if place == "auto":
        return jax.devices()[0]
    try:
        return jax.devices(place)[0]
    except RuntimeError as error:
        known = ", ".join(sorted({device.platform for device in jax.devices()}))
        raise DeviceNotFound(f"no {place!r} device; jax sees: {known}") from error


def device_name(device: Device) -> str:
    """Such as `cpu:0` or `gpu:0 NVIDIA H200`."""
    name = f"{device.platform}:{device.id}"
    return name if device.device_kind == device.platform else f"{name} {device.device_kind}"


def enable_compilation_cache(path: Path) -> None:
    """Keep compiled programs under `path`, for later processes to load instead of compiling.

    Call it before the first `fit` of the process. The folder may be deleted at any time.
    """
    path.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(path))
    # jax keeps only what took a second to compile unless told otherwise; ours take less
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
