"""The group `drift` as assets and as commands, over a real small pipeline."""

import json
import shutil
from dataclasses import replace

import pytest
from click.testing import CliRunner
from dagster_helpers import FIRST, RUNS_DAGSTER, Project, failures, metadata, week, weeks, weeks_of

from embedding_assets.aging import FOLLOWED
from embedding_assets.assets.drift import LISTS
from embedding_assets.assets.drift_words import NOISE_FLOOR
from embedding_assets.commands.drift import drift, overlap, staleness
from embedding_assets.embeddings.word import SPEC
from embedding_assets.sources.synthetic import SyntheticTwitter
from embedding_assets.trainers.sgns import Sgns

pytestmark = RUNS_DAGSTER

LAST = 3
MOVE = 2
HOLE = 1
SOURCE = SyntheticTwitter(users=300, tweets_per_week=2500, first_week=FIRST, move_week_index=MOVE)
#: Windows of one week, so that the versions before and after the move share no data.
WORD = replace(
    SPEC, window=replace(SPEC.window, weeks=1, prune=replace(SPEC.window.prune, min_count=8)), trainer=Sgns(dim=24)
)
DRIFT = ("drift/token_overlap", NOISE_FLOOR, "drift/word_relations", "drift/staleness")
ASSETS = ("raw/tweets", "text/tokens", *WORD.assets, "word/embedding", LISTS, *DRIFT)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project with four weeks of words, and the run of each week."""
    project = Project.open(tmp_path_factory.mktemp("drift"), source=SOURCE, specs=[WORD])
    runs = [project.run(monday, *ASSETS) for monday in weeks(0, LAST)]
    assert [failures(run) for run in runs] == [{}] * (LAST + 1)
    return project, runs


@pytest.fixture
def holed(made, tmp_path):
    """The same home without what a week in the middle made, and an instance of its own."""
    project, _ = made
    home = tmp_path / "home"
    shutil.copytree(project.home, home)
    for asset in (LISTS, "word/embedding"):
        shutil.rmtree(home / "lake" / asset / f"week={week(HOLE)}")
    return Project.open(home, source=SOURCE, specs=[WORD])


def rows(project, asset, index):
    return project.lake.read(asset, week(index)).to_pylist()


def test_the_first_week_has_nothing_to_compare_with(made):
    _, runs = made
    assert metadata(runs[0], "drift/token_overlap")["remarks"] == "no earlier week to compare with"
    assert metadata(runs[0], "drift/staleness")["word remarks"] == "no earlier version to judge"
    said = metadata(runs[0], "drift/word_relations")["word remarks"]
    assert "no version of 1 weeks before" in said
    assert "no noise floor yet" in said


def test_overlap_has_numbers_that_the_ui_plots_and_a_picture(made):
    project, runs = made
    found = metadata(runs[LAST], "drift/token_overlap")
    shares = {(row["kind"], row["weeks_back"]): row["share"] for row in rows(project, "drift/token_overlap", LAST)}
    assert {back for _, back in shares} == {1, 2, 3}
    for kind in ("mention", "hashtag", "word", "english word"):
        assert found[f"{kind} kept 1w"] == shares[kind, 1]
        assert 0 < shares[kind, 1] < 1
    assert found["figure"].startswith("![")
    assert "only" in found["table"]  # a small source fills no list of 5,000


def test_noise_is_measured_in_every_fourth_week(made):
    project, runs = made
    assert [project.lake.rows(NOISE_FLOOR, monday) > 0 for monday in weeks(0, LAST)] == [False] * 3 + [True]
    assert "every 4th week" in metadata(runs[0], NOISE_FLOOR)["why_empty"]
    assert 0 < metadata(runs[3], NOISE_FLOOR)["word kept"] < 1


def test_the_planted_moved_words_come_first(made):
    project, _ = made
    moved = set(SOURCE.read("truth_moved_words", week(MOVE)).rows["word"].to_pylist())
    changes = [row["key"] for row in rows(project, "drift/word_relations", MOVE) if row["weeks_back"] == 1]
    there = [key for key in changes if key in moved]
    assert len(there) >= 8
    assert set(changes[:5]) <= moved
    # 2,500 tweets a week are few: one rare emoji may come between.
    assert len(set(changes[: len(there)]) - moved) <= 1


def test_relations_take_the_noise_off_and_show_pairs_over_time(made):
    project, runs = made
    found = metadata(runs[LAST], "drift/word_relations")
    assert 0 <= found["word 1w beyond_noise"] <= 1
    assert found["word 1w over time"].startswith("![")
    assert {row["weeks_back"] for row in rows(project, "drift/word_relations", LAST)} == {1}
    assert "no version of 13 weeks before" in found["word remarks"]
    assert "noise" not in found["word remarks"]


def test_staleness_judges_every_age_on_data_that_it_has_not_seen(made):
    project, runs = made
    judged = rows(project, "drift/staleness", LAST)
    auc = {row["age"]: row for row in judged if row["metric"] == "pair_auc"}
    assert sorted(auc) == [1, 2, 3]
    assert {row["trained_week"] for row in judged} == set(weeks(0, LAST - 1))
    assert auc[1]["low"] > 0.6
    assert auc[1]["behind"] == 0
    # Versions from before the move are behind those from after it.
    assert auc[LAST]["behind_low"] > 0
    found = metadata(runs[LAST], "drift/staleness")
    assert found["word oldest_age"] == LAST
    assert found["word pair_auc oldest_behind"] == auc[LAST]["behind"]
    assert found["word remarks"] == "none"
    assert found["figure"].startswith("![")


def test_lineage_names_the_weeks_that_were_looked_at(made):
    project, _ = made
    lineage = project.lake.lineage("drift/token_overlap", week(LAST))
    assert weeks_of(lineage, LISTS) == weeks(0, LAST)
    assert FOLLOWED > LAST


def test_missing_weeks_leave_gaps_and_are_said(holed):
    run = holed.run(week(LAST), *DRIFT)
    assert failures(run) == {}
    assert metadata(run, "drift/token_overlap")["remarks"] == f"the week {week(HOLE)} is missing"
    shares = {
        row["weeks_back"]: row["share"] for row in rows(holed, "drift/token_overlap", LAST) if row["kind"] == "word"
    }
    assert shares[2] is None
    assert shares[3] > 0
    assert metadata(run, "drift/staleness")["word remarks"] == f"no version of {week(HOLE)}: the curve has gaps there"
    assert {row["age"] for row in rows(holed, "drift/staleness", LAST)} == {1, 3}


def call(command, project, *arguments):
    result = CliRunner().invoke(command, [*arguments], obj=str(project.home / "registry"), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_shows_pairs_and_the_most_changed(made, tmp_path):
    project, _ = made
    moved = SOURCE.read("truth_moved_words", week(MOVE)).rows["word"].to_pylist()
    png = tmp_path / "pairs.png"
    asked = [
        "word",
        "--pair",
        f"{moved[0]},{moved[1]}",
        "--week",
        week(MOVE),
        "--most",
        "3",
        "--json",
        "--png",
        str(png),
    ]
    found = json.loads(call(drift, project, *asked))
    assert [row["week"] for row in found["similarity"]] == weeks(0, MOVE)
    assert {row["key"] for row in found["most_changed"]} <= set(moved)
    assert png.read_bytes().startswith(b"\x89PNG")
    text = call(drift, project, "word/word", "--week", week(MOVE), "--most", "1")
    assert found["most_changed"][0]["key"] in text


def test_the_command_says_what_there_is_where_nothing_can_be_compared(made):
    project, _ = made
    assert f"no version of {week(LAST - 9)}, 9 weeks before" in call(drift, project, "word", "--back", "9")
    for wrong, said in (
        ("nobody", "0 embeddings are called 'nobody'"),
        ("word --week 2030-01-07", "has no version of"),
    ):
        with pytest.raises(Exception, match=said):
            call(drift, project, *wrong.split())
    with pytest.raises(Exception, match="two keys with a comma"):
        call(drift, project, "word", "--pair", "trump")


def test_overlap_as_a_command(made):
    project, _ = made
    found = json.loads(call(overlap, project, "--json"))
    assert found["week"] == week(LAST)
    [row] = [row for row in found["overlap"] if (row["kind"], row["weeks_back"]) == ("word", 1)]
    every = [rows(project, "drift/token_overlap", index) for index in range(1, LAST + 1)]
    shares = [one["share"] for part in every for one in part if (one["kind"], one["weeks_back"]) == ("word", 1)]
    assert row["mean_share"] == pytest.approx(sum(shares) / LAST)
    with pytest.raises(Exception, match="has no week 2030-01-07"):
        call(overlap, project, "--week", "2030-01-07")


def test_staleness_as_a_command_finds_what_the_assets_found(made, tmp_path, monkeypatch):
    project, _ = made
    monkeypatch.setattr("embedding_assets.commands.drift.every_spec", lambda: [WORD])
    png = tmp_path / "staleness.png"
    found = json.loads(call(staleness, project, "word", "--json", "--png", str(png), "--kept", week(1)))
    every = [row for index in range(1, LAST + 1) for row in rows(project, "drift/staleness", index)]
    assert found["judged"] == every
    assert [row["week"] for row in found["kept_and_retrained"] if row["metric"] == "pair_auc"] == weeks(2, LAST)
    assert png.read_bytes().startswith(b"\x89PNG")
