"""Topics and metadata of users: the ceiling on planted vectors, chance on shuffled ones, bad labels with a reason."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmark_world import COMMUNITY, USERS, judge, metadata_labels, shuffled, topic_labels, user_vectors

from benchmarks.task import Evaluation
from benchmarks.tasks.user_metadata import UserMetadata
from benchmarks.tasks.user_topic import UserTopic


@pytest.fixture(scope="module")
def users(world):
    counts = np.random.default_rng(3).gamma(1.0, 20.0, len(USERS))
    return world.publish(user_vectors(), keys=USERS, entity="user", counts=counts)


@pytest.fixture(scope="module")
def strangers(world):
    """The same vectors, each given to another user."""
    return world.publish(shuffled(user_vectors()), keys=USERS, entity="user")


def topic(version, labels, **given):
    return judge("user_topic.v1", version, labels={"user_topics": labels}, **given)["roc_auc"]


def metadata(version, labels, **given):
    return judge("user_metadata.v1", version, labels={"user_metadata": labels}, **given)


def test_planted_topics_are_read_off_and_shuffled_ones_are_not(users, strangers):
    good, bad = topic(users, topic_labels()), topic(strangers, topic_labels())
    assert good.value > 0.98
    assert good.low <= good.value <= good.high
    assert abs(good.details["floors"]["shuffled"] - 0.5) < 0.1
    assert abs(good.details["floors"]["log_count"] - 0.5) < 0.1
    assert abs(bad.value - 0.5) < 0.1
    assert bad.low <= 0.5 <= bad.high
    assert set(good.details["by_topic"]) == {f"t{at}" for at in range(6)}
    assert (good.rows_used, good.rows_left_out) == (len(USERS), 0)


def test_only_the_most_frequent_topics_are_asked_about_ties_by_name(users):
    sizes = {"big": 200, "b": 60, "a": 60, "rare": 5}
    rows = [(user, name) for name, size in sizes.items() for user in USERS[:size]]
    labels = pa.table(
        {"user_id": [user for user, _ in rows] + USERS, "topic": [name for _, name in rows] + ["all"] * len(USERS)}
    )
    evaluation = Evaluation(version=users, labels={"user_topics": labels})
    assert list(UserTopic(topics=3)(evaluation)[0].details["by_topic"]) == ["big", "a"]  # everyone has "all"
    assert list(UserTopic(topics=9)(evaluation)[0].details["by_topic"]) == ["big", "a", "b"]  # "rare" is too rare


def test_a_topic_named_twice_counts_once(users):
    labels = topic_labels()
    twice = pa.concat_tables([labels, labels.slice(0, 100)])
    assert topic(users, twice).value == topic(users, labels).value


def test_unknown_users_and_users_without_a_vector_are_counted(world):
    half = world.publish(user_vectors()[::2], keys=USERS[::2], entity="user")
    labels = pa.concat_tables([topic_labels(), topic_labels(users=("nobody1", "nobody2"), topics=(0, 1))])
    score = topic(half, labels)
    assert (score.rows_used, score.rows_left_out) == (len(USERS) // 2, len(USERS) // 2 + 2)
    assert score.details["unknown"] == len(USERS) // 2 + 2
    assert score.value > 0.95


def test_a_sample_of_the_users_is_said_so_and_repeats_by_seed(users):
    task = UserTopic(max_users=200)
    runs = [task(Evaluation(version=users, labels={"user_topics": topic_labels()}, seed=seed))[0] for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    assert (runs[0].rows_used, runs[0].details["unsampled"]) == (200, len(USERS) - 200)


@pytest.mark.parametrize(
    ("labels", "part"),
    [
        (topic_labels(topics=[0] * len(USERS)), r"no topic has 20 users with it and 20 without it .*t0 360"),
        (topic_labels(topics=range(len(USERS))), r"most frequent: t0 1, t1 1, t2 1"),
        (topic_labels(users=("nobody",), topics=(0,)), r"among the 0 labelled users with a vector"),
        (topic_labels(users=(), topics=()).cast(pa.schema([("user_id", pa.string()), ("topic", pa.string())])), "none"),
    ],
)
def test_topics_that_cannot_be_asked_about_are_undefined_with_the_reason(users, labels, part):
    score = topic(users, labels)
    assert score.value is None
    assert re.search(part, score.undefined), score.undefined


def test_equal_vectors_are_undefined(world):
    flat = world.publish(np.ones((len(USERS), 4)), keys=USERS, entity="user")
    assert "vectors of all 360 users are the same" in topic(flat, topic_labels()).undefined
    scores = metadata(flat, metadata_labels(age=COMMUNITY % 2))
    assert "vectors of all 360 users are the same" in scores["roc_auc"].undefined


def test_attributes_have_a_score_each_and_their_mean(users, strangers):
    noise = np.random.default_rng(0).integers(2, size=len(USERS))
    labels = metadata_labels(age=COMMUNITY % 2, country=COMMUNITY, device=noise)
    good, bad = metadata(users, labels), metadata(strangers, labels)
    assert set(good) == {"roc_auc", "roc_auc_age", "roc_auc_country", "roc_auc_device"}
    assert good["roc_auc_age"].value > 0.98
    assert good["roc_auc_country"].value > 0.98
    assert abs(good["roc_auc_device"].value - 0.5) < 0.1
    values = [good[f"roc_auc_{name}"].value for name in ("age", "country", "device")]
    assert good["roc_auc"].value == pytest.approx(np.mean(values))
    assert good["roc_auc"].low < good["roc_auc"].value < good["roc_auc"].high
    assert abs(bad["roc_auc"].value - 0.5) < 0.1
    assert list(good["roc_auc_age"].details["by_class"]) == ["1"]
    assert len(good["roc_auc_country"].details["by_class"]) == 6


def test_numbers_of_many_values_are_split_at_the_median_and_said_so(users):
    views = COMMUNITY * 1000 + np.arange(len(USERS))
    score = metadata(users, metadata_labels(views=views))["roc_auc_views"]
    assert score.details["split_at_median"] == np.median(views)
    assert score.value > 0.98


def test_rare_classes_and_users_with_two_values_are_left_out(users):
    country = np.array(["de", "fr"])[COMMUNITY % 2].tolist()
    country[:5] = ["xx"] * 5
    labels = metadata_labels(country=country)
    labels = pa.concat_tables([labels, pa.table({"user_id": [USERS[9]], "attribute": ["country"], "value": ["zz"]})])
    score = metadata(users, labels)["roc_auc_country"]
    assert (score.rows_used, score.rows_left_out) == (len(USERS) - 6, 6)
    assert score.value > 0.98


def test_an_attribute_with_one_class_is_undefined_and_the_others_are_not(users):
    scores = metadata(users, metadata_labels(age=COMMUNITY % 2, plan=["free"] * len(USERS)))
    assert "'plan' has 1 classes of at least 20 users" in scores["roc_auc_plan"].undefined
    assert scores["roc_auc"].value == scores["roc_auc_age"].value
    assert scores["roc_auc"].details["undefined"] == {"roc_auc_plan": scores["roc_auc_plan"].undefined}


def test_metadata_without_a_usable_attribute_or_without_rows_is_undefined(users):
    one = metadata(users, metadata_labels(plan=["free"] * len(USERS)))
    assert "no attribute can be asked about: 'plan' has 1 classes" in one["roc_auc"].undefined
    none = metadata(users, metadata_labels(plan=[None] * len(USERS)).cast(one_attribute()))
    assert "the label table is empty" in none["roc_auc"].undefined


def one_attribute():
    return pa.schema([(name, pa.string()) for name in ("user_id", "attribute", "value")])


@pytest.mark.slow
def test_real_twitch_metadata_through_the_task_is_what_the_probe_gives(real_data, world):
    """Degrees as the only feature: the floor of the protocol, .92 for partner."""
    edges = pq.read_table(real_data / "twitch_de" / "edges.parquet")
    people = pq.read_table(real_data / "twitch_de" / "users.parquet").sort_by("user_id")
    degree = np.bincount(np.concatenate([edges["src"], edges["dst"]]), minlength=people.num_rows)
    keys = people["user_id"].cast(pa.string())
    version = world.publish(np.log1p(degree)[:, None], keys=keys.to_pylist(), entity="user")
    labels = pa.concat_tables(
        pa.table({"user_id": keys, "attribute": [name] * len(keys), "value": people[name].cast(pa.string())})
        for name in ("partner", "mature", "views")
    )
    evaluation = Evaluation(version=version, labels={"user_metadata": labels})
    scores = {score.metric: score for score in UserMetadata()(evaluation)}
    assert scores["roc_auc_partner"].value == pytest.approx(0.92, abs=0.01)
    assert scores["roc_auc_views"].details["split_at_median"] > 0
