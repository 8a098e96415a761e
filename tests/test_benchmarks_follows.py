"""Follow Jaccard and link prediction: exact on planted vectors, chance on shuffled ones, leaks refused."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmark_world import (
    ACCOUNTS,
    COMMUNITIES,
    USERS,
    edges_of,
    follow_table,
    judge,
    planted_follows,
    shuffled,
    user_vectors,
)

from benchmarks import statistics
from benchmarks.graph import Follows
from benchmarks.task import Evaluation
from benchmarks.tasks.follow_jaccard import FollowJaccard, similarities
from registry.judging.align import unit_rows

WEEKS = ("2026-01-26", "2026-02-02")
TARGETS = [f"a{at}" for at in range(COMMUNITIES * ACCOUNTS)]


@pytest.fixture(scope="module")
def followed():
    return planted_follows()


@pytest.fixture(scope="module")
def follows(followed):
    edges = edges_of(followed)
    return follow_table(edges, [WEEKS[0]] * len(edges))


def jaccard(version, **labels):
    return judge("follow_jaccard.v1", version, labels=labels)


def test_jaccard_equals_sets_and_repeated_edges_count_once(follows, followed):
    graph = Follows.of(pa.concat_tables([follows, follows.slice(0, 50)]))
    names = graph.sources.to_pylist()
    rng = np.random.default_rng(1)
    first, second = rng.integers(len(names), size=(2, 40))
    sets = {user: set(np.flatnonzero(row)) for user, row in zip(USERS, followed, strict=True)}
    expected = [
        len(sets[names[a]] & sets[names[b]]) / len(sets[names[a]] | sets[names[b]])
        for a, b in zip(first, second, strict=True)
    ]
    np.testing.assert_allclose(graph.jaccard(first, second), expected)


def test_drawn_pairs_share_a_followee_or_none_and_none_comes_twice(follows):
    graph = Follows.of(follows)
    for drawn, shares in ((graph.draw_sharing, True), (graph.draw_apart, False)):
        pairs = drawn(500, np.random.default_rng(0))
        assert len(np.unique(pairs, axis=0)) == len(pairs) > 300
        assert (pairs[:, 0] != pairs[:, 1]).all()
        assert ((graph.jaccard(*pairs.T) > 0) == shares).all()
        np.testing.assert_array_equal(pairs, drawn(500, np.random.default_rng(0)))


def test_vectors_that_are_the_followees_reach_the_ceiling_and_shuffled_ones_chance(world, followed, follows):
    """All users follow equally many, so cosine, dot and distance rank pairs as the Jaccard index does."""
    version = world.publish(followed, keys=USERS, entity="user")
    scores = jaccard(version, follows=follows)
    for metric, score in scores.items():
        assert score.value > 0.999, metric
        assert score.low > 0.99
        assert score.details["protocol"].startswith("in sample")
        assert abs(score.details["floors"]["shuffled"]) < 0.1
    assert len(scores) == 6
    assert scores["spearman_dot"].rows_used > scores["spearman_dot_positive"].rows_used
    bad = jaccard(world.publish(shuffled(followed), keys=USERS, entity="user"), follows=follows)
    for score in bad.values():
        assert abs(score.value) < 0.12
        assert score.low - 0.05 <= 0.0 <= score.high + 0.05


def test_communities_alone_say_who_shares_but_less_of_how_much(world, follows):
    scores = jaccard(world.publish(user_vectors(), keys=USERS, entity="user"), follows=follows)
    assert scores["spearman_cosine"].value > 0.75
    assert abs(scores["spearman_cosine_positive"].value) < 0.2


def test_held_out_follows_are_used_alone_where_there_are_some(world, followed, follows):
    rng = np.random.default_rng(5)
    out = followed & (rng.random(followed.shape) < 0.5)
    edges = edges_of(out)
    version = world.publish(out, keys=USERS, entity="user")
    held = jaccard(version, follows=follows, held_out_follows=follow_table(edges, [WEEKS[0]] * len(edges)))
    assert held["spearman_cosine"].details["protocol"].startswith("held out")
    assert held["spearman_cosine"].details["labels"]["table"] == "held_out_follows"
    assert held["spearman_cosine"].value > 0.95 > jaccard(version, follows=follows)["spearman_cosine"].value


def test_users_without_a_vector_are_counted_and_too_few_pairs_are_undefined(world, followed, follows):
    half = world.publish(followed[::2], keys=USERS[::2], entity="user")
    scores = jaccard(half, follows=follows)
    assert scores["spearman_dot"].rows_left_out == len(USERS) // 2
    few = world.publish(followed[:4], keys=USERS[:4], entity="user")
    reason = jaccard(few, follows=follows)["spearman_cosine"].undefined
    assert "share a followee, needs 100" in reason
    empty = jaccard(half, follows=follows.slice(0, 0))["spearman_cosine"].undefined
    assert "0 pairs of the 0 users" in empty
    flat = world.publish(np.ones((len(USERS), 3)), keys=USERS, entity="user")
    assert "are the same" in jaccard(flat, follows=follows)["spearman_dot"].undefined


def test_unit_vectors_of_one_direction_have_no_cosine_correlation(world, follows):
    """Lengths differ, directions do not: the cosine is undefined, the dot product is not."""
    lengths = np.random.default_rng(0).integers(1, 9, size=(len(USERS), 1)) * np.array([[1.0, 0.0]])
    scores = jaccard(world.publish(lengths, keys=USERS, entity="user"), follows=follows)
    assert "pairs have the nearness 1" in scores["spearman_cosine"].undefined
    assert scores["spearman_dot"].value is not None


def test_the_same_seed_gives_the_same_score(world, followed, follows):
    version = world.publish(user_vectors(), keys=USERS, entity="user")
    task = FollowJaccard(pairs=2000)
    runs = [task(Evaluation(version=version, labels={"follows": follows}, seed=seed)) for seed in (4, 4, 5)]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.slow
def test_real_deezer_pairs_have_the_jaccard_and_the_floor_of_the_protocol(real_data):
    edges, pairs = (pq.read_table(real_data / "deezer_ro" / f"{name}.parquet") for name in ("edges", "jaccard_pairs"))
    both = pa.concat_tables([edges, edges.rename_columns(["dst", "src"]).select(["src", "dst"])])
    graph = Follows.of(pa.table({name: both[name].cast(pa.string()) for name in ("src", "dst")}))
    row = {key: at for at, key in enumerate(graph.sources.to_pylist())}
    first, second = ([row[str(user)] for user in pairs[name].to_pylist()] for name in ("user_a", "user_b"))
    found = graph.jaccard(np.array(first), np.array(second))
    np.testing.assert_allclose(found, pairs["jaccard"].to_numpy())
    near = similarities(np.log1p(graph.degrees)[:, None], np.stack([first, second], axis=1))
    positive = found > 0
    assert statistics.once(statistics.spearman, near["dot"], found) == pytest.approx(0.226, abs=0.002)
    assert statistics.once(statistics.spearman, near["euclidean"][positive], found[positive]) == pytest.approx(
        0.259, abs=0.002
    )


class Linked:
    """Two weeks of a users x accounts embedding in one space, and the links of both weeks."""

    def __init__(self, world, entity="producer", vectors=None, weeks=WEEKS, **window):
        centers = unit_rows(np.random.default_rng(7).normal(size=(COMMUNITIES, 24)))
        accounts = centers[np.arange(len(TARGETS)) // ACCOUNTS] + 0.02 * np.random.default_rng(8).normal(
            size=(len(TARGETS), 24)
        )
        users = user_vectors(noise=0.02) if vectors is None else vectors
        self.versions = {}
        for week in weeks:
            given = {"week": week, "space": f"linked-{week}", "training": {"window": {"columns": "x/y", **window}}}
            name = f"linked{world.names}"
            source = world.publish(users, keys=USERS, entity="user", **given, name=name)
            target_name = window.get("column_name") or name
            target = world.publish(accounts, keys=TARGETS, entity=entity, **given, name=target_name)
            self.versions[week] = {"user/linked": source, f"{entity}/{window.get('column_name') or 'linked'}": target}

    def judge(self, **labels):
        before, now = self.versions.values()
        given = {"history": {1: before["user/linked"]}, "together": now, "earlier": {1: before}}
        return judge("link_prediction.v1", now["user/linked"], labels=labels, **given)


def split_by_week(followed, seed=2, columns=("src", "dst")):
    """Half of the links in either week; ten of the second week's were there in the first already."""
    edges = edges_of(followed)
    order = np.random.default_rng(seed).permutation(len(edges))
    half = len(edges) // 2
    rows = [*order[:half], *order[half:], *order[:10]]
    table = follow_table([edges[row] for row in rows], [WEEKS[0]] * half + [WEEKS[1]] * (len(rows) - half))
    return table.rename_columns([*columns, "week"])


