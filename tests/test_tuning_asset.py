"""The search as an asset and as a command: trials are observed, the course is drawn, errors are one line."""

import json

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster_helpers import RUNS_DAGSTER, SMALL, Project, failures, key, metadata, retried, week
from tuning_world import BAD, LAST, tables_only

from embedding_assets.assets.tuning import tuning_asset
from embedding_assets.definitions import resources
from embedding_assets.factory import build, labels_of, tasks_of
from embedding_assets.partitions import weekly_partitions
from embedding_assets.settings import Settings
from resources.studies import Studies

pytestmark = RUNS_DAGSTER

CONFIG = {"ops": {"word__tuning": {"config": {"trials": 3, "metric": "topic_purity.v1/same_topic"}}}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The weeks, and a home of one's own that reads them: what is written does not touch the weeks."""
    return tables_only(tmp_path_factory.getbasetemp() / "tuned_weeks")


def definitions(home, studies):
    """The tables of `BAD` and its search, over `home`."""
    tables = [asset for asset in build(SMALL, [BAD]).assets if key("word/tuning") not in asset.keys]
    search = tuning_asset(BAD, tasks_of(BAD), labels_of(BAD, SMALL), weekly_partitions(SMALL))
    handles = {**resources(Settings.read({"EMBEDDINGS_HOME": str(home)})), "studies": Studies(folder=str(studies))}
    return dg.Definitions(assets=[*tables, search], resources=handles, executor=dg.in_process_executor)


def run(home, studies, monday, config=CONFIG, instance=None):
    job = definitions(home, studies).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        partition_key=monday,
        instance=instance or dg.DagsterInstance.ephemeral(),
        run_config=config,
        asset_selection=[key("word/tuning")],
        raise_on_error=False,
    )


@pytest.fixture(scope="module")
def searched(made, tmp_path_factory):
    studies = tmp_path_factory.mktemp("studies")
    instance = dg.DagsterInstance.ephemeral()
    result = run(made.home, studies, week(LAST), instance=instance)
    assert failures(result) == {}
    return result, instance, studies


def test_each_trial_is_an_observation(searched):
    _, instance, _ = searched
    records = instance.fetch_observations(key("word/tuning"), limit=10).records
    observed = [record.event_log_entry.asset_observation for record in reversed(records)]
    assert [one.partition for one in observed] == [week(LAST)] * 3
    facts = [{name: value.value for name, value in one.metadata.items()} for one in observed]
    assert [one["trial"] for one in facts] == [0, 1, 2]
    assert facts[0]["settings"] == {}
    assert facts[1]["settings"].keys() >= {"epochs", "learning_rate"}
    best = [one["best_value"] for one in facts]
    assert best == sorted(best)


def test_the_course_and_the_winner_are_shown(searched, made):
    result, _, studies = searched
    found = metadata(result, "word/tuning")
    assert found["metric"] == "topic_purity.v1/same_topic"
    assert found["course"].startswith("![best topic_purity.v1/same_topic so far](data:image/png;base64,")
    assert found["best_value"] > found["start_value"]
    proposal = json.loads((studies / f"word-{week(LAST)}.tuned.json").read_text())
    assert found["proposal"] == str(studies / f"word-{week(LAST)}.tuned.json")
    assert found["unseen_best_value"] == proposal["evidence"]["unseen"]["best"]["value"]
    assert found["unseen_start_value"] == proposal["evidence"]["unseen"]["start"]["value"]
    table = made.lake.read("word/tuning", week(LAST)).to_pylist()
    assert [row["trial"] for row in table] == [0, 1, 2]
    assert table[0]["value"] == found["start_value"]
    assert max(table, key=lambda row: row["value"])["settings"] == json.dumps(found["best_settings"], sort_keys=True)


def test_lineage_reaches_the_weeks_that_were_read(searched, made):
    read = made.lake.lineage("word/tuning", week(LAST)).upstream
    seen = {asset: sorted(str(up.partition) for up in read if up.asset == asset) for asset in {up.asset for up in read}}
    assert seen["raw/truth_words"] == [week(LAST - 1), week(LAST)]
    assert seen["word/pairs"] == [week(index) for index in range(LAST + 1)]


def test_a_metric_that_nobody_knows_fails_the_run_once(made, tmp_path):
    config = {"ops": {"word__tuning": {"config": {"metric": "topic.v1/x"}}}}
    result = run(made.home, tmp_path, week(LAST), config)
    assert "not judged by a task 'topic.v1'; did you mean topic_purity.v1" in failures(result)["word__tuning"]
    assert retried(result) == []


def tune(home, *arguments):
    """`embeddings tune` in this process, over `home`."""
    from embedding_assets.commands.tune import tune as command

    environ = {
        "EMBEDDINGS_HOME": str(home),
        "EMBEDDINGS_SOURCE": "",
        "EMBEDDINGS_USERS": str(SMALL.users),
        "EMBEDDINGS_TWEETS_PER_WEEK": str(SMALL.tweets_per_week),
    }
    return CliRunner().invoke(command, arguments, env=environ)


ASKED = ["word", "--metric", "topic_purity.v1/same_topic", "--try", "epochs=1:3", "--try", "damping=1:500:log"]


def test_the_command_says_how_it_goes_and_goes_on(made):
    first = tune(made.home, *ASKED, "--trials", "2")
    assert first.exit_code == 0, first.output
    lines = first.output.splitlines()
    assert lines[0] == "word by topic_purity.v1/same_topic: damping, epochs"
    assert f"judged on {week(LAST - 1)}; no trial sees {week(LAST)}" in lines[1]
    assert lines[2].split()[:3] == ["1", "of", "2"]
    assert lines[2].endswith("the settings of the spec")
    assert "damping" in lines[3]
    second = tune(made.home, *ASKED, "--trials", "3")
    assert [line.split()[0] for line in second.output.splitlines() if " of 3 " in line] == ["3"]


def test_the_command_answers_machines(made):
    answer = tune(made.home, *ASKED, "--trials", "2", "--json")
    document = json.loads(answer.stdout)
    assert document["metric"] == "topic_purity.v1/same_topic"
    assert [trial["number"] for trial in document["trials"]][:2] == [0, 1]
    assert document["unseen"]["week"] == week(LAST)
    assert (document["proposal"] is None) == (document["best"]["number"] == 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["words"], "no embedding 'words' of the source synthetic"),
        (["word", "--week", "2026-02-10"], "2026-02-10"),
        (["word", "--week", "2027-03-01"], "word/pairs: 2027-01-"),
        (["word", "--try", "epochs=3"], "two or more different values"),
        (["word", "--trials", "0"], "Limits.trials must be at least 1, got 0"),
        (["word", "--metric", "stability.v1/neighbors_kept"], "compares versions of several weeks"),
    ],
)
def test_the_command_refuses_in_one_line(made, arguments, said):
    answer = tune(made.home, *arguments)
    assert answer.exit_code == 1
    assert said in answer.output
    assert len(answer.output.strip().splitlines()) == 1


def test_the_command_needs_materialised_weeks(tmp_path):
    project = Project.open(tmp_path, source=SMALL, specs=[BAD])
    answer = tune(project.home, "word")
    assert answer.exit_code == 1
    assert "no week is materialised of all that a search reads" in answer.output
