"""The embeddings by co-occurrence, without Dagster: planted topics come out, whatever bots and floods there are."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from stage_runs import Stages

from benchmarks.neighborhoods import nearest
from embedding_assets.drafts import centered, drafts_of
from embedding_assets.embeddings import hashtag, producer, tweet_colike, user_tweet
from embedding_assets.records import PairTable
from embedding_assets.sources.schema import Source, shift_week
from embedding_assets.sources.synthetic import SyntheticTwitter
from embedding_assets.tables.composed import sum_bags
from embedding_assets.trainers.svd import Svd
from registry import Version, open_registry
from registry.judging.align import unit_rows

FIRST = "2026-01-05"
LAST = shift_week(FIRST, 3)
SOURCE = SyntheticTwitter(users=800, tweets_per_week=3000, first_week=FIRST)
TOGETHER = (producer.SPEC, tweet_colike.SPEC, hashtag.SPEC)
K = 10


@pytest.fixture(scope="module")
def stages() -> Stages:
    """Four weeks of a small Twitter; tables are made when they are first asked for."""
    return Stages(source=SOURCE, specs=(*TOGETHER, user_tweet.SPEC))


def topics(spec, source: Source = SOURCE) -> dict[str, set[str]]:
    """Key -> what it is about: a producer and a tweet what the author cares for, a hashtag what was planted."""
    found = defaultdict(set)
    table, key = ("truth_hashtags", "hashtag") if spec.entity == "hashtag" else ("user_topics", "user_id")
    for row in source.read(table, LAST).rows.to_pylist():
        found[row[key]].add(row["topic"])
    if spec.entity != "tweet":
        return found
    weeks = [shift_week(LAST, -age) for age in range(spec.window.weeks)]
    tweets = [row for week in weeks for row in source.read("tweets", week).rows.to_pylist()]
    return {row["tweet_id"]: found[row["user_id"]] for row in tweets}


def purity(keys: list[str], vectors: np.ndarray, labels: dict[str, set[str]]) -> tuple[float, float]:
    """Share of the nearest labelled keys that share a topic with the one asked, and the same by chance."""
    known = [row for row, key in enumerate(keys) if labels.get(key)]
    sets = [labels[keys[row]] for row in known]
    same = np.array([[bool(one & other) for other in sets] for one in sets])
    rows = np.arange(len(known))
    near = nearest(unit_rows(vectors[known]), rows, K)
    return same[rows[:, None], near].mean(), (same.sum() - len(known)) / (len(known) * (len(known) - 1))


def fitted(spec, table: PairTable) -> tuple[list[str], np.ndarray]:
    side = spec.trainer.fit(table).tables[0]
    return side.vocabulary.keys.to_pylist(), centered(side.vectors)[0]


def sketched(table: PairTable) -> tuple[list[str], np.ndarray]:
    """Vectors of a trainer that compiles fast, where the table is what is asked about."""
    side = Svd(dim=16).fit(table).tables[0]
    return side.vocabulary.keys.to_pylist(), side.vectors


@pytest.mark.parametrize(("spec", "times"), [(TOGETHER[0], 1.8), (TOGETHER[1], 2.0), (TOGETHER[2], 6.0)])
def test_neighbors_share_the_planted_topic(stages, spec, times):
    found, chance = purity(*fitted(spec, stages.window(spec, LAST)), topics(spec))
    assert found > times * chance
    assert found > 0.7


@pytest.mark.parametrize("spec", TOGETHER)
def test_the_window_equals_its_transpose(stages, spec):
    table = stages.window(spec, LAST)
    order = np.lexsort((table.row_ids, table.col_ids))
    np.testing.assert_array_equal(table.row_ids, table.col_ids[order])
    np.testing.assert_array_equal(table.counts, table.counts[order])
    assert len(table) > 100


@pytest.mark.parametrize("spec", [*TOGETHER, user_tweet.SPEC])
def test_an_empty_week_is_an_empty_window(spec):
    empty = Stages(source=SyntheticTwitter(users=100, tweets_per_week=0, first_week=FIRST), specs=(spec,))
    assert len(empty.window(spec, FIRST)) == 0


def likes_of_everything(bot: str, week: str) -> pa.Table:
    """The engagements of a week, and those of a user who likes every tweet of it."""
    engagements = SOURCE.read("engagements", week).rows
    tweets = SOURCE.read("tweets", week).rows
    rows = pa.table(
        {
            "user_id": pa.array([bot] * tweets.num_rows),
            "producer_id": tweets["user_id"],
            "tweet_id": tweets["tweet_id"],
            "kind": pa.array(["like"] * tweets.num_rows),
            "weight": pa.array([1.0] * tweets.num_rows, pa.float32()),
            "created_at": tweets["created_at"],
        }
    )
    return pa.concat_tables([engagements, rows.cast(engagements.schema)])


@pytest.fixture(scope="module")
def with_bot(stages) -> Stages:
    """The same Twitter with one more user, who makes a quarter of all engagements."""
    weeks = [shift_week(FIRST, index) for index in range(4)]
    flooded = {("raw/engagements", week): likes_of_everything("bot", week) for week in weeks}
    kept = {key: table for key, table in stages.made.items() if key[0] in ("text/tokens", "graph/producers")}
    return Stages(source=SOURCE, specs=stages.specs, replaced=flooded, made=kept)


@pytest.mark.parametrize("spec", TOGETHER[:2])
def test_who_likes_everything_does_not_own_the_result(stages, with_bot, spec):
    contexts = with_bot.table(f"{spec.name}/contexts", LAST)
    cap = spec.stages[0].settings["max_context"]
    made = {row["context"]: len(row["keys"]) for row in contexts.to_pylist()}
    assert {size for context, size in made.items() if context.startswith("bot")} == {cap}
    labels = topics(spec)
    before, chance = purity(*sketched(stages.window(spec, LAST)), labels)
    after, _ = purity(*sketched(with_bot.window(spec, LAST)), labels)
    assert after - chance > 0.8 * (before - chance)


def test_who_writes_one_hashtag_everywhere_does_not_own_the_top(stages):
    spec = hashtag.SPEC
    tokens = stages.table("text/tokens", LAST).to_pylist()
    spam = [row | {"user_id": "bot", "tweet_id": f"s{at}", "hashtags": ["sale"]} for at, row in enumerate(tokens)]
    flooded = pa.Table.from_pylist(tokens + spam, stages.table("text/tokens", LAST).schema)
    kept = {key: table for key, table in stages.made.items() if key[1] != LAST}
    drowned = Stages(source=SOURCE, specs=(spec,), replaced={("text/tokens", LAST): flooded}, made=kept)
    counts = {row["key"]: row["count"] for row in drowned.table("hashtag/vocabulary", LAST).to_pylist()}
    assert 0 < counts["sale"] <= spec.stages[0].settings["max_each"]
    labels = topics(spec)
    before, _ = purity(*sketched(stages.window(spec, LAST)), labels)
    after, _ = purity(*sketched(drowned.window(spec, LAST)), labels)
    assert after > 0.9 * before


@pytest.mark.parametrize("spec", [producer.SPEC, hashtag.SPEC])
def test_a_week_ten_times_larger_is_counted_like_any_other(spec):
    small = SyntheticTwitter(users=800, tweets_per_week=1000, first_week=FIRST)
    large = SyntheticTwitter(users=800, tweets_per_week=10_000, first_week=FIRST)
    week = shift_week(FIRST, 2)
    flood = {(f"raw/{name}", week): large.read(name, week).rows for name in ("tweets", "engagements")}
    flooded = Stages(source=small, specs=(spec,), replaced=flood)
    table = flooded.window(spec, LAST)
    sizes = [len(keys) for keys in flooded.table(f"{spec.name}/contexts", week)["keys"].to_pylist()]
    assert max(sizes) <= spec.stages[0].settings["max_context"]
    found, chance = purity(*sketched(table), topics(spec, large))
    assert found > 1.5 * chance


@pytest.fixture(scope="module")
def published(stages, tmp_path_factory) -> dict[str, Version]:
    """Entity -> its version of `user_tweet`: users and words as trained, the week's tweets as composed."""
    spec = user_tweet.SPEC
    result = spec.trainer.fit(stages.window(spec, LAST))
    store = open_registry(tmp_path_factory.mktemp("registry"))
    bags = {part.bags: sum_bags(stages.weeks(part.bags, LAST, part.weeks)) for part in spec.composed}
    drafts = drafts_of(spec, result, LAST, bags=bags)
    return {draft.entity: store.publish(draft) for draft in drafts}


