"""The randomized SVD against LAPACK on tables small enough for it."""

import dataclasses

import jax
import numpy as np
import pytest
import scipy.sparse as sp
from contracts import TrainerContract, planted_table, vocabulary

from embedding_assets.records import PairTable
from embedding_assets.trainers.errors import InvalidPairTable, TrainingDiverged
from embedding_assets.trainers.low_rank import (
    Search,
    Triplets,
    random_columns,
    scale_of,
    spanned_by,
    truncated_svd,
    whitening,
)
from embedding_assets.trainers.low_rank_layout import in_order, lay_out, padded, padded_part, padded_sparse, share_out
from embedding_assets.trainers.low_rank_programs import compile_programs, gram_of, mixed, powered, product
from embedding_assets.trainers.matrix import as_matrix, dimensions
from embedding_assets.trainers.svd import SPREADS, Svd
from embedding_assets.trainers.weights import degree_normalized, weighted


@pytest.fixture(autouse=True)
def _no_silent_broadcasting():
    with jax.numpy_rank_promotion("raise"):
        yield


class TestSvdContract(TrainerContract):
    trainer = Svd(dim=6, oversampling=4, device="cpu")


class TestDegreeNormalizedContract(TrainerContract):
    trainer = Svd(dim=5, oversampling=3, rounds=3, weights="log", normalize="degree", device="cpu")


def table_of(dense: np.ndarray) -> PairTable:
    rows, cols = np.nonzero(dense)
    return PairTable(
        rows=vocabulary("user", np.ones(dense.shape[0])),
        columns=vocabulary("site", np.ones(dense.shape[1])),
        row_ids=rows.astype(np.int32),
        col_ids=cols.astype(np.int32),
        counts=dense[rows, cols].astype(np.float32),
    )


def random_counts(rng, rows: int, columns: int, share: float = 0.2) -> np.ndarray:
    return rng.integers(1, 9, (rows, columns)) * (rng.random((rows, columns)) < share)


def factored(dense: np.ndarray, rng, **search: int) -> Triplets:
    matrix = sp.csr_array(dense.astype(np.float32))
    settings = Search(**search)
    subspace = spanned_by(random_columns(dimensions(matrix), settings, rng), matrix)
    return truncated_svd(matrix, settings, subspace, jax.devices("cpu")[0])


@pytest.mark.parametrize("shape", [(90, 70), (70, 90)])
def test_energy_lost_is_nearly_the_least_possible(rng, shape):
    dense = random_counts(rng, *shape)
    found = factored(dense, rng, rank=12, rounds=4, oversampling=8)
    values = np.linalg.svd(dense, compute_uv=False)
    least = (values[12:] ** 2).sum() / (values**2).sum()
    left = np.linalg.norm(dense - found.left * found.singular @ found.right.T) ** 2 / (values**2).sum()
    assert found.lost == pytest.approx(left, rel=1e-4)
    assert least <= left * (1 + 1e-5)
    assert left <= 1.01 * least
    for side in (found.left, found.right):
        np.testing.assert_allclose(side.T @ side, np.eye(12), atol=1e-5)


def test_triplets_are_those_of_lapack_where_the_subspace_holds_all(rng):
    dense = random_counts(rng, 23, 9, share=0.5)
    found = factored(dense, rng, rank=7, rounds=1, oversampling=5)
    left, values, right = np.linalg.svd(dense)
    np.testing.assert_allclose(found.singular, values[:7], rtol=1e-5)
    signs = np.sign(np.sum(left[:, :7] * found.left, axis=0))
    np.testing.assert_allclose(found.left * signs, left[:, :7], atol=1e-4)
    np.testing.assert_allclose(found.right * signs, right[:7].T, atol=1e-4)


def test_steep_spectrum_keeps_its_small_components(rng):
    left, right = (np.linalg.qr(rng.standard_normal((n, 60)))[0] for n in (80, 60))
    values = 10.0 ** (-np.arange(60) / 6)
    found = factored(left * values @ right.T, rng, rank=15, rounds=2, oversampling=10)
    np.testing.assert_allclose(found.singular, values[:15], rtol=0.02)
    for side in (found.left, found.right):
        np.testing.assert_allclose(side.T @ side, np.eye(15), atol=1e-4)


@pytest.mark.parametrize(("rank", "shape"), [(1, (8, 5)), (3, (40, 30)), (6, (9, 6))])
def test_columns_past_the_rank_are_zeros(rng, rank, shape):
    dense = rng.random((shape[0], rank)) @ rng.random((rank, shape[1]))
    found = factored(dense, rng, rank=11, rounds=3, oversampling=4)
    assert found.left.shape == (shape[0], 11)
    assert found.right.shape == (shape[1], 11)
    assert (found.singular > 0).sum() <= rank
    for part in (found.left[:, rank:], found.right[:, rank:], found.singular[rank:]):
        assert not part.any()
    np.testing.assert_allclose(found.left * found.singular @ found.right.T, dense, atol=2e-3)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_scale_of_the_counts_does_not_matter(rng, scale):
    dense = random_counts(rng, 30, 20).astype(np.float64)
    plain = Svd(dim=4, weights="raw", device="cpu").fit(table_of(dense))
    scaled = Svd(dim=4, weights="raw", device="cpu").fit(table_of(dense * scale))
    np.testing.assert_allclose(scaled.extras["singular_values"] / scale, plain.extras["singular_values"], rtol=1e-4)


