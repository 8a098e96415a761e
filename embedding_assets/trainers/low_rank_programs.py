"""The compiled steps of the randomized SVD, for one set of padded sizes: everything that touches a large array.

Sizes: tall and short sides of the matrix (rows and columns, or the other way round), N stored entries, W columns of the
subspace, K of the result.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from jax import lax
from jax.experimental.sparse import BCSR

from embedding_assets.trainers.devices import Device
from embedding_assets.trainers.errors import TrainerError
from embedding_assets.trainers.matrix import dimensions
from embedding_assets.trainers.tiles import Leaf, power_of_two

#: The native sparse product, as the compiled program names it. What XLA would do without it, gathering and scattering,
#: takes three times as long on a CPU, and on a GPU adds up in no fixed order.
NATIVE = {"cpu": "cpu_csr_sparse_dense_ffi", "gpu": "cusparse_csr_matmat_ffi"}
#: The smallest padded size, and how many parts every padded size can be cut in.
LEAST, PARTS = 64, 8


class Sizes(NamedTuple):
    """All that the compiled steps depend on, beside the device; the first three are padded."""

    tall: int
    short: int
    entries: int
    width: int
    rank: int


class Sparse(NamedTuple):
    """A padded CSR matrix; padding rows are empty.

    Attributes:
        values: (N,) float32.
        columns: (N,) int32.
        starts: (rows + 1,) int32.
    """

    values: Leaf
    columns: Leaf
    starts: Leaf


class Scale(NamedTuple):
    """The norm of a matrix, in two factors: either fits float32 where their product may not.

    Attributes:
        largest: magnitude of an entry.
        rest: the norm over that.
    """

    largest: np.float32
    rest: float

    @property
    def norm(self) -> float:
        """||A||, the root of the sum of squares."""
        return float(self.largest) * float(self.rest)


class Programs(NamedTuple):
    """Compiled: zeros for the first `spare`, `image_of`, `powered`, `mixed`, `gram_of` an image, `turned`."""

    blank: Any
    image: Any
    power: Any
    mix: Any
    gram: Any
    turn_tall: Any
    turn_short: Any


def sizes_of(matrix: sp.csr_array, width: int, rank: int) -> Sizes:
    """The padded sizes for `matrix`: similar tables share them."""
    shape = dimensions(matrix)
    return Sizes(padded(max(shape)), padded(min(shape)), padded(matrix.nnz), width, rank)


def padded(size: int) -> int:
    """At least `size`: a power of two up to 4096, then eight sizes for every doubling.

    >>> padded(700), padded(100_000)
    (1024, 106496)
    """
    whole = power_of_two(max(size, LEAST))
    step = whole if whole <= 4096 else whole // 16
    return -(-size // step) * step


def padded_sparse(matrix: sp.csr_array, scale: Scale, rows: int, entries: int) -> Sparse:
    """`matrix` over its norm, with empty rows and unused entries at the end."""
    sparse = Sparse(*(aligned_zeros((n,), kind) for n, kind in ((entries, "f4"), (entries, "i4"), (rows + 1, "i4"))))
    values = sparse.values[: matrix.nnz]
    np.divide(matrix.data, scale.largest, out=values)
    values /= np.float32(scale.rest)
    sparse.columns[: matrix.nnz] = matrix.indices
    sparse.starts[:] = matrix.nnz
    sparse.starts[: len(matrix.indptr)] = matrix.indptr
    return sparse


def aligned_zeros(shape: tuple[int, ...], dtype: npt.DTypeLike) -> np.ndarray:
    """Zeros on a 64-byte boundary: jax then uses the memory as it is on a CPU, and copies any other."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.zeros(size + 64, np.uint8)
    start = -room.ctypes.data % 64
    return room[start : start + size].view(dtype).reshape(shape)


