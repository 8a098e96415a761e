"""Row-wise Adagrad in the form of an optax transformation: one accumulator a vector in place of one a number.

An (init, update) pair as `optax.chain` and `optax.apply_updates` take it, written out because optax's own
`scale_by_rss` keeps a second table of the vectors' size.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

#: Keeps a vector that never had a gradient where it is, without a division by 0.
TINY = 1e-30


class RowAdagradState(NamedTuple):
    """What is remembered between steps.

    Attributes:
        squares: (V,) float32, mean squares of all gradients so far, summed.
    """

    squares: jax.Array


class RowAdagrad(NamedTuple):
    """The pair of functions; field by field an `optax.GradientTransformation`."""

    init: Callable[[jax.Array], RowAdagradState]
    update: Callable[..., tuple[jax.Array, RowAdagradState]]


def scale_by_row_rss(axis: int = -1) -> RowAdagrad:
    """Divides each vector's gradient by the root of its own past mean squares, summed.

    Args:
        axis: the one of size D; the vectors lie along the other.

    Source: Duchi, Hazan and Singer (2011), with one accumulator a vector in place of one a number.
    """

    def init(vectors: jax.Array) -> RowAdagradState:
        return RowAdagradState(jnp.zeros(vectors.shape[axis - 1], vectors.dtype))

    def update(gradient: jax.Array, state: RowAdagradState, params: Any = None) -> tuple[jax.Array, RowAdagradState]:
        del params  # optax passes the vectors; the scale does not depend on them
        squares = state.squares + jnp.mean(gradient * gradient, axis=axis)
        return gradient * jnp.expand_dims(lax.rsqrt(squares + TINY), axis), RowAdagradState(squares)

    return RowAdagrad(init, update)
