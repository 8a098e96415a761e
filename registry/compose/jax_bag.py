"""The composer as a function for jax: an artefact with symbolic sizes, and a cache that can be rebuilt.

`model.jaxexp` holds what `jax.export` serialised and, behind it, the sha256 of that and of the spec:
jax itself ignores the tail, and we hand it no byte that was altered (a flipped bit there kills the
process), nor an artefact of another spec. It fits every table, for the sizes in it are symbolic.
Such artefacts expire with jax's versions; `model.safetensors` beside it never does.

Sizes: N keys, D floats per vector, B bags of at most L entries.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from registry.compose.bags import Bags, BagsLike
from registry.compose.composer import Composer, check_finite
from registry.compose.export import load_bag, write_aside, write_bag
from registry.errors import Corrupt, InvalidName, TargetExists
from registry.extras import load_extra
from registry.logs.documents import dump
from registry.records import Composed, ComposerSpec
from registry.storage.local import Disk

_PLATFORMS = ("cpu", "cuda", "tpu")
_DIGEST_BYTES = 32


@dataclass(frozen=True, eq=False)
class JaxBag:
    """A loaded artefact with its composer.

    Attributes:
        composer: keys, table and spec, from the `.safetensors` beside the artefact.
        exported: the `jax.export.Exported`: `call(parameters, rows, weights)`, with `parameters` as
            below, rows (B, L) int32 (any id outside 0 to N - 1 is an unknown key) and weights (B, L)
            float32 (0 for padding), gives vectors (B, D) and coverage (B,). It cannot raise: the
            policy `raise` acts as `skip` there, and coverage tells.
        rebuilt: whether the file was missing, altered, expired or of another spec, and was made again.
    """

    composer: Composer
    exported: Any
    rebuilt: bool

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """`table` (N, D), `factors` (N,), `mean` (D,) and `unknown_factor` (), float32, as jax arrays."""
        jnp = load_extra("jax.numpy", "export")
        composer = self.composer
        factors = np.ones(len(composer.keys)) if composer.factors is None else composer.factors
        values = {
            "table": composer.table,
            "factors": factors,
            "mean": composer.mean,
            "unknown_factor": composer.unknown_factor,
        }
        return {name: jnp.asarray(value, np.float32) for name, value in values.items()}

    def compose(self, bags: BagsLike, weights: object = None) -> Composed:
        """What `Composer.compose` gives, computed by jax; sizes are padded to powers of two.

        Raises:
            InvalidQuery: a bag or a weight has no meaning, or its vector is too long for float32.
            UnknownKey: a key has no vector and the spec's `missing` is `raise`.
        """
        read, spec = Bags.read(bags, weights), self.composer.spec
        rows, unknown = self.composer.locate(read)
        largest = np.zeros(len(read))
        np.maximum.at(largest, read.bag_of, read.weights)
        largest[largest == 0] = 1
        # The function takes float32, in which a weight may be infinite or 0: it sees shares of the largest.
        ids, shares = _padded(read, rows, read.weights / largest[read.bag_of])
        found, coverage = self.exported.call(self.parameters, ids, shares)
        vectors = np.asarray(found)[: len(read)]
        if spec.combine == "sum" and spec.normalize == "none":
            with np.errstate(over="ignore"):  # seen and refused below
                vectors = (vectors * largest[:, None]).astype(np.float32)
        check_finite(vectors)
        return Composed(
            vectors=vectors,
            coverage=np.asarray(coverage)[: len(read)],
            unknown=unknown,
            space=self.composer.space,
            reference=self.composer.reference,
        )


def write_jax_bag(composer: Composer, target: Path, *, overwrite: bool) -> list[Path]:
    """Write the artefact and, beside it, the `.safetensors` that it can be rebuilt from.

    Raises:
        InvalidName: `target` is that `.safetensors` itself.
        TargetExists: there is either file and `overwrite` is false.
        MissingExtra: run `pip install 'embedding-assets[export]'`.
    """
    source = target.with_suffix(".safetensors")
    if source == target:
        raise InvalidName(f"{target} is where the table of a jaxexp goes; call the artefact {target.stem}.jaxexp")
    artefact = build(composer.spec)
    for path in (source, target):
        if path.exists() and not overwrite:
            raise TargetExists(f"{path} exists; choose another path, or pass overwrite=True")
    return [
        write_bag(composer, source, overwrite=overwrite),
        _write(artefact, composer.spec, target, overwrite=overwrite),
    ]


def load_jax_bag(path: str | Path) -> JaxBag:
    """Load a `.jaxexp` export; one that is missing, altered, expired or of another spec is rebuilt and replaced.

    >>> load_jax_bag("model.jaxexp").compose([{"jax": 2.0}]).vectors.shape   # doctest: +SKIP
    (1, 64)

    Raises:
        Corrupt: the `.safetensors` beside it is missing or was altered.
        MissingExtra: run `pip install 'embedding-assets[export]'`.
    """
    path = Path(path)
    source = path.with_suffix(".safetensors")
    if not source.is_file():
        raise Corrupt(f"{source} is missing; {path.name} cannot work without its table: export it again")
    composer = load_bag(source)
    exported = _read(path, composer.spec)
    if exported is not None:
        return JaxBag(composer, exported, rebuilt=False)
    artefact = build(composer.spec)
    _write(artefact, composer.spec, path, overwrite=True)
    return JaxBag(composer, _deserialize(artefact), rebuilt=True)


def build(spec: ComposerSpec) -> bytes:
    """The serialised function of a spec; sizes B, L, N and D stay symbolic, so it fits every table.

    Raises:
        MissingExtra: run `pip install 'embedding-assets[export]'`.
    """
    load_extra("flatbuffers", "export")
    jax, export = load_extra("jax", "export"), load_extra("jax.export", "export")
    batch, length, count, dim = export.symbolic_shape("b, l, n, d")
    shapes = {"table": (count, dim), "factors": (count,), "mean": (dim,), "unknown_factor": ()}
    parameters = {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in shapes.items()}
    rows = jax.ShapeDtypeStruct((batch, length), np.int32)
    weights = jax.ShapeDtypeStruct((batch, length), np.float32)
    with _without_source_lines(jax.config):
        exported = export.export(jax.jit(bag_function(spec)), platforms=_PLATFORMS)(parameters, rows, weights)
        return bytes(exported.serialize())


@contextmanager
def _without_source_lines(config: Any) -> Iterator[None]:
    """Else the artefact would hold our file paths and its caller's line, and differ from call to call."""
    before = config.jax_traceback_in_locations_limit
    config.update("jax_traceback_in_locations_limit", 0)
    try:
        yield
    finally:
        config.update("jax_traceback_in_locations_limit", before)


