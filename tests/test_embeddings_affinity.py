"""The affinity embeddings on a small synthetic Twitter: what is planted in it is found again, for its cause."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pytest
from stage_runs import Stages

from benchmarks.probe import probe, stratified_folds
from embedding_assets.drafts import centered
from embedding_assets.embeddings import all_specs
from embedding_assets.records import EmbeddingTable
from embedding_assets.sources.schema import shift_week
from embedding_assets.sources.synthetic import SyntheticTwitter
from embedding_assets.tables.composed import compose_bags, sum_bags

NAMES = ("consumer_producer", "tfw_browser", "tfw_producer", "user_ad", "user_mention")
SPECS = {spec.name: spec for spec in all_specs() if spec.name in NAMES}
SOURCE = SyntheticTwitter(seed=1, users=700, tweets_per_week=2100)
FIRST = SOURCE.first_week
WEEK = shift_week(FIRST, 3)
PLAIN = Stages(source=SOURCE, specs=tuple(SPECS.values()))


@dataclass(frozen=True, eq=False)
class Users:
    """N users with their (N, D) vectors."""

    keys: list[str]
    vectors: np.ndarray


def fitted(name, stages):
    """Entity -> what the embedding publishes of it."""
    spec = SPECS[name]
    result = spec.trainer.fit(stages.window(spec, WEEK))
    tables = {}
    for table in result.tables:
        vectors = centered(table.vectors)[0] if spec.metric == "cosine" else table.vectors
        tables[table.vocabulary.entity] = EmbeddingTable(vocabulary=table.vocabulary, vectors=vectors)
    return tables


def users_of(name, stages):
    """The embedding's users, trained or composed."""
    tables, spec = fitted(name, stages), SPECS[name]
    if "user" in tables:
        return Users(tables["user"].vocabulary.keys.to_pylist(), tables["user"].vectors)
    (part,) = spec.composed
    of = tables[part.of]
    composed = compose_bags(sum_bags(stages.weeks(part.bags, WEEK, part.weeks)), of.vocabulary, of.vectors)
    return Users(composed.keys.to_pylist(), composed.vectors)


def topic_auc(users, *, source=SOURCE):
    """Mean ROC-AUC of the eight most frequent topics, read off the vectors of users that have any."""
    rows = source.read("user_topics", WEEK).rows.to_pylist()
    place = {key: at for at, key in enumerate(users.keys)}
    topics_of = {row["user_id"]: set() for row in rows if row["user_id"] in place}
    for row in rows:
        if row["user_id"] in place:
            topics_of[row["user_id"]].add(row["topic"])
    names = sorted({row["topic"] for row in rows}, key=lambda name: -sum(name in had for had in topics_of.values()))
    has = np.array([[name in had for name in names[:8]] for had in topics_of.values()])
    fold = np.stack([stratified_folds(column, seed=0) for column in has.T], axis=1)
    return float(probe(users.vectors[[place[key] for key in topics_of]], has, fold).auc.mean())


def jaccard_rank(users):
    """Spearman correlation of cosine with the Jaccard index of who is followed, half of the pairs sharing someone."""
    from scipy.stats import spearmanr

    followed = {key: set() for key in users.keys}
    for at in range(4):
        for row in SOURCE.read("follows", shift_week(FIRST, at)).rows.to_pylist():
            followed.get(row["src"], set()).add(row["dst"])
    rng = np.random.default_rng(0)
    unit = users.vectors / np.maximum(np.linalg.norm(users.vectors, axis=1, keepdims=True), 1e-12)
    rows = rng.integers(0, len(users.keys), (12_000, 2))
    pairs = [followed[users.keys[a]] & followed[users.keys[b]] for a, b in rows]
    unions = [followed[users.keys[a]] | followed[users.keys[b]] for a, b in rows]
    jaccard = np.array([len(both) / max(len(any_), 1) for both, any_ in zip(pairs, unions, strict=True)])
    half = np.flatnonzero(jaccard)[:2000], np.flatnonzero(jaccard == 0)[:2000]
    taken = np.concatenate(half)
    cosine = np.einsum("nd,nd->n", unit[rows[taken, 0]], unit[rows[taken, 1]])
    return float(spearmanr(cosine, jaccard[taken]).statistic)


@pytest.fixture(scope="module")
def users():
    return {name: users_of(name, PLAIN) for name in NAMES}


# --- what every one of them does ---------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_settings_can_be_recorded_and_caps_are_among_them(name):
    spec = SPECS[name]
    recorded = json.loads(json.dumps({stage.name: dict(stage.settings) for stage in spec.stages}))
    assert any(setting.startswith("max_") for settings in recorded.values() for setting in settings)
    assert spec.window.prune.max_row_sum
    assert spec.window.prune.max_column_sum


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_week_is_empty_tables_and_nothing_to_train_on(name):
    raw = {f"raw/{table}" for table in ("engagements", "follows", "site_visits", "ad_clicks", "tweets")}
    nothing = {(asset, FIRST): PLAIN.table(asset, FIRST).slice(0, 0) for asset in raw}
    empty = Stages(source=SOURCE, specs=(SPECS[name],), replaced=nothing)
    assert len(empty.window(SPECS[name], FIRST)) == 0
    for asset in SPECS[name].assets:
        full = PLAIN.table(asset, FIRST)
        assert empty.table(asset, FIRST).schema.equals(full.schema)
        assert empty.table(asset, FIRST).num_rows == 0 < full.num_rows


