"""The compiled steps of the randomized SVD, for one set of padded sizes: everything that touches a large array.

On S devices each has its ids of the longer side, and multiplies them without the others; what is as long as the shorter
side, or W x W, is summed over all and then the same on each.

Sizes: tall and short sides of the matrix (rows and columns, or the other way round), N stored entries of one device, W
columns of the subspace, K of the result.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental.sparse import BCSR
from jax.sharding import Mesh

from embedding_assets.trainers.errors import TrainerError
from embedding_assets.trainers.low_rank_layout import PARTS, Sizes, Sparse
from embedding_assets.trainers.mesh import EACH, WHOLE, compile_on, large_sum, small_sum

#: The native sparse product, as the compiled program names it. What XLA would do without it, gathering and scattering,
#: takes three times as long on a CPU, and on a GPU adds up in no fixed order.
NATIVE = {"cpu": "cpu_csr_sparse_dense_ffi", "gpu": "cusparse_csr_matmat_ffi"}


class Programs(NamedTuple):
    """Compiled: zeros for the first `spare`, `image_of`, `powered`, `mixed`, `gram_of` an image, `turned`."""

    blank: Any
    image: Any
    power: Any
    mix: Any
    gram: Any
    turn_tall: Any
    turn_short: Any


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


def powered(wide: Sparse, image: jax.Array, basis: jax.Array, *, shards: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """B = A^T A Q, (short, W) float32, and the (W, W) Q^T B and B^T B."""
    back = large_sum(product(wide, image), shards)
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


def gram_of(image: jax.Array, *, shards: int) -> jax.Array:
    """(W, W) float32, of the rows of all devices."""
    return small_sum(inner(image, image), shards)


def turned(columns: jax.Array, turn: jax.Array) -> jax.Array:
    """`columns` times a small matrix."""
    return jnp.matmul(columns, turn, precision=lax.Precision.HIGHEST)  # a GPU would round to 10 bits


@functools.lru_cache(maxsize=16)
def compile_programs(sizes: Sizes, ring: Mesh) -> Programs:
    """The steps for arrays of `sizes`; a table of the same sizes gets the same programs.

    Raises:
        TrainerError: XLA left out the native sparse product.
    """
    platform = ring.devices[0].platform
    if platform == "gpu":
        jax.config.update("jax_bcoo_cusparse_lowering", True)  # noqa: FBT003 - jax's own signature
    shards, width = ring.size, sizes.width

    def array(*shape: int, dtype: type = np.float32) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype)

    def sparse(rows: int) -> Sparse:
        columns, starts = (array(shards * n, dtype=np.int32) for n in (sizes.entries, rows + 1))
        return Sparse(array(shards * sizes.entries), columns, starts)

    def compiled(step: Any, arguments: Any, specs: Any, out: Any, **how: Any) -> Any:
        return compile_on(ring, step, arguments, specs, out, keep_unused=True, **how)

    image, basis, small = array(shards * sizes.tall, width), array(sizes.short, width), array(width, width)
    last = array(width, sizes.rank)
    power, gram = (functools.partial(step, shards=shards) for step in (powered, gram_of))
    programs = Programs(
        blank=compiled(functools.partial(jnp.zeros, (sizes.tall, width)), (), (), EACH),
        image=compiled(image_of, (sparse(sizes.tall), basis, image), (EACH, WHOLE, EACH), EACH, donate_argnums=2),
        power=compiled(power, (sparse(sizes.short), image, basis), (EACH, EACH, WHOLE), WHOLE),
        mix=compiled(mixed, (basis, basis, array(), small), [WHOLE] * 4, WHOLE),
        gram=compiled(gram, (image,), (EACH,), WHOLE),
        turn_tall=compiled(turned, (image, last), (EACH, WHOLE), EACH),
        turn_short=compiled(turned, (basis, last), (WHOLE, WHOLE), WHOLE),
    )
    for program in (programs.image, programs.power):
        _check_native(program, platform)
    return programs


def _check_native(program: Any, platform: str) -> None:
    name = NATIVE.get(platform, "")
    if name not in program.as_text():
        raise TrainerError(
            f"jax {jax.__version__} compiled a sparse product for {platform!r} without {name!r}; "
            "set device='cpu', or install the jax release that pyproject.toml names"
        )
