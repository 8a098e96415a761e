"""The weekly job, whole: from raw tweets to scored versions in the registry."""

import json
import shutil
from datetime import datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster_helpers import (
    RUNS_DAGSTER,
    SMALL,
    Pipeline,
    Project,
    again,
    checks,
    data_version,
    failures,
    metadata,
    pipeline,
    retried,
    walk,
    week,
    weeks,
    weeks_of,
)

from embedding_assets.sources.quarantine import Reason
from resources.lake_io import LakeIOManager

pytestmark = RUNS_DAGSTER

LAST = 5
SCORED = {
    "stability.v1": {"neighbors_kept", "aligned_cosine", "vocabulary_kept"},
    "topic_purity.v1": {"same_topic"},
    "moved_words.v1": {"roc_auc", "recall_at_moved"},
}


@pytest.fixture
def made(tmp_path_factory) -> Pipeline:
    return pipeline(tmp_path_factory.getbasetemp() / "pipeline")


def test_every_week_has_one_version_and_all_checks_pass(made):
    infos = made.project.store.versions("word/word")
    assert [(info.number, info.week) for info in infos] == list(enumerate(weeks(0, LAST), start=1))
    for monday, run in made.runs.items():
        found = {name: check.passed for name, check in checks(run, "word/embedding").items()}
        assert found == {
            "version_verifies": True,
            "vocabulary_kept": True,
            "window_has_pairs": True,
            "loss_fell": True,
        }, monday
        assert all(check.passed for check in checks(run, "raw/tweets").values()), monday


@pytest.mark.parametrize("index", range(LAST + 1))
def test_lineage_reaches_exactly_the_weeks_of_the_window(made, index):
    """Pairs of 4 weeks, and for the corpus of each of them the phrases of the 4 weeks up to it."""
    lineage = made.project.store[f"word/word@{week(index)}"].lineage()
    window = weeks(index - 3, index)
    for asset in ("word/pairs", "word/vocabulary"):
        assert [node.partition for node in lineage.upstream if node.asset == asset] == window
    for node in lineage.upstream:
        at = window.index(node.partition) + max(index - 3, 0)
        assert weeks_of(node, "word/phrases") == [node.partition]
        assert weeks_of(node, "raw/tweets") == weeks(at - 3, at)
    assert weeks_of(lineage, "raw/tweets") == weeks(index - 6, index)


def test_lineage_names_the_runs_and_data_versions_that_made_each_part(made):
    lineage = made.project.store[f"word/word@{week(LAST)}"].lineage()
    for node in walk(lineage):
        assert node.run_id == made.runs[node.partition].run_id
        if node is not lineage:  # a version cannot know its own number's hash before it has one
            assert node.data_version == data_version(made.runs[node.partition], node.asset)
    raw = [node for node in walk(lineage) if not node.upstream]
    assert {node.asset for node in raw} == {"raw/tweets"}


def test_scores_lie_beside_the_version_and_in_the_lake(made):
    version = made.project.store[f"word/word@{week(LAST)}"]
    scores = {(score.task, score.metric): score for score in version.scores()}
    for task, metrics in SCORED.items():
        assert {metric for scored, metric in scores if scored == task} == metrics
    rows = made.project.lake.read("word/scores", week(LAST)).to_pylist()
    assert {row["version"] for row in rows} == {version.reference}
    assert {(row["task"], row["metric"]): row["value"] for row in rows} == {
        name: score.value for name, score in scores.items()
    }


def test_the_pipeline_learns_what_was_planted(made):
    scores = {score.metric: score for score in made.project.store[f"word/word@{week(LAST)}"].scores()}
    for metric in ("same_topic", "neighbors_kept"):
        assert scores[metric].low > 2 * scores[metric].floor, metric


def test_the_first_week_says_why_it_has_no_stability(made):
    scores = [score for score in made.project.store[f"word/word@{week(0)}"].scores() if score.task == "stability.v1"]
    assert len(scores) == 3
    assert all(score.value is None and "1 week(s) before" in score.undefined for score in scores)
    shown = metadata(made.runs[week(0)], "word/scores")["table"]
    assert scores[0].undefined in shown


