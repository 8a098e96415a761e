"""ALS against the normal equations, written as loops that anyone can check."""

import dataclasses
import functools

import jax
import numpy as np
import pyarrow as pa
import pytest
from als_tables import long_table, skewed_table
from contracts import TrainerContract, planted_table, vocabulary

from embedding_assets.records import EmbeddingTable, PairTable, TrainResult, Vocabulary
from embedding_assets.trainers import als_fit
from embedding_assets.trainers.als import Als
from embedding_assets.trainers.als_layout import BLOCK, Layout, lay_out, widths
from embedding_assets.trainers.als_solve import (
    SERIAL_OPERATIONS,
    Rows,
    solve_by_steps,
    solve_dual,
    solve_primal,
    solve_shifted,
)
from embedding_assets.trainers.als_sweeper import Work
from embedding_assets.trainers.errors import InvalidInit, InvalidPairTable, TrainingDiverged
from embedding_assets.trainers.matrix import as_matrix
from embedding_assets.trainers.mesh import ring_of

FEEDBACKS = ("implicit", "explicit")


@pytest.fixture(autouse=True)
def _no_silent_broadcasting():
    with jax.numpy_rank_promotion("raise"):
        yield


class TestAlsContract(TrainerContract):
    trainer = Als(dim=8, epochs=8, regularization=20.0, device="cpu")


class TestExplicitContract(TrainerContract):
    trainer = Als(dim=8, epochs=5, regularization=0.1, feedback="explicit", alpha=0.0, start="random", device="cpu")


def plain_row(settings: Als, counts: np.ndarray, contexts: np.ndarray) -> np.ndarray:
    """The vector of one row of dense `counts` by its normal equations in float64."""
    D, seen = settings.dim, counts > 0
    weights = 1 + settings.alpha * counts
    if settings.feedback == "implicit":
        left = contexts.T @ contexts + settings.regularization * np.eye(D)
        right = np.zeros(D)
        for j in np.flatnonzero(seen):
            left += (weights[j] - 1) * np.outer(contexts[j], contexts[j])
            right += weights[j] * contexts[j]
        return np.linalg.solve(left, right)
    if not seen.any():
        return np.zeros(D)
    left, right = settings.regularization * seen.sum() * np.eye(D), np.zeros(D)
    for j in np.flatnonzero(seen):
        left += weights[j] * np.outer(contexts[j], contexts[j])
        right += weights[j] * counts[j] * contexts[j]
    return np.linalg.solve(left, right)


def plain_rows(settings: Als, counts: np.ndarray, contexts: np.ndarray) -> np.ndarray:
    return np.stack([plain_row(settings, row, contexts.astype(np.float64)) for row in counts])


def plain_objective(settings: Als, counts: np.ndarray, centers: np.ndarray, contexts: np.ndarray) -> float:
    """The formula in the docstring of `als`, cell by cell."""
    scores, seen = centers.astype(np.float64) @ contexts.T.astype(np.float64), counts > 0
    weights = 1 + settings.alpha * counts
    squares = [(side.astype(np.float64) ** 2).sum(axis=1) for side in (centers, contexts)]
    if settings.feedback == "implicit":
        cost = (np.where(seen, weights, 1.0) * (seen - scores) ** 2).sum()
        return cost + settings.regularization * (squares[0].sum() + squares[1].sum())
    cost = (np.where(seen, weights, 0.0) * (counts - scores) ** 2).sum()
    return cost + settings.regularization * (seen.sum(axis=1) @ squares[0] + seen.sum(axis=0) @ squares[1])


def dense(table: PairTable) -> np.ndarray:
    return as_matrix(table).toarray().astype(np.float64)


def sides(result: TrainResult) -> tuple[np.ndarray, np.ndarray]:
    return result.tables[0].vectors, result.tables[1].vectors