def test_next_weeks_engagements_are_foretold_by_planted_vectors(world, followed):
    links = split_by_week(followed, columns=("user_id", "producer_id"))
    linked = Linked(world)
    scores = linked.judge(recent_engagements=links)
    # A twelfth of the random wrong answers lies in the right community, where nothing tells it apart.
    assert scores["roc_auc"].value > 0.9
    assert scores["roc_auc_matched"].value > 0.9
    assert scores["roc_auc"].floor < 0.6
    # 9 or more of a community's 15 accounts are left as candidates for 10 places
    assert scores["recall_at_10"].value > 0.75 > 0.3 > scores["recall_at_10"].floor
    details = scores["roc_auc"].details
    assert details["judged"] == linked.versions[WEEKS[0]]["user/linked"].reference
    assert details["known_already"] == 10
    assert scores["roc_auc"].rows_used == followed.sum() - followed.sum() // 2
    assert scores["roc_auc"].rows_left_out == 10


def test_shuffled_vectors_foretell_nothing(world, followed):
    links = split_by_week(followed, columns=("user_id", "producer_id"))
    scores = Linked(world, vectors=shuffled(user_vectors(noise=0.02))).judge(recent_engagements=links)
    for metric in ("roc_auc", "roc_auc_matched"):
        assert abs(scores[metric].value - 0.5) < 0.08
        assert scores[metric].low <= 0.5 <= scores[metric].high
    assert scores["recall_at_10"].value < 0.2


