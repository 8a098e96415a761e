"""SGNS against loops and dense formulas that anyone can check."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contracts import TrainerContract, planted_table, vocabulary
from jax.experimental.compilation_cache.compilation_cache import reset_cache
from scipy.special import expit, log_expit

from embedding_assets.records import PairTable
from embedding_assets.trainers.devices import enable_compilation_cache
from embedding_assets.trainers.errors import TrainingDiverged
from embedding_assets.trainers.matrix import as_matrix
from embedding_assets.trainers.sgns import Sgns
from embedding_assets.trainers.sgns_fit import noise_chances
from embedding_assets.trainers.spectral import log_pmi, truncated_svd
from embedding_assets.trainers.tile_epoch import compile_epoch, first_state, run_epoch, tile_gradient
from embedding_assets.trainers.tiles import Tiles, lay_out


@pytest.fixture(autouse=True)
def _no_silent_broadcasting():
    with jax.numpy_rank_promotion("raise"):
        yield


class TestSgnsContract(TrainerContract):
    trainer = Sgns(dim=16, device="cpu")


class TestRandomStartContract(TrainerContract):
    trainer = Sgns(dim=16, epochs=40, learning_rate=0.2, start="random", device="cpu")


def random_table(rng, rows: int, columns: int, pairs: int) -> PairTable:
    cells = np.sort(rng.choice(rows * columns, pairs, replace=False))
    return PairTable(
        rows=vocabulary("word", np.ones(rows)),
        columns=vocabulary("site", np.ones(columns)),
        row_ids=(cells // columns).astype(np.int32),
        col_ids=(cells % columns).astype(np.int32),
        counts=rng.integers(1, 9, pairs).astype(np.float32),
    )


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


def test_loss_is_the_exact_objective_of_the_whole_table(rng):
    table = random_table(rng, 37, 23, 300)
    result = Sgns(dim=5, epochs=1, tile=8, learning_rate=1e-30, k=3, device="cpu").fit(table)
    centers, contexts = (side.vectors.astype(np.float64) for side in result.tables)
    dense = as_matrix(table).toarray().astype(np.float64)
    scores = centers @ contexts.T
    noise = dense.sum(axis=0) ** 0.75
    negatives = 3 * np.outer(dense.sum(axis=1), noise / noise.sum())
    objective = (dense * log_expit(scores) + negatives * log_expit(-scores)).sum() / dense.sum()
    assert result.loss_curve == pytest.approx((-objective,), rel=1e-5)


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
        visits, rates = np.int32(len(tiles.used)), np.array([0.1, 0.05], np.float32)
        epoch = jax.jit(run_epoch, static_argnames="size")
        ends.append(epoch(first_state(tiles, *start), tiles.arrays, order, visits, rates, size=8))
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


def test_ten_similar_weeks_compile_once(rng):
    compiled: list[str] = []

    def count(event: str, duration_secs: float, **_: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    compile_epoch.cache_clear()
    trainer = Sgns(dim=6, epochs=1, device="cpu")
    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        results = [
            trainer.fit(random_table(rng, 150 + 7 * week, 140 + 9 * week, 2100 + 150 * week)) for week in range(10)
        ]
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
    assert len(compiled) == 1
    assert sum(result.compile_seconds > 0.01 for result in results) == 1


def test_compilation_cache_fills_its_folder(tmp_path, rng):
    names = (
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_min_entry_size_bytes",
    )
    before = {name: jax.config.values[name] for name in names}
    compile_epoch.cache_clear()
    reset_cache()
    try:
        enable_compilation_cache(tmp_path / "jax")
        Sgns(dim=3, epochs=1, device="cpu").fit(random_table(rng, 20, 20, 50))
        assert list((tmp_path / "jax").iterdir())
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def test_svd_keeps_the_energy_that_lapack_finds(rng):
    counts = as_matrix(random_table(rng, 90, 70, 900))
    left, singular, right = truncated_svd(counts, 12, rng)
    best = np.linalg.svd(counts.toarray(), compute_uv=False)[:12]
    lost = np.linalg.norm(counts.toarray() - left * singular @ right.T) ** 2
    least = np.linalg.norm(counts.toarray()) ** 2 - (best**2).sum()
    assert lost <= 1.02 * least
    np.testing.assert_allclose(left.T @ left, np.eye(12), atol=1e-4)


def test_svd_of_lower_rank_pads_with_zeros(rng):
    table = random_table(rng, 9, 6, 30)
    left, singular, right = truncated_svd(as_matrix(table), 10, rng)
    assert left.shape == (9, 10)
    assert right.shape == (6, 10)
    assert not singular[6:].any()
    np.testing.assert_allclose(left * singular @ right.T, as_matrix(table).toarray(), atol=1e-3)


def test_log_pmi_is_damped_for_rare_centers():
    table = planted_table()
    counts = as_matrix(table)
    chances = noise_chances(counts, 0.75)
    dense, mass = counts.toarray(), counts.sum(axis=1)
    with np.errstate(divide="ignore"):
        want = np.maximum(np.log(dense / np.outer(mass, chances)), 0) * (mass / (mass + 40))[:, None]
    np.testing.assert_allclose(log_pmi(counts, chances, 40.0).toarray(), want, rtol=1e-4, atol=1e-5)


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
    trainer = Sgns(dim=8, damping=0.0, device="cpu")
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
        ("start", "cold", "one of"),
        ("device", "tpu9", "one of"),
    ],
)
def test_wrong_setting_is_refused_by_name_and_value(setting, value, rule):
    with pytest.raises(ValueError, match=rf"Sgns\.{setting} must be {rule}.*got {value!r}"):
        Sgns(**{setting: value})


def test_missing_accelerator_is_named():
    if jax.default_backend() != "cpu":
        pytest.skip("this machine has an accelerator")
    with pytest.raises(ValueError, match="no 'gpu' device; jax sees: cpu"):
        Sgns(device="gpu").fit(planted_table())
