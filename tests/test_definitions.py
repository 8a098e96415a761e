"""The graph that Dagster serves: what is in it, and what every asset says about itself."""

import logging
import sys
from datetime import datetime

import dagster as dg
import pytest
from dagster_helpers import FIRST, SMALL, key

from embedding_assets.definitions import build_definitions
from embedding_assets.settings import SettingError
from embedding_assets.sources.schema import TABLES, TRUTH_TABLES, shift_week

# A renamed key loses its history in Dagster and its folder in the lake: change these lists on purpose only.
RAW = [f"raw/{table}" for table in (*TABLES, *TRUTH_TABLES)]
AFFINITY = ("affinities", "sources", "destinations")
TOGETHER = ("contexts", "vocabulary", "pairs")
TABLES_OF = {
    "consumer_producer": AFFINITY,
    "hashtag": TOGETHER,
    "producer": TOGETHER,
    "tfw_browser": (*AFFINITY, "browsers"),
    "tfw_producer": (*AFFINITY, "visits"),
    "tweet_colike": TOGETHER,
    "user_ad": AFFINITY,
    "user_follow": AFFINITY,
    "user_mention": AFFINITY,
    "user_tweet": (*AFFINITY, "bags"),
    "word": ("phrases", "corpus", "vocabulary", "pairs"),
}
EVERY = ("embedding", "scores", "production")
OWN = [f"{name}/{stage}" for name, tables in TABLES_OF.items() for stage in (*tables, *EVERY)]
TUNING = [f"{name}/tuning" for name in TABLES_OF]
SHARED = [
    "drift/noise_floor",
    "drift/staleness",
    "drift/token_overlap",
    "drift/word_relations",
    "features/user_activity",
    "features/user_topics",
    "graph/producers",
    "scores/leaderboard",
    "text/tokens",
    "text/top_tokens",
]
WEEKLY = [*RAW, *SHARED, *OWN]
RAW_CHECKS = ["every_row_accounted_for", "few_rows_rejected", "not_empty", "usual_volume"]
EMBEDDING_CHECKS = ["loss_fell", "version_verifies", "vocabulary_kept", "window_has_pairs"]
BLOCKING = {"every_row_accounted_for", "version_verifies"}
CHECKS = {
    *((asset, check) for asset in RAW for check in RAW_CHECKS),
    *((f"{name}/embedding", check) for name in TABLES_OF for check in EMBEDDING_CHECKS),
    *((f"{name}/scores", "above_floor") for name in TABLES_OF),
    *((f"{name}/production", "promoted") for name in TABLES_OF),
    ("drift/token_overlap", "word_word_kept_4w"),
    ("word/scores", "word_stability_v1_neighbors_kept"),
}


def load(home, **environ):
    """Definitions of the environment, over `home`."""
    return build_definitions({"EMBEDDINGS_HOME": str(home), **environ})


@pytest.fixture(scope="module")
def definitions(tmp_path_factory):
    return build_definitions({"EMBEDDINGS_HOME": str(tmp_path_factory.mktemp("home"))}, source=SMALL)


@pytest.fixture(scope="module")
def specs(definitions):
    return list(definitions.resolve_all_asset_specs())


def check_specs(definitions):
    graph = definitions.resolve_asset_graph()
    return [graph.get_check_spec(one) for one in graph.asset_check_keys]


def keys_of(definitions):
    return sorted(spec.key.to_user_string() for spec in definitions.resolve_all_asset_specs())


def test_asset_keys(definitions):
    assert keys_of(definitions) == sorted(WEEKLY + TUNING)


def test_jobs_schedules_and_sensors(definitions):
    repository = definitions.get_repository_def()
    groups = sorted([*TABLES_OF, "drift"])
    jobs = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    assert jobs == {"weekly", *(f"{group}_weekly" for group in groups)}
    schedules = {schedule.name for schedule in repository.schedule_defs}
    assert schedules == {"every_week", *(f"{group}_every_week" for group in groups)}
    assert sorted(sensor.name for sensor in repository.sensor_defs) == ["retrain_on_drift", "scores_follow_versions"]


def test_checks_and_which_of_them_block(definitions):
    found = {(spec.asset_key.to_user_string(), spec.name): spec for spec in check_specs(definitions)}
    assert found.keys() == CHECKS
    assert {name for (_, name), spec in found.items() if spec.blocking} == BLOCKING
    assert all(spec.description for spec in found.values())


def test_the_weekly_job_holds_every_asset_and_every_check(definitions):
    layer = definitions.resolve_job_def("weekly").asset_layer
    assert {asset.to_user_string() for asset in layer.selected_asset_keys} == {*WEEKLY}
    assert {(one.asset_key.to_user_string(), one.name) for one in layer.asset_graph.asset_check_keys} == CHECKS


def test_every_asset_says_what_it_is(specs):
    for spec in specs:
        name = spec.key.to_user_string()
        group, stage = spec.key.path
        assert spec.group_name == group, name
        assert "python" in spec.kinds, name
        assert spec.owners == ["team:embeddings"], name
        assert spec.tags["stage"] == stage, name
        assert spec.code_version, name
        assert len(spec.description or "") > 20, name