def test_signs_make_the_largest_entry_of_the_shorter_side_positive(rng):
    for shape in ((31, 17), (17, 31)):
        found = factored(random_counts(rng, *shape), rng, rank=5, rounds=3, oversampling=6)
        short = min(found.left, found.right, key=len)
        assert (short[np.abs(short).argmax(axis=0), range(5)] > 0).all()


@pytest.mark.parametrize("spread", SPREADS)
def test_product_of_the_sides_is_the_weighted_table_however_spread(rng, spread):
    dense = random_counts(rng, 13, 8, share=0.5)
    settings = Svd(dim=8, weights="log", normalize="degree", spread=spread, device="cpu")
    result = settings.fit(table_of(dense))
    sources, destinations = (side.vectors for side in result.tables)
    want = degree_normalized(weighted(as_matrix(table_of(dense)), "log")).toarray()
    np.testing.assert_allclose(sources @ destinations.T, want, atol=1e-3)
    assert result.metrics["lost_energy"] == pytest.approx(0.0, abs=1e-5)
    lengths = {"half": 0.5, "sources": 1.0, "destinations": 0.0}[spread]
    np.testing.assert_allclose(np.linalg.norm(sources, axis=0), result.extras["singular_values"] ** lengths, rtol=1e-4)


def test_loss_is_the_energy_outside_the_subspace_after_each_round(rng):
    dense = random_counts(rng, 60, 45)
    result = Svd(dim=4, oversampling=0, rounds=5, weights="raw", device="cpu").fit(table_of(dense))
    # without oversampling, the subspace is what is returned
    assert result.loss_curve[-1] == pytest.approx(result.metrics["lost_energy"], abs=1e-5)
    assert list(result.loss_curve) == sorted(result.loss_curve, reverse=True)
    values = result.extras["singular_values"].astype(np.float64)
    assert result.metrics["lost_energy"] == pytest.approx(1 - (values**2).sum() / (dense**2.0).sum(), abs=1e-5)


def test_warm_start_needs_fewer_rounds(rng):
    table = table_of(random_counts(rng, 120, 80))
    settings = Svd(dim=8, oversampling=4, rounds=6, weights="raw", device="cpu")
    once = dataclasses.replace(settings, rounds=1, seed=1)
    earlier = settings.fit(table)
    warm, cold = once.fit(table, init=earlier.tables), once.fit(table)
    assert warm.metrics["lost_energy"] < 1.001 * earlier.metrics["lost_energy"]
    assert cold.metrics["lost_energy"] > 1.02 * earlier.metrics["lost_energy"]


def test_each_step_matches_its_formula(rng):
    tall, short, width = 128, 64, 7
    dense = random_counts(rng, tall, short).astype(np.float32)
    basis = rng.standard_normal((short, width), dtype=np.float32)
    matrix = sp.csr_array(dense)
    scale = scale_of(matrix)
    assert scale.norm == pytest.approx(np.linalg.norm(dense))
    up, down = (padded_sparse(one, scale, len(one.indptr) - 1, 2048) for one in (matrix, matrix.T.tocsr()))
    dense /= np.float32(scale.norm)
    image = product(up, basis)
    np.testing.assert_allclose(image, dense @ basis, rtol=1e-4, atol=1e-3)
    back, ritz, gram = powered(down, image, basis, shards=1)
    np.testing.assert_allclose(back, dense.T @ dense @ basis, rtol=1e-4, atol=1e-1)
    np.testing.assert_allclose(ritz, basis.T @ np.asarray(back), rtol=1e-3, atol=1)
    np.testing.assert_allclose(gram, gram_of(back, shards=1), rtol=1e-6)
    mix = rng.standard_normal((width, width), dtype=np.float32)
    columns, inner = mixed(back, basis, np.float32(0.3), mix)
    np.testing.assert_allclose(columns, (np.asarray(back) - 0.3 * basis) @ mix, rtol=1e-3, atol=1e-1)
    np.testing.assert_allclose(inner, np.asarray(columns).T @ np.asarray(columns), rtol=1e-4)


def test_whitening_makes_columns_orthonormal_and_gives_up_what_rounding_hides(rng):
    columns = rng.standard_normal((50, 6)) * 10.0 ** np.arange(6)
    turn = whitening(columns.T @ columns, 1e-6, 0.0)
    np.testing.assert_allclose((columns @ turn).T @ (columns @ turn), np.eye(6), atol=1e-9)
    twice = np.concatenate([columns, columns[:, :1]], axis=1)
    white = twice @ whitening(twice.T @ twice, 1e-6, 0.0)
    assert np.linalg.matrix_rank(white, tol=1e-6) == 6
    assert np.linalg.norm(white) == pytest.approx(np.sqrt(6))