def bag_function(spec: ComposerSpec) -> Callable[..., Any]:
    """The composer's definition as a jax function of (parameters, rows, weights); see `JaxBag`."""
    jnp = load_extra("jax.numpy", "export")

    def share(part: Any, whole: Any) -> Any:
        return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), 0)

    def compose(parameters: dict[str, Any], rows: Any, weights: Any) -> tuple[Any, Any]:
        table = parameters["table"]
        known = (rows >= 0) & (rows < table.shape[0])
        at = jnp.where(known, rows, 0)  # an id outside would be NaN: it is masked instead
        found = jnp.where(known, weights * parameters["factors"][at], 0)
        lost = jnp.where(known, 0, weights * parameters["unknown_factor"]).sum(axis=1)
        vectors = jnp.einsum("bl,bld->bd", found, table[at], precision="highest")
        if spec.missing == "mean":
            vectors += lost[:, None] * parameters["mean"][None, :]
        if spec.combine == "mean":
            total = found.sum(axis=1) + (lost if spec.missing in ("zero", "mean") else 0)
            vectors = share(vectors, total[:, None])
        if spec.normalize == "l2":
            vectors = share(vectors, jnp.sqrt((vectors**2).sum(axis=1, keepdims=True)))
        return vectors, share(jnp.where(known, weights, 0).sum(axis=1), weights.sum(axis=1))

    return compose


def _padded(bags: Bags, rows: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The (M,) rows as (B, L) int32, -1 for padding, and the weights as float32; few shapes, so few compilations."""
    lengths = np.diff(bags.starts)
    shape = (_power(len(bags)), _power(int(lengths.max(initial=1))))
    column = np.arange(len(rows)) - bags.starts[bags.bag_of]
    ids, padded = np.full(shape, -1, np.int32), np.zeros(shape, np.float32)
    ids[bags.bag_of, column] = rows
    padded[bags.bag_of, column] = weights
    return ids, padded


def _power(size: int) -> int:
    return 1 << max(size - 1, 0).bit_length()


def _write(artefact: bytes, spec: ComposerSpec, target: Path, *, overwrite: bool) -> Path:
    sealed = [artefact, _digest(artefact, spec)]
    return write_aside(target, lambda aside: Disk().write(aside, sealed), overwrite=overwrite)


def _digest(artefact: bytes, spec: ComposerSpec) -> bytes:
    return hashlib.sha256(artefact + dump(spec)).digest()


def _read(path: Path, spec: ComposerSpec) -> Any:
    """The artefact in a file; None where it is missing, altered, of another spec, or not for this jax any more."""
    data = path.read_bytes() if path.is_file() else b""
    artefact, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if _digest(artefact, spec) != digest:
        return None
    try:
        return _deserialize(artefact)
    except Exception:  # the bytes are whole, so whatever jax says of them: it is too old or too new for them
        return None


def _deserialize(artefact: bytes) -> Any:
    """The artefact, tried on one bag: what jax cannot lower any more shows in the first call."""
    exported = load_extra("jax.export", "export").deserialize(bytearray(artefact))
    ones = np.ones((1, 1), np.float32)
    parameters = {"table": ones, "factors": ones[0], "mean": ones[0], "unknown_factor": ones[0, 0]}
    exported.call(parameters, np.zeros((1, 1), np.int32), ones)
    return exported