def test_kinds_name_the_tool_that_does_the_work(specs):
    kinds = {spec.key.to_user_string(): spec.kinds - {"python"} for spec in specs}
    assert kinds["raw/tweets"] == {"parquet"}
    assert kinds["word/pairs"] == {"duckdb", "parquet"}
    assert kinds["word/embedding"] == {"jax"}
    assert kinds["word/scores"] == {"numpy"}


def test_every_asset_retries_and_only_training_waits_for_the_pool(definitions):
    for asset in WEEKLY + TUNING:
        op = definitions.resolve_assets_def(key(asset)).op
        assert op.retry_policy.max_retries == 2, asset
        trains = asset.endswith(("/embedding", "/tuning")) or asset == "drift/noise_floor"
        assert op.pool == ("gpu" if trains else None), asset


def test_weeks_begin_with_the_source_and_go_on_where_it_does(specs):
    for spec in specs:
        partitions = spec.partitions_def
        assert partitions.get_first_partition_key() == FIRST
        assert partitions.schedule_type.value == "WEEKLY"
        now = datetime.fromisoformat("2026-03-04T12:00:00+00:00")
        assert partitions.get_partition_keys(current_time=now)[-1] == "2026-02-23"  # the last that has ended


def files_source(folder, first="2026-01-07", last="2026-01-19"):
    """A source.toml over two tweets."""
    for name, day in (("first", first), ("last", last)):
        line = f'{{"tweet_id": "{name}", "user_id": "u", "created_at": "{day}T00:00:00Z", "text": "hi"}}\n'
        (folder / f"{name}.jsonl").write_text(line)
    (folder / "source.toml").write_text('[tweets]\npath = "*.jsonl"\n')
    return str(folder / "source.toml")


def test_weeks_end_with_the_source(tmp_path):
    definitions = load(tmp_path / "home", EMBEDDINGS_SOURCE=files_source(tmp_path))
    for spec in definitions.resolve_all_asset_specs():
        assert spec.partitions_def.get_partition_keys() == ["2026-01-05", "2026-01-12", "2026-01-19"]


# What Dagster builds from a partitioned job calls a method of the job that Dagster deprecates.
@pytest.mark.filterwarnings("ignore:Function `JobDefinition.run_request_for_partition`:DeprecationWarning")
@pytest.mark.parametrize(
    ("now", "target"),
    [("2026-02-02T06:00:00+00:00", "2026-01-26"), ("2026-02-09T06:00:00+00:00", "2026-02-02")],
)
def test_the_schedule_makes_the_week_that_has_just_ended(definitions, now, target):
    schedule = definitions.resolve_schedule_def("every_week")
    assert schedule.cron_schedule == "0 6 * * 1"
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance,
            scheduled_execution_time=datetime.fromisoformat(now),
            repository_def=definitions.get_repository_def(),
        )
        [request] = schedule.evaluate_tick(context).run_requests
    assert request.partition_key == target == shift_week(now[:10], -1)


def test_a_home_belongs_to_one_source(tmp_path):
    load(tmp_path / "home")
    with pytest.raises(SettingError, match=r"holds data of the source .SyntheticTwitter\(seed=0, .*, not of"):
        load(tmp_path / "home", EMBEDDINGS_SOURCE=files_source(tmp_path))
    with pytest.raises(SettingError, match=r"not of .SyntheticTwitter\(seed=1, "):
        load(tmp_path / "home", EMBEDDINGS_SEED="1")


def test_the_real_tweets_make_words(real_data, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        definitions = load(tmp_path, EMBEDDINGS_SOURCE=str(real_data / "tweets.toml"))
    made = {name.partition("/")[0] for name in keys_of(definitions)} & TABLES_OF.keys()
    assert made == {"hashtag", "user_mention", "user_tweet", "word"}
    assert "embedding user_ad is left out: the source tweets has no table ad_clicks" in caplog.text
    [partitions] = {spec.partitions_def for spec in definitions.resolve_all_asset_specs()}
    weeks = partitions.get_partition_keys()
    assert (weeks[0], weeks[-1]) == ("2014-12-29", "2016-06-27")


@pytest.mark.parametrize(
    ("source", "tables"),
    [
        ("twitch", ["raw/engagements", "raw/follows", "raw/user_metadata"]),
        ("deezer", ["raw/follows", "raw/user_topics"]),
    ],
)
def test_a_source_without_tweets_has_no_words_and_says_so(real_data, tmp_path, caplog, source, tables):
    with caplog.at_level(logging.WARNING):
        definitions = load(tmp_path, EMBEDDINGS_SOURCE=str(real_data / f"{source}.toml"))
    assert set(tables) <= set(keys_of(definitions))
    assert not [name for name in keys_of(definitions) if name.startswith(("word/", "text/"))]
    [line] = [record.getMessage() for record in caplog.records if "embedding word is left out" in record.getMessage()]
    assert line == f"embedding word is left out: the source {source} has no table tweets"


def test_the_module_loads_from_the_environment(tmp_path, monkeypatch):
    """What `dagster dev` does: the function that `@dg.definitions` marks, under environment variables."""
    monkeypatch.setenv("EMBEDDINGS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EMBEDDINGS_SOURCE", raising=False)
    loaded = sys.modules["embedding_assets.definitions"].defs()
    assert keys_of(loaded) == sorted(WEEKLY + TUNING)