@pytest.mark.parametrize(("name", "least"), [("tfw_browser", 0.7), ("tfw_producer", 0.7), ("user_ad", 0.75)])
def test_interests_are_recovered(users, name, least):
    shuffled = Users(users[name].keys, np.random.default_rng(0).permutation(users[name].vectors))
    assert topic_auc(users[name]) > least
    assert 0.4 < topic_auc(shuffled) < 0.6


def test_a_week_is_the_same_bytes_again(users):
    again = users_of("consumer_producer", Stages(source=SOURCE, specs=PLAIN.specs))
    assert again.vectors.tobytes() == users["consumer_producer"].vectors.tobytes()


# --- Table 1 -----------------------------------------------------------------------------------------


def test_who_is_liked_says_more_than_which_sites_are_visited(users):
    best = users["consumer_producer"]
    for other in ("tfw_browser", "tfw_producer"):
        assert topic_auc(best) > topic_auc(users[other]) + 0.02
        assert jaccard_rank(best) > jaccard_rank(users[other]) + 0.1


def test_the_order_turns_where_no_site_is_for_everybody(users):
    source = replace(SOURCE, portal_share=0.0)
    clear = users_of("tfw_browser", Stages(source=source, specs=PLAIN.specs))
    assert topic_auc(clear) > topic_auc(users["consumer_producer"]) + 0.02


# --- one space ---------------------------------------------------------------------------------------


def test_a_consumer_is_nearer_to_producers_of_its_own_community():
    tables = fitted("consumer_producer", PLAIN)
    community = {
        row["user_id"]: row["community"]
        for row in SOURCE.read("truth_users", WEEK).rows.to_pylist()
        if not row["is_bot"]
    }
    people, producers = (
        [(at, community[key]) for at, key in enumerate(tables[entity].vocabulary.keys.to_pylist()) if key in community]
        for entity in ("user", "producer")
    )
    rows, columns = ([at for at, _ in side] for side in (people, producers))
    nearness = tables["user"].vectors[rows] @ tables["producer"].vectors[columns].T
    same = np.array([[a == b for _, b in producers] for _, a in people])
    np.fill_diagonal(same, False)
    assert nearness[same].mean() > 5 * nearness[~same].mean()


def test_a_user_composed_of_domains_is_near_the_producers_that_it_follows(users):
    producers = fitted("tfw_producer", PLAIN)["producer"]
    place = {key: at for at, key in enumerate(producers.vocabulary.keys.to_pylist())}
    row = {key: at for at, key in enumerate(users["tfw_producer"].keys)}
    follows = SOURCE.read("follows", FIRST).rows.to_pylist()
    edges = [(row[one["src"]], place[one["dst"]]) for one in follows if one["src"] in row and one["dst"] in place]
    nearness = users["tfw_producer"].vectors @ producers.vectors.T
    followed = np.array([nearness[edge] for edge in edges])
    by_chance = nearness[np.random.default_rng(0).permutation([a for a, _ in edges]), [b for _, b in edges]]
    assert (followed[:, None] > by_chance[None, ::7]).mean() > 0.55


# --- bad input ---------------------------------------------------------------------------------------


def test_one_user_with_half_of_all_engagements_does_not_own_the_result(users):
    rng = np.random.default_rng(0)
    replaced = {}
    for at in range(4):
        rows = PLAIN.table("raw/engagements", shift_week(FIRST, at))
        bot = rows.take(pa.array(rng.integers(0, rows.num_rows, rows.num_rows)))
        bot = bot.set_column(0, rows.schema.field(0), pa.array(["bot"] * bot.num_rows))
        replaced["raw/engagements", shift_week(FIRST, at)] = pa.concat_tables([rows, bot])
    stages = Stages(source=SOURCE, specs=PLAIN.specs, replaced=replaced)
    spec = SPECS["consumer_producer"]
    uncapped = replace(spec, window=replace(spec.window, prune=replace(spec.window.prune, max_row_sum=None)))
    weights = {}
    for name, one in (("capped", spec), ("uncapped", uncapped)):
        window = stages.window(one, WEEK)
        weights[name] = np.bincount(window.row_ids, window.counts)[window.rows.keys.index("bot").as_py()]
    assert weights["uncapped"] > 1000 > 300.01 > weights["capped"]
    assert topic_auc(users_of("consumer_producer", stages)) > topic_auc(users["consumer_producer"]) - 0.01
