"""SGNS against loops and dense formulas that anyone can check."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pytest
from contracts import TrainerContract, planted_table, random_table, vocabulary
from scipy.special import expit, log_expit

from embedding_assets.records import PairTable, TrainResult
from embedding_assets.trainers.errors import TrainingDiverged
from embedding_assets.trainers.matrix import as_matrix
from embedding_assets.trainers.sgns import Sgns
from embedding_assets.trainers.sgns_fit import noise_chances
from embedding_assets.trainers.tile_epoch import Visits, first_state, run_epoch, tile_gradient
from embedding_assets.trainers.tiles import Tiles, lay_out


@pytest.fixture(autouse=True)
def _no_silent_broadcasting():
    with jax.numpy_rank_promotion("raise"):
        yield


class TestSgnsContract(TrainerContract):
    trainer = Sgns(dim=16, device="cpu")


class TestRandomStartContract(TrainerContract):
    trainer = Sgns(dim=16, epochs=40, learning_rate=0.2, start="random", device="cpu")


def test_tile_gradient_matches_a_plain_loop(rng):
    A, B, D = 3, 5, 7  # all different, so a swapped axis cannot pass
    centers, contexts = rng.standard_normal((A, D)), rng.standard_normal((D, B))
    pairs, mass, noise = rng.random((A, B)), rng.random(A), rng.random(B)
    up_centers, up_contexts, loss = np.zeros((A, D)), np.zeros((D, B)), 0.0
    for i in range(A):
        for j in range(B):
            x = centers[i] @ contexts[:, j]
            negatives = mass[i] * noise[j]
            slope = pairs[i, j] * expit(-x) - negatives * expit(x)
            up_centers[i] += slope * contexts[:, j]
            up_contexts[:, j] += slope * centers[i]
            loss -= pairs[i, j] * log_expit(x) + negatives * log_expit(-x)
    arguments = (jnp.asarray(a, jnp.float32) for a in (centers, contexts, pairs, mass, noise))
    got = tile_gradient(*arguments)
    np.testing.assert_allclose(got[0], up_centers, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got[1], up_contexts, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got[2], loss, rtol=1e-5)


def without_padding(tiles: Tiles) -> Tiles:
    """The same layout on the smallest grid that holds it."""
    T, arrays = tiles.size, tiles.arrays
    wide = len(arrays.noise) // T
    R, C = (-(-len(places) // T) for places in (tiles.row_places, tiles.col_places))
    used = (np.arange(R)[:, None] * wide + np.arange(C)[None, :]).ravel()
    return dataclasses.replace(
        tiles,
        used=np.arange(R * C, dtype=np.int32),
        arrays=arrays._replace(
            starts=np.append(arrays.starts[used], arrays.starts[-1]),
            mass=arrays.mass[: R * T],
            noise=arrays.noise[: C * T],
        ),
    )


def test_padding_has_no_influence_and_never_changes(rng):
    counts = as_matrix(random_table(rng, 37, 23, 300))
    chances = noise_chances(counts, 0.75)
    padded = lay_out(counts, 5 * chances, 8, rng)
    tight = without_padding(padded)
    start = rng.standard_normal((37, 3)), rng.standard_normal((23, 3))
    ends = []
    for tiles in (padded, tight):
        order = np.resize(tiles.used, len(tiles.arrays.starts) - 1)
        visits = Visits(order, np.ones(len(order), np.float32), np.int32(len(tiles.used)), np.float32([0.1, 0.05]))
        epoch = jax.jit(run_epoch, static_argnames="size")
        ends.append(epoch(first_state(tiles, *start), tiles.arrays, visits, size=8))
    (wide, wide_loss), (narrow, narrow_loss) = ends
    assert (wide.centers.shape, narrow.centers.shape) == ((64, 3), (40, 3))
    assert not np.array_equal(narrow.centers[:37], first_state(tight, *start).centers[:37])
    np.testing.assert_allclose(wide.centers[:40], narrow.centers, rtol=1e-5)
    np.testing.assert_allclose(wide.contexts[:, :24], narrow.contexts, rtol=1e-5)
    assert wide_loss == pytest.approx(float(narrow_loss), rel=1e-5)
    for table, real in ((wide.centers, 37), (wide.contexts.T, 23)):
        assert not np.asarray(table[real:]).any()


def test_every_pair_lies_in_its_tile_once(rng):
    table = random_table(rng, 37, 23, 300)
    counts = as_matrix(table)
    tiles = lay_out(counts, np.ones(23), 8, rng)
    grid = np.zeros((64, 32))
    for tile in range(len(tiles.arrays.starts) - 1):
        span = slice(tiles.arrays.starts[tile], tiles.arrays.starts[tile + 1])
        row, col = np.divmod(tiles.arrays.cells[span], 8)
        np.add.at(grid, (tile // 4 * 8 + row, tile % 4 * 8 + col), tiles.arrays.counts[span])
    placed = grid[np.ix_(tiles.row_places, tiles.col_places)] * counts.data.mean()
    np.testing.assert_allclose(placed, counts.toarray(), rtol=1e-6)


def test_noise_leaves_out_columns_without_pairs():
    table = dataclasses.replace(planted_table(), columns=vocabulary("site", np.ones(99)))
    chances = noise_chances(as_matrix(table), 0.0)
    assert chances[:60] == pytest.approx(1 / 60)
    assert not chances[60:].any()


def test_entities_without_pairs_stay_finite():
    table = planted_table()
    wide = vocabulary("word", np.ones(99))
    result = Sgns(dim=4, epochs=2, device="cpu").fit(dataclasses.replace(table, rows=wide, columns=wide))
    assert result.tables[1].vectors.shape == (99, 4)
    assert np.isfinite(result.tables[0].vectors).all()


def test_scale_of_the_counts_does_not_matter_without_damping():
    table = planted_table()
    trainer = Sgns(dim=8, damping=0.0, inertia=0.0, device="cpu")
    plain = trainer.fit(table)
    scaled = trainer.fit(dataclasses.replace(table, counts=table.counts * np.float32(2.0**-40)))
    np.testing.assert_allclose(scaled.tables[0].vectors, plain.tables[0].vectors, atol=2e-3)


@pytest.mark.parametrize("dim", [1, 2, 100])
def test_any_width_fits_a_table_of_sixty(dim):
    result = Sgns(dim=dim, epochs=1, device="cpu").fit(planted_table())
    assert result.tables[0].vectors.shape == (60, dim)


def test_divergence_is_a_typed_error():
    with pytest.raises(TrainingDiverged, match=r"learning_rate is 1e\+30"):
        Sgns(dim=4, epochs=5, learning_rate=1e30, device="cpu").fit(planted_table())


@pytest.mark.parametrize(
    ("setting", "value", "rule"),
    [
        ("dim", 0, "at least 1"),
        ("dim", 2.0, "an integer"),
        ("epochs", 0, "at least 1"),
        ("k", True, "an integer"),
        ("tile", 100, "a power of two"),
        ("seed", -1, "at least 0"),
        ("learning_rate", float("nan"), "above 0"),
        ("noise_exponent", 1.5, r"in \[0, 1\]"),
        ("damping", -1.0, "at least 0"),
        ("held_out", 0.7, r"in \[0, 0.5\]"),
        ("patience", 2, "None where nothing is held out"),
        ("patience", 0, "at least 1"),
        ("start", "cold", "one of"),
        ("device", "tpu9", "one of"),
    ],
)
def test_wrong_setting_is_refused_by_name_and_value(setting, value, rule):
    with pytest.raises(ValueError, match=rf"Sgns\.{setting} must be {rule}.*got {value!r}"):
        Sgns(**{setting: value})


def objective(trainer: Sgns, result: TrainResult, table: PairTable) -> float:
    """The exact loss of the vectors on the whole table: what the first epoch meets where nothing moves."""
    still = dataclasses.replace(trainer, epochs=1, learning_rate=1e-30)
    return still.fit(table, init=result.tables).loss_curve[0]


@pytest.mark.parametrize(("start", "cold_epochs"), [("spectral", 1), ("random", 2)])
def test_one_epoch_after_a_warm_start_is_ahead_of_a_cold_fit(start, cold_epochs):
    """Two weeks: the counts of the second are drawn anew, from the same communities."""
    trainer = Sgns(dim=16, epochs=2, learning_rate=0.1, start=start, device="cpu")
    today, earlier = planted_table(120, seed=2), trainer.fit(planted_table(120, seed=1))
    cold = dataclasses.replace(trainer, epochs=cold_epochs).fit(today)
    warm = dataclasses.replace(trainer, epochs=1).fit(today, init=earlier.tables)
    assert objective(trainer, warm, today) < objective(trainer, cold, today)


def test_new_keys_are_folded_into_the_earlier_space():
    """Fitted to earlier vectors, a key that is taken out of them comes back near to where it was."""
    table = planted_table(120)
    trainer = Sgns(dim=16, epochs=1, learning_rate=1e-30, device="cpu")
    first = trainer.fit(table)
    known = [
        dataclasses.replace(
            side,
            vocabulary=dataclasses.replace(
                side.vocabulary, keys=pa.array([f"word{i}" if i >= 12 else f"gone{i}" for i in range(120)])
            ),
        )
        for side in first.tables
    ]
    folded = trainer.fit(table, init=known)
    for before, after in zip(first.tables, folded.tables, strict=True):
        np.testing.assert_array_equal(after.vectors[12:], before.vectors[12:])
        cosines = np.einsum("nd,nd->n", *(unit(side.vectors[:12]) for side in (before, after)))
        assert cosines.min() > 0.8


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_missing_accelerator_is_named():
    if jax.default_backend() != "cpu":
        pytest.skip("this machine has an accelerator")
    with pytest.raises(ValueError, match="no 'gpu' device; jax sees: cpu"):
        Sgns(device="gpu").fit(planted_table())