def test_follows_are_asked_of_the_two_sides_of_users_by_the_source_alone(world, followed):
    linked = Linked(world, entity="user", column_name="linked_to")
    scores = linked.judge(follows=split_by_week(followed))
    assert scores["roc_auc"].value > 0.9
    now = linked.versions[WEEKS[1]]
    assert judge("link_prediction.v1", now["user/linked_to"], together=now) == {}


def test_an_embedding_that_nothing_links_has_no_score(world, followed):
    linked = Linked(world, entity="word")
    assert linked.judge(follows=split_by_week(followed)) == {}


@pytest.mark.parametrize(
    ("rows", "part"),
    [
        (lambda week, known: week == WEEKS[0], "the week 2026-02-02 has no links"),
        (lambda week, known: known, "all 10 links of the week 2026-02-02 were known before"),
    ],
)
def test_weeks_without_new_links_are_undefined(world, followed, rows, part):
    links = split_by_week(followed, columns=("user_id", "producer_id"))
    total = links.num_rows
    mask = [rows(week, week == WEEKS[0] or at >= total - 10) for at, week in enumerate(links["week"].to_pylist())]
    scores = Linked(world).judge(recent_engagements=links.filter(pa.array(mask)))
    assert all(part in score.undefined for score in scores.values())


def test_a_version_trained_on_the_week_it_is_asked_about_is_refused(world, followed):
    links = split_by_week(followed, columns=("user_id", "producer_id"))
    linked = Linked(world)
    now = linked.versions[WEEKS[1]]
    given = {"history": {1: now["user/linked"]}, "together": now, "earlier": {1: now}}
    scores = judge("link_prediction.v1", now["user/linked"], labels={"recent_engagements": links}, **given)
    assert "are not new to it" in scores["roc_auc"].undefined


def test_lacking_versions_labels_and_links_are_said(world, followed):
    linked = Linked(world)
    now = linked.versions[WEEKS[1]]
    first_week = judge("link_prediction.v1", now["user/linked"], together=now)
    assert "version of 1 week(s) before" in first_week["roc_auc"].undefined
    assert "label table recent_engagements" in linked.judge()["roc_auc"].undefined
    strangers = follow_table([("x", "y")] * 40 + [("z", "y")], [WEEKS[1]] * 41).rename_columns(
        ["user_id", "producer_id", "week"]
    )
    scores = linked.judge(recent_engagements=strangers)
    assert "0 new links of 2026-02-02 have a vector at both ends" in scores["roc_auc"].undefined
    assert scores["roc_auc"].rows_left_out == 2