@pytest.mark.parametrize("shards", [2, 3, 8])
def test_devices_have_as_many_ids_and_nearly_as_many_edges(shards):
    edges = np.random.default_rng(0).zipf(1.5, 5000).clip(max=2000)
    parts = share_out(edges, shards)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(5000))
    assert all((np.diff(ids) > 0).all() for ids in parts)
    assert np.ptp([len(ids) for ids in parts]) <= 1
    assert max(edges[ids].sum() for ids in parts) < 1.01 * edges.sum() / shards


@pytest.mark.parametrize("shards", [1, 3, 90])
@pytest.mark.parametrize("shape", [(80, 30), (30, 80)])
def test_every_edge_is_on_one_device_both_ways(rng, shape, shards):
    dense = random_counts(rng, *shape).astype(np.float32)
    matrix = sp.csr_array(dense)
    layout, scale = lay_out(matrix, 5, 3, shards), scale_of(matrix)
    longer = dense if shape[0] > shape[1] else dense.T
    norm = np.linalg.norm(dense)

    def padded_dense(shard: int, *, longer: bool) -> np.ndarray:
        part = padded_part(matrix, scale, layout, shard, longer=longer)
        sides = (layout.sizes.tall, layout.sizes.short) if longer else (layout.sizes.short, layout.sizes.tall)
        assert len(part.values) == layout.sizes.entries
        return sp.csr_array((part.values, part.columns, part.starts), shape=sides).toarray() * norm

    tall = [padded_dense(shard, longer=True) for shard in range(shards)]
    np.testing.assert_allclose(in_order(np.concatenate(tall), layout)[:, :30], longer, rtol=1e-5)
    for shard, upright in enumerate(tall):
        np.testing.assert_array_equal(padded_dense(shard, longer=False), upright.T)
        assert not upright[len(layout.parts[shard]) :].any()


def test_sizes_are_few_and_never_too_small():
    sizes = [padded(n) for n in range(1, 40_000, 37)]
    assert all(got >= n for got, n in zip(sizes, range(1, 40_000, 37), strict=True))
    assert all(got <= 1.13 * n for got, n in zip(sizes, range(1, 40_000, 37), strict=True) if n > 4096)
    assert len(set(sizes)) <= 36


def test_ten_similar_weeks_compile_once(rng):
    compiled: list[str] = []

    def count(event: str, duration_secs: float, **_: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    compile_programs.cache_clear()
    trainer = Svd(dim=6, device="cpu")
    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        after_each = []
        for week in range(10):
            trainer.fit(table_of(random_counts(rng, 150 + 4 * week, 140 + 5 * week, share=0.12)))
            after_each.append(len(compiled))
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
    assert after_each[0] > 0
    assert after_each == after_each[:1] * 10


def test_padding_has_no_influence(rng):
    dense = random_counts(rng, 64, 64)
    wide = np.zeros((65, 64))  # one row more, and the next size of the programs
    wide[:64] = dense
    tight, loose = (factored(d, np.random.default_rng(3), rank=5, rounds=3, oversampling=4) for d in (dense, wide))
    np.testing.assert_allclose(loose.left[:64], tight.left, atol=1e-4)
    assert not loose.left[64:].any()


def test_ids_without_weight_have_vectors_of_zeros():
    table = planted_table()
    wider = vocabulary("word", np.ones(77))
    result = Svd(dim=6, device="cpu").fit(dataclasses.replace(table, rows=wider, columns=wider))
    for side in result.tables:
        assert np.abs(side.vectors[:60]).sum(axis=1).all()
        assert not side.vectors[60:].any()


@pytest.mark.parametrize("dim", [1, 2, 100])
def test_any_width_fits_a_table_of_sixty(dim):
    result = Svd(dim=dim, device="cpu").fit(planted_table())
    assert result.tables[0].vectors.shape == (60, dim)
    assert result.extras["singular_values"].shape == (dim,)


def test_weights_that_are_all_zero_are_refused(rng):
    with pytest.raises(InvalidPairTable, match=r"all 32 weights are 0.*other weights"):
        Svd(dim=3, weights="ppmi", device="cpu").fit(table_of(np.ones((8, 4))))


def test_singular_value_beyond_float32_is_a_typed_error():
    with pytest.raises(TrainingDiverged, match=r"\d+ of 3 .* not finite"):
        Svd(dim=3, weights="raw", device="cpu").fit(table_of(np.full((20, 15), 3e38)))


@pytest.mark.parametrize(
    ("setting", "value", "rule"),
    [
        ("dim", 0, "at least 1"),
        ("dim", 2.0, "an integer"),
        ("rounds", 0, "at least 1"),
        ("oversampling", -1, "at least 0"),
        ("seed", -1, "at least 0"),
        ("weights", "bm25", "one of"),
        ("normalize", "rows", "one of"),
        ("spread", "all", "one of"),
        ("device", "tpu9", "one of"),
    ],
)
def test_wrong_setting_is_refused_by_name_and_value(setting, value, rule):
    with pytest.raises(ValueError, match=rf"Svd\.{setting} must be {rule}.*got {value!r}"):
        Svd(**{setting: value})