def test_metadata_hold_numbers_and_pictures(made):
    found = metadata(made.runs[week(LAST)], "word/embedding")
    version = made.project.store[f"word/word@{week(LAST)}"]
    assert (found["keys"], found["dim"], found["state"]) == (len(version), version.dim, "filled")
    assert found["loss"] == version.manifest.training["loss_curve"][-1]
    assert found["trainer"]["name"] == "Sgns"
    for name in ("loss_curve", "map"):
        assert found[name].startswith("![")
        assert "](data:image/png;base64,iVBOR" in found[name]
    scored = metadata(made.runs[week(LAST)], "word/scores")
    values = {f"{s.task}/{s.metric}": s.value for s in version.scores() if s.value is not None}
    assert {name: scored[name] for name in values} == values
    assert "data:image/png;base64,iVBOR" in scored["history word/word"]


def test_raw_metadata_count_the_rows(made):
    found = metadata(made.runs[week(0)], "raw/tweets")
    assert (found["rows_in"], found["dagster/row_count"], found["quarantined"], found["deduplicated"]) == (
        800,
        800,
        0,
        0,
    )
    assert found["source"] == "synthetic"
    assert "no row was rejected" in found["reasons"]


@pytest.fixture
def copied(made, tmp_path) -> Project:
    """A copy of the made home, to change."""
    shutil.copytree(made.project.home, tmp_path / "home")
    return again(tmp_path / "home")


def wanted_scores(project):
    """Weeks whose scores the sensor asks for, as it looks at the project's instance now."""
    context = dg.build_sensor_context(
        instance=project.instance, repository_def=project.definitions.get_repository_def()
    )
    requests = project.definitions.resolve_sensor_def("scores_follow_versions").evaluate_tick(context).run_requests
    judged = ["word/scores", "word/production"]
    assert all([key.to_user_string() for key in one.asset_selection] == judged for one in requests)
    return [one.partition_key for one in requests]


def test_the_same_week_again_is_a_new_version_with_the_same_bytes(made, copied):
    run = copied.run(week(LAST), "word/embedding")
    assert run.success, failures(run)
    again, before = (copied.store[f"word/word@v{number}"] for number in (LAST + 2, LAST + 1))
    assert (again.week, before.week) == (week(LAST), week(LAST))
    assert again.manifest.files["table.safetensors"] == before.manifest.files["table.safetensors"]
    assert again.space != before.space
    assert copied.store["word/word@latest"].reference == again.reference
    assert data_version(run, "word/embedding") == data_version(made.runs[week(LAST)], "word/embedding")
    # Its scores follow: asked for until they are there, and then the same numbers again.
    assert wanted_scores(copied) == [week(LAST)]
    assert copied.run(week(LAST), "word/scores").success
    assert wanted_scores(copied) == []
    assert [score.value for score in again.scores()] == [score.value for score in before.scores()]


def test_nothing_is_left_to_score_after_whole_runs(made):
    assert wanted_scores(made.project) == []


@pytest.mark.parametrize(
    ("made_of", "asset", "missing"),
    [("text/tokens", "word/phrases", "word__phrases"), ("word/pairs", "word/embedding", "word__embedding")],
)
def test_a_missing_week_stops_the_run_and_is_named(copied, made_of, asset, missing):
    shutil.rmtree(copied.lake.path(made_of, week(LAST - 1)).parent)
    run = copied.run(week(LAST), asset)
    assert failures(run).keys() == {missing}
    said = f"{made_of} has no partition {week(LAST - 1)}; it has {week(0)} to {week(LAST)} (5 weeks)"
    assert said in failures(run)[missing]
    assert retried(run) == []
    assert len(copied.store.versions("word/word")) == LAST + 1


class DamagingIOManager(LakeIOManager):
    """Turns a bit of each version that it publishes."""

    def handle_output(self, context, obj):
        super().handle_output(context, obj)
        for draft in obj if isinstance(obj, list) else []:
            info = self.lake.store[f"{draft.entity}/{draft.name}@{draft.week}"].info
            folder = Path(self.lake.registry_root, info.entity, info.name, "versions", info.attempt)
            content = bytearray((folder / "table.safetensors").read_bytes())
            content[-1] ^= 1
            (folder / "table.safetensors").write_bytes(content)


def test_a_damaged_version_fails_its_check_and_is_not_scored(copied, monkeypatch):
    monkeypatch.setattr("embedding_assets.definitions.LakeIOManager", DamagingIOManager)
    run = again(copied.home).run(week(LAST), "word/embedding", "word/scores")
    verified = checks(run, "word/embedding")["version_verifies"]
    assert not verified.passed
    assert f"word/word@v{LAST + 2}" in verified.description
    assert "table.safetensors" in verified.description
    assert not run.success
    assert "word__scores" not in {event.step_key for event in run.all_events if event.is_step_start}