def interested(users: list[list[str]], wanted: list[str]) -> tuple[float, float]:
    """Share of the users found that care for the topic wanted, and that share among all people."""
    cares = topics(producer.SPEC)
    hits = [topic in cares[user] for found, topic in zip(users, wanted, strict=True) for user in found]
    return float(np.mean(hits)), float(np.mean([topic in mine for mine in cares.values() for topic in wanted]))


@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_a_new_tweet_finds_the_users_who_care_for_its_topic(published, metric):
    words = defaultdict(list)
    for row in SOURCE.read("truth_words", LAST).rows.to_pylist():
        if row["lang"] == "en":
            words[row["topic"]].append(row["word"])
    tweets = published["word"].compose([dict.fromkeys(found[:6], 1.0) for found in words.values()])
    assert (tweets.coverage > 0.5).all()
    near = published["user"].neighbors(tweets, k=K, metric=metric)
    found, chance = interested(near.keys, [*words])
    assert found > 3 * chance


def test_tweets_lie_near_those_who_care_for_what_they_say(published):
    tweets = published["tweet"]
    assert tweets.space == published["user"].space == published["word"].space
    said = topics(replace(tweet_colike.SPEC, window=user_tweet.SPEC.window))
    keys = [key for key in tweets.keys().to_pylist()[:500] if len(said[key]) == 1]
    near = published["user"].neighbors(tweets.lookup(keys), k=K)
    found, chance = interested(near.keys, [next(iter(said[key])) for key in keys])
    assert len(keys) > 20
    assert found > 2 * chance


def test_a_tweet_of_the_week_is_what_the_registry_composes_of_its_words(stages, published):
    bags = defaultdict(dict)
    for row in stages.table("user_tweet/bags", LAST).to_pylist():
        bags[row["key"]][row["feature"]] = row["weight"]
    keys = published["tweet"].keys().to_pylist()[:50]
    composed = published["word"].compose([bags[key] for key in keys])
    np.testing.assert_allclose(composed.vectors, published["tweet"].lookup(keys), atol=1e-5)
