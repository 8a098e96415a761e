"""A ring of devices that share one table: who has which part, and what goes between them.

Sums over devices are added up in one fixed order, whatever the timing, and however processes share the devices.
Several processes take part where `jax.distributed.initialize` was called.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.experimental.multihost_utils import broadcast_one_to_all
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from embedding_assets.trainers.checks import Place
from embedding_assets.trainers.devices import Device, every_device
from embedding_assets.trainers.errors import CannotShard

RING = "ring"
#: Each device holds a part of the rows; all hold the same.
EACH, WHOLE = PartitionSpec(RING), PartitionSpec()


def ring_of(devices: Sequence[Device]) -> Mesh:
    """The devices in a ring, in this order."""
    return Mesh(np.array(devices), (RING,))


def make_ring(place: Place, shards: int) -> Mesh:
    """The first `shards` devices of `place`, those of other processes too.

    Raises:
        DeviceNotFound: jax sees no device of that kind.
    """
    return ring_of(every_device(place)[:shards])


def check_checkpoint(shards: int, checkpoint: Path | None) -> None:
    """Refuse a checkpoint of what several processes train together.

    Raises:
        CannotShard: there is one.
    """
    if checkpoint is not None and shards > 1 and jax.process_count() > 1:
        raise CannotShard(
            f"checkpoint is {checkpoint}, but {jax.process_count()} processes train this table, and one of them may "
            "be an epoch ahead; leave it out, or train in one process"
        )


def spread(tree: Any, specs: Any, ring: Mesh) -> Any:
    """Host arrays as arrays on the ring; each process gives its own devices their parts."""

    def put(values: np.ndarray, spec: PartitionSpec) -> jax.Array:
        host = np.asarray(values)
        return jax.make_array_from_callback(host.shape, NamedSharding(ring, spec), host.__getitem__)

    return jax.tree.map(put, tree, specs)


def spread_parts(part_of: Callable[[int], Any], ring: Mesh) -> Any:
    """Arrays whose rows are made part by part, for the devices of this process alone: the host never has them all.

    Args:
        part_of: makes the arrays of the device at that place of the ring; of the same shapes for each.
        ring: whose devices have one part each, so that shapes are `ring.size` times as long.
    """
    here = [place for place, device in enumerate(ring.devices) if device.process_index == jax.process_index()]
    parts = [jax.device_put(part_of(place), ring.devices[place]) for place in here]

    def whole(*leaves: jax.Array) -> jax.Array:
        shape = (ring.size * len(leaves[0]), *leaves[0].shape[1:])
        return jax.make_array_from_single_device_arrays(shape, NamedSharding(ring, EACH), list(leaves))

    return jax.tree.map(whole, *parts)


def compile_on(
    ring: Mesh, step: Callable[..., Any], arguments: Sequence[Any], specs: Sequence[Any], out: Any, **how: Any
) -> Any:
    """`step`, compiled to run on every device with its own part of the arguments.

    Args:
        ring: the devices.
        step: what one device does; may use `lax` collectives over `RING`.
        arguments: shapes and dtypes, the sizes of all devices together.
        specs: `EACH` or `WHOLE` for every argument.
        out: the same for what it returns.
        how: further arguments of `jax.jit`.
    """
    if ring.size == 1:
        there = SingleDeviceSharding(ring.devices[0])
        return jax.jit(step, in_shardings=there, out_shardings=there, **how).lower(*arguments).compile()
    # what a device computes is its own until it is gathered, which the check cannot see through a loop
    mapped = jax.shard_map(step, mesh=ring, in_specs=tuple(specs), out_specs=out, check_vma=False)
    there = jax.tree.map(lambda spec: NamedSharding(ring, spec), tuple(specs))
    return jax.jit(mapped, in_shardings=there, **how).lower(*arguments).compile()


def compile_turn(ring: Mesh, arguments: Any, specs: Any) -> Any:
    """A program that moves every part of `arguments`, a tree, to the device before; see `gathered`."""

    def turn(parts: Any) -> Any:
        return lax.ppermute(parts, RING, backwards(ring.size))

    return compile_on(ring, turn, [arguments], [specs], specs)


def backwards(shards: int) -> list[tuple[int, int]]:
    """Each device to the one before it, the first to the last."""
    return [(device, (device - 1) % shards) for device in range(shards)]


def on_host(values: jax.Array, ring: Mesh) -> np.ndarray:
    """`values`, of which each device has a part of the rows, in every process."""
    if values.is_fully_addressable:
        return np.asarray(values)
    return gathered([values], [0], compile_turn(ring, [values], [EACH]))[0]


def gathered(leaves: Sequence[jax.Array], axes: Sequence[int], turn: Callable[[Any], Any]) -> list[np.ndarray]:
    """All parts on the host, in every process: they go round the ring, and each process copies what comes by.

    A device holds no more than its own part, one that goes on and one that comes.

    Args:
        leaves: arrays in parts; in whatever tuple `turn` takes and returns.
        axes: along which each is parted.
        turn: from `compile_turn`.
    """
    ring = leaves[0].sharding.mesh  # pyright: ignore[reportAttributeAccessIssue] - a NamedSharding, of a ring
    parts: dict[int, list[np.ndarray]] = {}
    for step in range(ring.size):
        first = [leaf.addressable_shards[0] for leaf in leaves]
        place = list(ring.devices).index(first[0].device)
        parts[(place + step) % ring.size] = [np.asarray(shard.data) for shard in first]
        if step + 1 < ring.size:
            leaves = turn(leaves)
    columns = zip(*(parts[at] for at in range(ring.size)), strict=True)
    return [np.concatenate(column, axis) for column, axis in zip(columns, axes, strict=True)]


def agreed(tree: Any, *, several: bool) -> Any:
    """Host arrays of 32 or 64 bits a number as process 0 has them, in every process that trains the same table.

    Hosts of different make round differently, and an eigenvector's sign is free: each with its own, the parts would
    not fit together.

    Args:
        tree: of arrays of the same shapes in every process.
        several: whether processes train it together; each of them calls this, or none.
    """
    if not several:
        return tree
    # as bits: jax would narrow 64-bit numbers
    bits = jax.tree.map(lambda values: np.ascontiguousarray(values).view(np.uint32), tree)
    return jax.tree.map(lambda got, own: np.asarray(got).view(own.dtype), broadcast_one_to_all(bits), tree)


def small_sum(values: jax.Array, shards: int) -> jax.Array:
    """Inside a step: `values` summed over all devices; each holds them S times for that, so they should be small."""
    return values if shards == 1 else lax.all_gather(values, RING).sum(axis=0)


def large_sum(values: jax.Array, shards: int) -> jax.Array:
    """Inside a step: (n, ...) `values` summed over all devices, n a multiple of S, held about twice meanwhile.

    Part after part goes round the ring, and every device adds its own to what comes.
    """
    if shards == 1:
        return values
    here = lax.axis_index(RING)
    parts = values.reshape(shards, -1, *values.shape[1:])

    def add(step: jax.Array, sums: jax.Array) -> jax.Array:
        return lax.ppermute(sums, RING, backwards(shards)) + parts[(here + 1 + step) % shards]

    return all_rows(lax.fori_loop(1, shards, add, parts[(here + 1) % shards]), shards)


def all_rows(values: jax.Array, shards: int) -> jax.Array:
    """Inside a step: the (n, ...) `values` of all devices, (S n, ...)."""
    return values if shards == 1 else lax.all_gather(values, RING, tiled=True)