# A source with a week without tweets, and bad lines in another.

QUIET, FULL, GAP = week(-1), week(0), week(1)
BAD_LINES = [b"{not json", b'{"tweet_id": "1.7", "user_id": "u"}', b'{"tweet_id": "b3", "user_id": "\xff"}', b"[]"]


@pytest.fixture(scope="module")
def gapped(tmp_path_factory):
    """A project over JSONL files: a quiet week, a full one with bad lines, a gap; and its runs."""
    folder = tmp_path_factory.mktemp("gapped")
    tweets = SMALL.read("tweets", FULL).rows
    lines = [json.dumps(row, default=datetime.isoformat).encode() for row in tweets.to_pylist()]
    later = [
        json.dumps({**tweets.slice(0, 1).to_pylist()[0], "tweet_id": "late", "created_at": f"{week(2)}T00:00:00Z"})
    ]
    (folder / "one.jsonl").write_bytes(b"\n".join([*lines[:100], *BAD_LINES, *lines[100:], lines[-1]]) + b"\n")
    (folder / "two.jsonl").write_text("\n".join(later) + "\n")
    (folder / "source.toml").write_text(f'[weeks]\nfirst = "{QUIET}"\n[tweets]\npath = "*.jsonl"\n')
    project = Project.open(folder / "home", {"EMBEDDINGS_SOURCE": str(folder / "source.toml")})
    return Pipeline(project, {monday: project.run(monday) for monday in (QUIET, FULL, GAP)})


def test_bad_lines_and_empty_weeks_stop_nothing(gapped):
    assert {monday: failures(run) for monday, run in gapped.runs.items()} == {QUIET: {}, FULL: {}, GAP: {}}


def test_bad_lines_are_counted_and_kept(gapped):
    found = metadata(gapped.runs[FULL], "raw/tweets")
    counts = [found[name] for name in ("rows_in", "dagster/row_count", "quarantined", "deduplicated")]
    assert counts == [805, 800, 4, 1]
    kept = gapped.project.lake.read("quarantine/tweets", FULL)
    assert found["quarantine"] == str(gapped.project.lake.path("quarantine/tweets", FULL))
    assert kept["raw"].to_pylist() == BAD_LINES
    assert kept["line"].to_pylist() == [101, 102, 103, 104]
    for row in kept.to_pylist():
        assert f"| {row['field'] or ''} | {row['reason']} |" in found["reasons"]
    assert Reason.NOT_JSON in kept["reason"].to_pylist()
    found = {name: check.passed for name, check in checks(gapped.runs[FULL], "raw/tweets").items()}
    assert found["every_row_accounted_for"]
    assert found["not_empty"]


@pytest.mark.parametrize("monday", [QUIET, GAP])
def test_an_empty_week_is_a_state_with_a_warning(gapped, monday):
    run = gapped.runs[monday]
    for asset in ("raw/tweets", "text/tokens", "word/corpus", "word/pairs", "word/vocabulary"):
        assert metadata(run, asset)["state"] == "empty", asset
        assert metadata(run, asset)["dagster/row_count"] == 0
    warning = checks(run, "raw/tweets")["not_empty"]
    assert (warning.passed, warning.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_a_window_of_empty_weeks_publishes_no_version(gapped):
    run = gapped.runs[QUIET]
    assert metadata(run, "word/embedding")["state"] == "empty"
    assert QUIET in metadata(run, "word/embedding")["why_empty"]
    found = checks(run, "word/embedding")
    assert not found["window_has_pairs"].passed
    assert found["version_verifies"].passed
    assert metadata(run, "word/scores")["state"] == "empty"
    assert [info.week for info in gapped.project.store.versions("word/word")] == [FULL, GAP]


def test_a_window_with_an_empty_week_rests_on_the_others(gapped):
    full, gap = (gapped.project.store[f"word/word@{monday}"] for monday in (FULL, GAP))
    assert weeks_of(gap.lineage(), "raw/tweets") == [QUIET, FULL, GAP]
    # Nothing came in, so it has learned the same; only that a week has passed is new.
    assert gap.manifest.files["table.safetensors"] == full.manifest.files["table.safetensors"]


def test_a_source_without_truth_is_judged_by_what_needs_none(gapped):
    scores = gapped.project.store[f"word/word@{GAP}"].scores()
    undefined = {score.task: score.undefined for score in scores if score.value is None}
    assert "label table truth_words" in undefined["topic_purity.v1"]
    assert {score.metric for score in scores if score.value is not None} >= SCORED["stability.v1"]
