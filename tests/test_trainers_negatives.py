"""Three ways to treat negatives: each against a loop, each other, and the exact objective."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contracts import TrainerContract, digest, planted_table, random_table, trained
from scipy.special import expit, log_expit

from embedding_assets.records import PairTable
from embedding_assets.trainers.devices import pick_device
from embedding_assets.trainers.exact_tiles import ExactTiles
from embedding_assets.trainers.matrix import as_matrix
from embedding_assets.trainers.mixed_tiles import FREQUENT_MASS, RULES, MixedTiles, frequent_ids, rule_for
from embedding_assets.trainers.sampled import FULL, SampledNegatives, draw_pairs, ladder_of, sampled_gradient
from embedding_assets.trainers.sgns import EXACT_CELLS_ACCELERATOR, EXACT_CELLS_CPU, Course, Sgns
from embedding_assets.trainers.sgns_fit import noise_chances
from embedding_assets.trainers.tile_epoch import first_state
from embedding_assets.trainers.tile_plans import Group, draw_visits, exact_plan, mixed_plan, number_of_visits
from embedding_assets.trainers.tiles import lay_out
from embedding_assets.trainers.way import Work

RATES = np.array([0.1, 0.05], np.float32)


@pytest.fixture(autouse=True)
def _no_silent_broadcasting():
    with jax.numpy_rank_promotion("raise"):
        yield


class TestMixedContract(TrainerContract):
    trainer = Sgns(dim=16, negatives="mixed", device="cpu")


class TestSampledContract(TrainerContract):
    trainer = Sgns(dim=16, negatives="sampled", device="cpu")


def work_of(table: PairTable, settings: Sgns) -> Work:
    counts = as_matrix(table)
    chances = noise_chances(counts, settings.noise_exponent)
    return Work(settings, counts, chances, np.random.default_rng(5), pick_device("cpu"))


def exact_loss(table: PairTable, vectors: tuple[np.ndarray, ...], k: int) -> float:
    """The objective negated, over the dense table, in float64."""
    dense = as_matrix(table).toarray().astype(np.float64)
    scores = vectors[0].astype(np.float64) @ vectors[1].T
    noise = table.columns.counts**0.75 * (dense.sum(axis=0) > 0)
    negatives = k * np.outer(dense.sum(axis=1), noise / noise.sum())
    return -float((dense * log_expit(scores) + negatives * log_expit(-scores)).sum() / dense.sum())


def test_sampled_gradient_matches_a_plain_loop(rng):
    B, K, D = 5, 3, 7  # all different, so a swapped axis cannot pass
    centers, contexts = rng.standard_normal((B, D)), rng.standard_normal((B, 1 + K, D))
    drawn = np.array([1, 1, 1, 1, 0], np.float32)  # the last is padding
    up_centers, up_contexts, losses = np.zeros((B, D)), np.zeros((B, 1 + K, D)), np.zeros(B)
    for b in range(B - 1):
        for j in range(1 + K):
            x = centers[b] @ contexts[b, j]
            slope = expit(-x) if j == 0 else -expit(x)
            up_centers[b] += slope * contexts[b, j]
            up_contexts[b, j] = slope * centers[b]
            losses[b] -= log_expit(x) if j == 0 else log_expit(-x)
    got = sampled_gradient(*(jnp.asarray(a, jnp.float32) for a in (centers, contexts, drawn)))
    for mine, loop in zip(got, (up_centers, up_contexts, losses), strict=True):
        np.testing.assert_allclose(mine, loop, rtol=1e-4, atol=1e-5)


def test_an_epoch_draws_each_pair_as_often_as_it_was_counted(rng):
    counts = as_matrix(random_table(rng, 9, 7, 40))
    places = draw_pairs(counts, rng)
    np.testing.assert_array_equal(np.bincount(places, minlength=40), counts.data)
    assert not np.array_equal(places, np.sort(places))
    halves = counts * np.float32(0.5)
    halves.data += np.float32(0.25)
    often = np.bincount(np.concatenate([draw_pairs(halves, rng) for _ in range(300)]), minlength=40) / 300
    np.testing.assert_allclose(often, halves.data * len(draw_pairs(halves, rng)) / halves.data.sum(), atol=0.15)


def test_the_ladder_gives_every_column_its_chance():
    chances = np.array([0.0, 0.5, 1e-7, 0.0, 0.5 - 1e-7, 0.0])
    ladder = ladder_of(chances, 8).astype(np.int64)
    np.testing.assert_allclose(np.diff(ladder, prepend=0)[:6] / FULL, chances, atol=1e-9)
    # the largest draw falls on a column that has a chance, not on the padding or the last column
    assert np.searchsorted(ladder, FULL - 1, side="right") == 4


@pytest.mark.parametrize("negatives", ["exact", "mixed", "sampled"])
def test_the_reported_loss_is_the_exact_objective_of_the_whole_table(rng, negatives):
    table = random_table(rng, 60, 90, 1500)
    settings = Sgns(dim=5, k=3, epochs=60, tile=8, learning_rate=1e-30, negatives=negatives, device="cpu")
    result = settings.fit(table)
    wanted = exact_loss(table, tuple(side.vectors for side in result.tables), k=3)
    # drawn tiles and drawn negatives miss it by chance in one epoch, and not on average
    assert np.mean(result.loss_curve) == pytest.approx(wanted, rel=1e-5 if negatives == "exact" else 0.01)


def test_all_ways_come_to_the_same_objective():
    table = planted_table()
    ends = {}
    for negatives, rate in (("exact", 0.2), ("mixed", 0.2), ("sampled", 0.05)):
        settings = Sgns(dim=8, epochs=12, learning_rate=rate, negatives=negatives, inertia=0.0, device="cpu")
        vectors = tuple(side.vectors for side in settings.fit(table).tables)
        ends[negatives] = exact_loss(table, vectors, settings.k)
    begin = Sgns(dim=8, epochs=1, learning_rate=1e-30, device="cpu").fit(table)
    first = exact_loss(table, tuple(side.vectors for side in begin.tables), 5)
    assert max(ends.values()) < first - 0.05
    assert max(ends.values()) - min(ends.values()) < 0.02


def test_sampled_steps_follow_the_exact_gradient_on_average(rng):
    """With a tiny rate the vectors stay where they are, so the sum of all steps is the gradient there."""
    work = work_of(random_table(rng, 12, 17, 60), Sgns(dim=3, epochs=200, negatives="sampled", device="cpu"))
    start = rng.standard_normal((12, 3)).astype(np.float32), rng.standard_normal((17, 3)).astype(np.float32)
    way = SampledNegatives(work)
    state = way.begin(*start)
    for epoch in range(200):
        state, _ = way.run_epoch(state, epoch, np.full(2, 1e-5, np.float32))
    dense = work.counts.toarray().astype(np.float64)
    scores = start[0].astype(np.float64) @ start[1].T
    slope = dense * expit(-scores) - 5 * np.outer(dense.sum(axis=1), work.chances) * expit(scores)
    for after, before, want in zip(way.vectors(state), start, (slope @ start[1], slope.T @ start[0]), strict=True):
        steps = (after - before) / (200 * 1e-5)
        assert np.linalg.norm(steps - want) < 0.1 * np.linalg.norm(want)


@pytest.mark.parametrize(("rows", "columns"), [(37, 90), (90, 37)])
def test_a_mixed_epoch_weighs_every_tile_alike_on_average(rng, rows, columns):
    counts = as_matrix(random_table(rng, rows, columns, 600))
    heads = tuple(frequent_ids(counts.sum(axis=axis), 8, 200.0) for axis in (1, 0))
    tiles = lay_out(counts, np.ones(columns), 8, rng, heads)
    plan = mixed_plan(tiles, heads, (3.0, 1.5, 0.25), rng)
    epochs = 400
    weights = np.zeros(len(tiles.arrays.starts) - 1)
    for epoch in range(epochs):
        visits = draw_visits(plan, epoch, RATES, number_of_visits(plan) + 3, rng)
        assert visits.number == number_of_visits(plan)
        assert not visits.weights[visits.number :].any()
        np.add.at(weights, visits.tiles[: visits.number], visits.weights[: visits.number])
    np.testing.assert_allclose(weights[tiles.used] / epochs, 1.0, atol=0.02)
    assert weights.sum() / epochs == pytest.approx(len(tiles.used), rel=1e-5)
    assert sorted(np.concatenate([group.tiles for group in plan])) == sorted(tiles.used)


def test_every_tile_has_its_turn_before_one_comes_again(rng):
    group = Group(rng.permutation(10), 1.4)
    turns = []
    for epoch in range(5):
        visits = draw_visits([group], epoch, RATES, 16, rng)
        seen = np.bincount(visits.tiles[: visits.number], minlength=10)
        turns.append(np.flatnonzero(seen == 2))
        assert len(turns[-1]) == 4
        assert (seen >= 1).all()
    np.testing.assert_array_equal(np.bincount(np.concatenate(turns)), np.full(10, 2))
    np.testing.assert_array_equal(np.bincount(np.concatenate(turns[:2]), minlength=10).max(), 1)


def test_the_layout_puts_frequent_ids_first(rng):
    counts = as_matrix(random_table(rng, 40, 56, 500))
    mass = counts.sum(axis=1)
    head = frequent_ids(mass, 8, 200.0)
    tiles = lay_out(counts, counts.sum(axis=0), 8, rng, (head, 16))
    first = tiles.row_places < head
    assert first.sum() == head < 40
    assert mass[first].min() >= mass[~first].max()
    assert mass[first].sum() >= FREQUENT_MASS * mass.sum() > mass[first].sum() - 8 * mass[first].max()
    assert sorted(tiles.col_places) == list(range(56))


def test_frequent_ids_are_at_most_all():
    assert frequent_ids(np.ones(10), 16, 200.0) == 10
    assert frequent_ids(np.array([100.0, 1.0, 1.0]), 1, 200.0) == 1


def test_ids_with_many_pairs_are_frequent_whatever_share_they_hold():
    mass = np.array([1e6, 200.0, 1.0, 199.0, 400.0])
    assert frequent_ids(mass, 1, 200.0) == 3


def test_larger_tables_have_rules_of_their_own():
    assert [rule_for(ids * ids) for ids in (16_000, 38_000, 100_000)] == list(RULES)
    assert [rule_for(int(rule.most_cells)) for rule in RULES[:-1]] == list(RULES[:-1])


def test_an_exact_plan_visits_every_tile_once(rng):
    tiles = lay_out(as_matrix(random_table(rng, 37, 23, 300)), np.ones(23), 8, rng)
    visits = draw_visits(exact_plan(tiles), 0, RATES, 64, rng)
    assert sorted(visits.tiles[: visits.number]) == sorted(tiles.used)
    assert (visits.weights[: visits.number] == 1).all()
    assert number_of_visits([Group(tiles.used, 0.001)]) == 1  # never none


def test_inertia_holds_rare_ids_back(rng):
    table = planted_table()
    begin = Sgns(dim=6, epochs=1, learning_rate=1e-30, device="cpu").fit(table)
    moved = {}
    for inertia in (0.0, 1000.0):
        after = Sgns(dim=6, epochs=1, learning_rate=0.2, inertia=inertia, device="cpu").fit(table)
        moved[inertia] = np.linalg.norm(after.tables[0].vectors - begin.tables[0].vectors, axis=1)
    order = np.argsort(as_matrix(table).sum(axis=1))
    held_back = (moved[1000.0] / moved[0.0])[order]
    assert held_back.max() < 1
    assert held_back[:10].mean() < held_back[-10:].mean()


def test_inertia_is_counted_in_pairs(rng):
    table = random_table(rng, 37, 23, 300)
    tiles = lay_out(as_matrix(table), np.ones(23), 8, rng)
    vectors = rng.standard_normal((37, 4)), rng.standard_normal((23, 4))
    squares = [first_state(tiles, *vectors, inertia).center_squares for inertia in (0.0, 10.0, 20.0)]
    assert not squares[0].any()
    np.testing.assert_allclose(squares[2], 4 * squares[1])
    assert (squares[1] > 0).all()


def test_occurrences_decide_the_noise_where_they_are_known(rng):
    counts = as_matrix(random_table(rng, 9, 7, 40))
    occurrences = np.array([5.0, 1, 2, 3, 4, 0.5, 8])
    assert noise_chances(counts, 0.75, occurrences) == pytest.approx(occurrences**0.75 / (occurrences**0.75).sum())
    unknown = np.where(np.arange(7) == 2, 0.0, occurrences)
    np.testing.assert_array_equal(noise_chances(counts, 0.75, unknown), noise_chances(counts, 0.75))


@pytest.mark.parametrize(
    ("settings", "shape", "platform", "course"),
    [
        (Sgns(), (8_000, 8_000), "cpu", Course("exact", 2, 0.2)),
        (Sgns(), (16_000, 16_000), "cpu", Course("mixed", 2, 0.2)),
        (Sgns(negatives="exact"), (38_000, 38_000), "cpu", Course("exact", 3, 0.2)),
        (Sgns(), (16_000, 16_000), "gpu", Course("exact", 2, 0.2)),
        (Sgns(), (100_000, 100_000), "gpu", Course("exact", 3, 0.2)),
        (Sgns(), (EXACT_CELLS_ACCELERATOR, 2), "gpu", Course("mixed", 2, 0.2)),
        (Sgns(), (EXACT_CELLS_CPU // 2, 2), "cpu", Course("exact", 2, 0.2)),
        (Sgns(), (EXACT_CELLS_CPU, 2), "cpu", Course("mixed", 2, 0.2)),
        (Sgns(), (100_000, 100_000), "cpu", Course("mixed", 2, 0.2)),
        (Sgns(negatives="sampled"), (9, 9), "cpu", Course("sampled", 2, 0.025)),
        (Sgns(epochs=7, learning_rate=0.5, negatives="mixed"), (9, 9), "cpu", Course("mixed", 7, 0.5)),
    ],
)
def test_what_is_left_open_depends_on_the_table_and_the_device(settings, shape, platform, course):
    assert settings.course(shape, platform) == course


def test_a_mixed_table_says_what_it_takes_for_frequent():
    metrics = trained(TestMixedContract.trainer).metrics
    assert 0 < metrics["frequent_rows"] <= 60
    assert metrics["frequent_rows"] % metrics["tile"] == 0 or metrics["frequent_rows"] == 60


@pytest.mark.parametrize("negatives", ["mixed", "sampled"])
def test_rectangular_tables_repeat_to_the_byte(rng, negatives):
    table = random_table(rng, 70, 31, 900)
    trainer = Sgns(dim=6, negatives=negatives, device="cpu")
    first, second = trainer.fit(table), trainer.fit(table)
    assert digest(first) == digest(second)
    assert [side.vectors.shape for side in first.tables] == [(70, 6), (31, 6)]
    other = Sgns(dim=6, negatives=negatives, seed=1, device="cpu").fit(table)
    assert digest(other) != digest(first)


def test_mixed_is_a_way_like_exact(rng):
    work = work_of(random_table(rng, 70, 31, 900), Sgns(dim=4, negatives="mixed", device="cpu"))
    start = rng.standard_normal((70, 4)).astype(np.float32), rng.standard_normal((31, 4)).astype(np.float32)
    for way in (MixedTiles(work), ExactTiles(work)):
        for got, want in zip(way.vectors(way.begin(*start)), start, strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("setting", "value", "rule"),
    [("negatives", "some", "one of"), ("inertia", -1.0, "at least 0"), ("inertia", float("inf"), "at least 0")],
)
def test_wrong_settings_are_refused(setting, value, rule):
    with pytest.raises(ValueError, match=rf"Sgns\.{setting} must be {rule}.*got {value!r}"):
        Sgns(**{setting: value})


def test_shards_take_exact_negatives_only():
    with pytest.raises(ValueError, match=r"Sgns\.negatives must be exact or auto with several shards, got 'sampled'"):
        Sgns(negatives="sampled", shards=2)
