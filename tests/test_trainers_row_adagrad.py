"""Row-wise Adagrad against a plain loop, and against optax's where the two must agree."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from embedding_assets.trainers.row_adagrad import scale_by_row_rss


@pytest.mark.parametrize("axis", [0, 1])
def test_three_steps_match_a_plain_loop(rng, axis):
    V, D, rate = 3, 5, 0.1
    vectors, gradients = rng.standard_normal((V, D)), rng.standard_normal((3, V, D))
    want, squares = vectors.copy(), np.zeros(V)
    for gradient in gradients:
        for i in range(V):
            squares[i] += (gradient[i] ** 2).mean()
            want[i] += rate * gradient[i] / np.sqrt(squares[i])

    def laid(table: np.ndarray):
        return jnp.asarray(table if axis == 1 else table.T, jnp.float32)

    transform, got = scale_by_row_rss(axis), laid(vectors)
    state = transform.init(got)
    for gradient in gradients:
        step, state = transform.update(laid(gradient), state)
        got = got + rate * step
    np.testing.assert_allclose(got, laid(want), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(state.squares, squares, rtol=1e-5)


def test_vectors_of_one_number_get_optax_adagrad(rng):
    """With D = 1 a row is a number: the same steps, through optax's own chain and updates."""
    theirs = optax.adagrad(0.3, initial_accumulator_value=0.0, eps=1e-30)
    ours = optax.chain(scale_by_row_rss(), optax.scale_by_learning_rate(0.3))  # pyright: ignore[reportArgumentType] - by its form
    ends = []
    for optimizer in (ours, theirs):
        numbers = jnp.asarray(np.linspace(-1, 1, 7)[:, None], jnp.float32)
        state = optimizer.init(numbers)
        for gradient in np.random.default_rng(2).standard_normal((4, 7, 1)):
            updates, state = optimizer.update(jnp.asarray(gradient, jnp.float32), state, numbers)
            numbers = optax.apply_updates(numbers, updates)
        ends.append(np.asarray(numbers))
    np.testing.assert_allclose(*ends, rtol=1e-6)


def test_a_vector_without_gradient_stays(rng):
    transform = scale_by_row_rss()
    vectors = jnp.asarray(rng.standard_normal((2, 3)), jnp.float32)
    step, state = transform.update(jnp.zeros_like(vectors), transform.init(vectors))
    assert not np.asarray(step).any()
    assert not np.asarray(state.squares).any()