def product(sparse: Sparse, dense: jax.Array) -> jax.Array:
    """(rows, W) float32, the matrix times (columns, W) `dense`."""
    shape = (len(sparse.starts) - 1, len(dense))
    # CSR wants each row's columns sorted for some operations, not for this one; nothing is summed twice
    matrix = BCSR((sparse.values, sparse.columns, sparse.starts), shape=shape, indices_sorted=True, unique_indices=True)
    return matrix @ dense


def image_of(tall: Sparse, basis: jax.Array, spare: jax.Array) -> jax.Array:
    """A Q, (tall, W) float32, in the memory of `spare`: on a CPU, pages fresh from the kernel cost more than A Q."""
    del spare  # donated
    return product(tall, basis)


def powered(wide: Sparse, image: jax.Array, basis: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """B = A^T A Q, (short, W) float32, and the (W, W) Q^T B and B^T B."""
    back = product(wide, image)
    return back, inner(basis, back), inner(back, back)


def mixed(back: jax.Array, basis: jax.Array, shift: jax.Array, mix: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(B - shift Q) M, (short, W) float32, and its Gram matrix."""
    columns = turned(back - shift * basis, mix)
    return columns, inner(columns, columns)


def inner(left: jax.Array, right: jax.Array) -> jax.Array:
    """(W, W) float32, the transposed left times the right, which are (rows, W)."""
    # XLA gives one core to a product whose result is small, but a batch of them to all
    parts = (side.reshape(PARTS, -1, side.shape[1]) for side in (left, right))
    return jnp.einsum("bvw,bvx->bwx", *parts, precision=lax.Precision.HIGHEST).sum(axis=0)


def gram_of(columns: jax.Array) -> jax.Array:
    """(W, W) float32."""
    return inner(columns, columns)


def turned(columns: jax.Array, turn: jax.Array) -> jax.Array:
    """`columns` times a small matrix."""
    return jnp.matmul(columns, turn, precision=lax.Precision.HIGHEST)  # a GPU would round to 10 bits


@functools.lru_cache(maxsize=16)
def compile_programs(sizes: Sizes, device: Device) -> Programs:
    """The steps for arrays of `sizes`; a table of the same sizes gets the same programs.

    Raises:
        TrainerError: XLA left out the native sparse product.
    """
    if device.platform == "gpu":
        jax.config.update("jax_bcoo_cusparse_lowering", True)  # noqa: FBT003 - jax's own signature
    there = jax.sharding.SingleDeviceSharding(device)

    def floats(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, np.float32, sharding=there)

    def sparse(rows: int) -> Sparse:
        columns, starts = (jax.ShapeDtypeStruct((n,), np.int32, sharding=there) for n in (sizes.entries, rows + 1))
        return Sparse(floats(sizes.entries), columns, starts)

    width = sizes.width
    image, basis, small = floats(sizes.tall, width), floats(sizes.short, width), floats(width, width)
    last = floats(width, sizes.rank)
    programs = Programs(
        blank=_compiled(functools.partial(jnp.zeros, image.shape, device=there)),
        image=_compiled(image_of, sparse(sizes.tall), basis, image, donated=2),
        power=_compiled(powered, sparse(sizes.short), image, basis),
        mix=_compiled(mixed, basis, basis, floats(), small),
        gram=_compiled(gram_of, image),
        turn_tall=_compiled(turned, image, last),
        turn_short=_compiled(turned, basis, last),
    )
    for program in (programs.image, programs.power):
        _check_native(program, device)
    return programs


def _compiled(step: Any, *arguments: Any, donated: int | None = None) -> Any:
    jitted = jax.jit(step, donate_argnums=donated, keep_unused=True)
    return jitted.lower(*arguments).compile()


def _check_native(program: Any, device: Device) -> None:
    name = NATIVE.get(device.platform, "")
    if name not in program.as_text():
        raise TrainerError(
            f"jax {jax.__version__} compiled a sparse product for {device.platform!r} without {name!r}; "
            "set device='cpu', or install the jax release that pyproject.toml names"
        )