@pytest.mark.parametrize("feedback", FEEDBACKS)
def test_exact_epoch_is_the_normal_equations_of_every_row(rng, feedback):
    table = skewed_table(rng)
    settings = Als(
        dim=8, epochs=1, regularization=0.3, alpha=2.0, solver="exact", feedback=feedback, start="random", device="cpu"
    )
    work = Work(as_matrix(table), ring_of(jax.devices("cpu")[:1]))
    start = als_fit.first_run(settings, work, None)
    centers, contexts = sides(settings.fit(table))
    want_contexts = plain_rows(settings, dense(table).T, start.centers)
    np.testing.assert_allclose(contexts, want_contexts, rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(centers, plain_rows(settings, dense(table), contexts), rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("feedback", FEEDBACKS)
@pytest.mark.parametrize("solver", ["exact", "cg"])
def test_loss_is_the_objective_of_the_whole_table(rng, feedback, solver):
    table = skewed_table(rng)
    settings = Als(
        dim=8, epochs=3, regularization=0.3, alpha=2.0, solver=solver, feedback=feedback, start="random", device="cpu"
    )
    result = settings.fit(table)
    want = plain_objective(settings, dense(table), *sides(result)) / len(table)
    assert result.loss_curve[-1] == pytest.approx(want, rel=1e-4)
    assert all(np.diff(result.loss_curve) < 0)


def test_steps_of_conjugate_gradients_end_at_the_exact_solution(rng):
    table = skewed_table(rng)
    settings = Als(dim=8, epochs=40, alpha=0.5, regularization=0.3, start="random", device="cpu")
    by_steps = settings.fit(table)
    exact = dataclasses.replace(settings, solver="exact").fit(table)
    assert by_steps.loss_curve[-1] == pytest.approx(exact.loss_curve[-1], rel=1e-3)
    centers, contexts = sides(by_steps)
    np.testing.assert_allclose(centers, plain_rows(settings, dense(table), contexts), rtol=0.02, atol=2e-3)


def test_three_solvers_agree_with_a_plain_loop(rng):
    B, w, D = 5, 3, 4  # all different, so a swapped axis cannot pass
    z, d, wanted = rng.standard_normal((B, w, D)), rng.random((B, w)), rng.random((B, w))
    d[:, -1] = 0  # padding
    e = d * wanted
    want = np.zeros((B, D))
    for b in range(B):
        left = np.eye(D) + sum(d[b, j] * np.outer(z[b, j], z[b, j]) for j in range(w))
        want[b] = np.linalg.solve(left, sum(e[b, j] * z[b, j] for j in range(w)))
    rows = Rows(*(jax.numpy.asarray(part, np.float32) for part in (z, d, e, np.zeros((B, D)))))
    for solve in (solve_primal, solve_dual, solve_by_steps):  # two weights that are not 0: three steps are exact
        u, v = jax.jit(solve)(rows)
        np.testing.assert_allclose(u, want, rtol=1e-4, atol=1e-5)
        gains = np.einsum("bk,bk->b", np.asarray(u), np.asarray(v))
        right = np.einsum("bw,bwk->bk", e, z)
        np.testing.assert_allclose(gains, np.einsum("bk,bk->b", want, right), rtol=1e-4)


def test_a_few_rows_at_a_time_have_the_same_solutions(rng):
    B, n = 300, 11
    factors = rng.standard_normal((B, n, 20)).astype(np.float32)
    matrices, right = factors @ factors.swapaxes(1, 2), rng.standard_normal((B, n)).astype(np.float32)
    assert n**3 * B > SERIAL_OPERATIONS
    at_once, by_turns = (
        jax.jit(functools.partial(solve_shifted, serial=serial))(matrices, right) for serial in (False, True)
    )
    np.testing.assert_array_equal(at_once, by_turns)
    np.testing.assert_allclose(by_turns, np.linalg.solve(matrices + np.eye(n), right[..., None])[..., 0], rtol=1e-3)


@pytest.mark.parametrize("feedback", FEEDBACKS)
def test_folding_in_the_training_rows_gives_their_centers(rng, feedback):
    table = skewed_table(rng)
    settings = Als(dim=8, epochs=2, regularization=0.3, solver="exact", feedback=feedback, start="random", device="cpu")
    centers, contexts = settings.fit(table).tables
    folded = settings.fold_in(table, contexts)
    assert folded.vocabulary is table.rows
    np.testing.assert_allclose(folded.vectors, centers.vectors, rtol=1e-4, atol=1e-5)


def test_one_new_entity_is_folded_in_by_the_keys_of_its_columns(rng):
    table = skewed_table(rng)
    settings = Als(dim=8, epochs=2, regularization=0.3, start="random", device="cpu")
    contexts = settings.fit(table).tables[1]
    some = Vocabulary(entity="site", keys=pa.array(["site30", "site2"]), counts=np.ones(2))
    new = PairTable(
        rows=vocabulary("user", np.ones(1)),
        columns=some,
        row_ids=np.zeros(2, np.int32),
        col_ids=np.array([0, 1], np.int32),
        counts=np.array([3.0, 1.0], np.float32),
    )
    counts = np.zeros(41)
    counts[[30, 2]] = 3, 1
    want = plain_row(settings, counts, contexts.vectors.astype(np.float64))
    np.testing.assert_allclose(settings.fold_in(new, contexts).vectors, want[None], rtol=1e-3, atol=1e-5)


def test_fold_in_refuses_an_unknown_context_by_key(rng):
    table = skewed_table(rng)
    settings = Als(dim=8, epochs=1, start="random", device="cpu")
    contexts = EmbeddingTable(vocabulary=vocabulary("site", np.ones(40)), vectors=np.ones((40, 8), np.float32))
    with pytest.raises(InvalidPairTable, match="1 of 41 columns have no vector in contexts, such as 'site40'"):
        settings.fold_in(table, contexts)
    with pytest.raises(InvalidInit, match=r"contexts has vectors of shape \(40, 8\)"):
        dataclasses.replace(settings, dim=3).fold_in(table, contexts)


def unfolded(layout: Layout, number: int) -> np.ndarray:
    """The dense matrix that the chunks of one side hold on all devices, read as the program reads them."""
    half, size, shards = layout.halves[number], layout.chunks[1], len(layout.halves[0].parts)
    found = np.zeros((shards * layout.total, shards * layout.room))
    for device in range(shards):
        side, here = layout.side(number, device), found[device * layout.total :]
        for row in range(side.longs[0]):
            for chunk in range(side.long_chunks[row], side.long_chunks[row + 1]):
                np.add.at(here[side.blocks[0] * BLOCK + row], side.columns[chunk], side.counts[chunk])
        for at, width in enumerate(widths(size)):
            first, end = side.class_chunks[at]
            for slot in range(first * size, end * size):
                place = side.class_places[at] + (slot - first * size) // width
                here[place, side.columns.ravel()[slot]] += side.counts.ravel()[slot]
    return found[np.ix_(layout.places[number], half.others)]


@pytest.mark.parametrize("shards", [1, 3])
def test_every_pair_lies_in_its_rows_slots_once(shards):
    counts = as_matrix(long_table())
    layout = lay_out(counts, 128, shards)
    assert layout.side(0, shards - 1).longs[0] > 0
    np.testing.assert_array_equal(unfolded(layout, 0), counts.toarray())
    np.testing.assert_array_equal(unfolded(layout, 1), counts.toarray().T)
    everyone = np.concatenate(layout.places)
    assert len(np.unique(everyone)) == len(everyone)
    for places, half in zip(layout.places, layout.halves, strict=True):
        assert half.blocks[0] * BLOCK <= (places % layout.total).min()
        assert (places % layout.total).max() < half.blocks[1] * BLOCK <= layout.total


@pytest.mark.parametrize("feedback", FEEDBACKS)
def test_rows_longer_than_a_chunk_are_solved_too(feedback):
    table = long_table()
    settings = Als(dim=8, epochs=1, regularization=0.3, solver="exact", feedback=feedback, start="random", device="cpu")
    result = settings.fit(table)
    centers, contexts = sides(result)
    np.testing.assert_allclose(centers, plain_rows(settings, dense(table), contexts), rtol=2e-3, atol=2e-4)
    want = plain_objective(settings, dense(table), centers, contexts) / len(table)
    assert result.loss_curve == pytest.approx((want,), rel=1e-4)


def test_ten_similar_weeks_and_both_sides_compile_once(rng):
    compiled: list[str] = []

    def count(event: str, duration_secs: float, **_: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    trainer = Als(
        dim=3,  # of no other test, so that its program is not there yet
        epochs=1,
        start="random",
        device="cpu",
    )
    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        for week in range(10):
            trainer.fit(skewed_table(rng, 300 + 9 * week, 150 + 9 * week, 2100 + 150 * week))
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
    assert len(compiled) == 1


def test_warm_start_goes_on_from_known_keys_and_folds_new_ones_in(rng):
    table = skewed_table(rng)
    settings = Als(dim=8, epochs=6, regularization=0.3, start="random", device="cpu")
    earlier = settings.fit(table)
    keys = pa.array([f"user{i}" for i in range(92)], pa.string())
    wider = dataclasses.replace(
        table,
        rows=Vocabulary(entity="user", keys=keys, counts=np.ones(92)),
        row_ids=np.append(table.row_ids, 91).astype(np.int32),
        col_ids=np.append(table.col_ids, 3).astype(np.int32),
        counts=np.append(table.counts, np.float32(2)),
    )
    once = dataclasses.replace(settings, epochs=1)
    warm, cold = once.fit(wider, init=earlier.tables), once.fit(wider)
    assert warm.loss_curve[0] < cold.loss_curve[0]
    assert warm.loss_curve[0] == pytest.approx(earlier.loss_curve[-1], rel=0.02)
    assert warm.tables[0].vectors[91].any()


def test_entities_without_pairs_are_zero(rng):
    centers, contexts = sides(Als(dim=8, epochs=2, start="random", device="cpu").fit(skewed_table(rng)))
    assert not centers[-5:].any()
    assert np.isfinite(contexts).all()


def test_spectral_start_is_ahead_of_a_random_one_and_keeps_empty_rows_zero(rng):
    table = skewed_table(rng)
    settings = Als(dim=8, epochs=1, regularization=0.3, device="cpu")
    spectral, random = settings.fit(table), dataclasses.replace(settings, start="random").fit(table)
    assert spectral.loss_curve[0] < 0.9 * random.loss_curve[0]
    assert not spectral.tables[0].vectors[-5:].any()


def test_auto_is_a_solver_that_suits_the_feedback():
    assert als_fit.solver_of(Als()) == "cg"
    assert als_fit.solver_of(Als(feedback="explicit")) == "exact"
    assert als_fit.solver_of(Als(solver="exact")) == "exact"


@pytest.mark.parametrize("feedback", FEEDBACKS)
def test_divergence_is_a_typed_error(feedback):
    table = planted_table()
    huge = dataclasses.replace(table, counts=table.counts * np.float32(1e36))
    with pytest.raises(TrainingDiverged, match=r"Als\.alpha is 1e\+30"):
        Als(dim=8, epochs=2, alpha=1e30, feedback=feedback, start="random", device="cpu").fit(huge)


@pytest.mark.parametrize(
    ("settings", "name", "rule"),
    [
        ({"dim": 0}, "dim", "at least 1"),
        ({"dim": 2.0}, "dim", "an integer"),
        ({"epochs": 0}, "epochs", "at least 1"),
        ({"seed": True}, "seed", "an integer"),
        ({"regularization": 0.0}, "regularization", "above 0"),
        ({"alpha": float("nan")}, "alpha", "at least 0"),
        ({"alpha": 0.0}, "alpha", "above 0 for implicit feedback"),
        ({"solver": "lu"}, "solver", "one of"),
        ({"feedback": "both"}, "feedback", "one of"),
        ({"start": "cold"}, "start", "one of"),
        ({"device": "tpu9"}, "device", "one of"),
    ],
)
def test_wrong_setting_is_refused_by_name_and_value(settings, name, rule):
    with pytest.raises(ValueError, match=rf"Als\.{name} must be {rule}.*got {settings[name]!r}"):
        Als(**settings)
