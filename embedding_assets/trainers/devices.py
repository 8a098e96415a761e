"""Where training runs, in what precision, and what compiling for it costs."""

import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np

from embedding_assets.trainers.checks import Place, Precision, PrecisionChoice, ShardsChoice
from embedding_assets.trainers.errors import CannotShard, DeviceNotFound

#: A `jax.Device`, which is a variable to a type checker and may not stand in an annotation.
Device = Any

#: bfloat16 keeps 8 bits: its products of this many terms are off by some 0.3%. More means that sums are rounded too.
BFLOAT16_ERROR = 0.01
_PROBE = 256


def pick_device(place: Place) -> Device:
    """This process's first device of `place`; `auto` takes an accelerator where jax has one.

    Raises:
        DeviceNotFound: jax sees no device of that kind.
    """
    every_device(place)
    return jax.local_devices(backend=None if place == "auto" else place)[0]


def every_device(place: Place) -> list[Device]:
    """All devices of `place`, those of other processes of a `jax.distributed` run too.

    Raises:
        DeviceNotFound: jax sees no device of that kind.
    """
    try:
        return jax.devices(None if place == "auto" else place)
    except RuntimeError as error:
        known = ", ".join(sorted({device.platform for device in jax.devices()}))
        raise DeviceNotFound(f"no {place!r} device; jax sees: {known}") from error


def device_name(device: Device, number: int = 1) -> str:
    """Such as `cpu:0`, `gpu:0 NVIDIA H200`, or for a ring `gpu:0 NVIDIA H200 and 3 more`."""
    name = f"{device.platform}:{device.id}"
    name = name if device.device_kind == device.platform else f"{name} {device.device_kind}"
    return name if number == 1 else f"{name} and {number - 1} more"


def choose_shards(place: Place, shards: ShardsChoice) -> int:
    """How many devices of `place` hold the table; `auto` takes all of them.

    Raises:
        DeviceNotFound: there are fewer.
        CannotShard: a ring that leaves out devices of a run of several processes.
    """
    there = len(every_device(place))
    if shards == "auto":
        return there
    if shards > there:
        raise DeviceNotFound(
            f"shards is {shards}, but jax sees {there} {place!r} devices; ask for fewer, or, on a CPU, "
            f"set JAX_NUM_CPU_DEVICES={shards} before jax is first used"
        )
    if shards > 1 and jax.process_count() > 1 and shards < there:
        raise CannotShard(
            f"shards is {shards}, but the {jax.process_count()} processes have {there} devices; "
            "every process must take part: set shards to 'auto'"
        )
    return shards


def choose_precision(choice: PrecisionChoice, device: Device) -> Precision:
    """What `auto` stands for: bfloat16 on an accelerator that multiplies it well, see `bfloat16_error`."""
    if choice != "auto":
        return choice
    worth = device.platform != "cpu" and bfloat16_error(device) < BFLOAT16_ERROR
    return "bfloat16" if worth else "float32"


@functools.lru_cache
def bfloat16_error(device: Device) -> float:
    """How far a product in bfloat16 is from the exact one on `device`, as a share of its length.

    Some 0.003 where sums are kept in float32, as the trainers ask for.
    """
    from embedding_assets.trainers.tile_epoch import product  # a trainer's own product, and it imports this module

    left, right = np.random.default_rng(0).standard_normal((2, _PROBE, _PROBE), dtype=np.float32)
    rounded = jax.jit(functools.partial(product, precision="bfloat16"))(*jax.device_put((left, right), device))
    exact = left.astype(np.float64) @ right
    return float(np.linalg.norm(np.asarray(rounded) - exact) / np.linalg.norm(exact))


def enable_compilation_cache(path: Path) -> None:
    """Keep compiled programs under `path`, for later processes to load instead of compiling.

    Call it before the first `fit` of the process. The folder may be deleted at any time. Where
    `JAX_COMPILATION_CACHE_DIR` names another folder, that one is used.
    """
    if not jax.config.values["jax_compilation_cache_dir"]:
        path.mkdir(parents=True, exist_ok=True)
        jax.config.update("jax_compilation_cache_dir", str(path))
    # jax keeps only what took a second to compile unless told otherwise; ours take less
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
