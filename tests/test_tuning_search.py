"""A search over real weeks: what it sees, what it proposes, and that the winner wins on a week it never saw."""

import json
import shutil
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from dagster_helpers import FIRST, RUNS_DAGSTER, SMALL, week, weeks
from stage_runs import Stages
from tuning_world import BAD, LAST, SPACE, TRUTH, WORD, tables_only

from benchmarks.runner import discover
from benchmarks.task import Task
from embedding_assets.assets.tuning_plan import Machine, load_weeks, newest_week, plan_of, reads_of
from embedding_assets.embeddings import all_specs
from embedding_assets.factory import labels_of, tasks_of
from embedding_assets.search_space import Choice, Range, Tuning
from embedding_assets.tables.engine import connect
from embedding_assets.trainers.sgns import Sgns
from embedding_assets.tuned import Tuned, settings_now
from embedding_assets.tuning.errors import MissingWeeks, NoScore, NothingToTune
from embedding_assets.tuning.objective import Bench, HeldOut, answered_for, target_of
from embedding_assets.tuning.search import Limits
from embedding_assets.tuning.space import loss_unit, space_of
from embedding_assets.tuning.study import Hopeless
from registry import Score
from resources.engine import Engine

pytestmark = RUNS_DAGSTER


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Six weeks of the tables that a search reads; no version is among them."""
    return tables_only(tmp_path_factory.getbasetemp() / "tuned_weeks")


@pytest.fixture(scope="module")
def machine(home, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuning")
    engine = Engine(spill=str(folder / "spill"))
    return Machine(
        connect=engine.connect, placed=lambda trainer: trainer, lake=home.lake, files={}, studies=folder / "studies"
    )


def plan(machine, spec=BAD, space=SPACE, **asked):
    return plan_of(spec, tasks_of(spec), labels_of(spec, SMALL), machine, Tuning(space=space, **(asked or TRUTH)))


def search(machine, spec=BAD, space=SPACE, when=LAST):
    asked = plan(machine, spec, space)
    loaded = load_weeks(machine.lake, reads_of(spec, asked.labels), week(when), FIRST)
    return asked.search(loaded, week(when), machine)


@pytest.fixture(scope="module")
def found(machine):
    return search(machine).run(Limits(trials=5), lambda _trial, _best: None)


def test_a_search_beats_a_bad_start_on_a_week_that_it_never_saw(found):
    assert len(found.trials) == 5
    assert found.best.value > found.start.value + 0.1
    assert found.unseen["best"]["value"] > found.unseen["start"]["value"] + 0.1
    assert found.unseen["best"]["low"] > found.unseen["start"]["high"]


def test_trials_see_nothing_of_the_weeks_that_judge_them(machine):
    asked = search(machine)
    assert asked.bench.held_out.week == week(LAST - 1)
    assert asked.bench.trained_weeks == weeks(LAST - 5, LAST - 2)
    assert asked.unseen.held_out.week == week(LAST)
    assert asked.unseen.trained_weeks == weeks(LAST - 4, LAST - 1)
    truth = SMALL.read("truth_words", week(LAST - 1)).rows
    assert asked.bench.held_out.labels["truth_words"].to_pylist() == truth.to_pylist()


def test_the_proposal_is_a_file_that_the_spec_can_read(found, machine):
    assert found.file == machine.studies / f"word-{week(LAST)}.tuned.json"
    read = Tuned.read(found.file)
    assert read.text() == found.tuned.text() == found.file.read_text()
    tuned = read.applied_to(BAD)
    assert {name: settings_now(tuned)[name] for name in SPACE} == found.best.settings
    assert tuned.code_version != BAD.code_version
    assert settings_now(BAD)["start"] == "random"  # nothing was applied by itself


def test_the_proposal_says_what_speaks_for_it(found):
    evidence = json.loads(found.file.read_text())["evidence"]
    assert evidence["metric"] == "topic_purity.v1/same_topic"
    assert evidence["trials"] == 5
    assert evidence["held_out"]["judged_on"] == week(LAST - 1)
    assert evidence["unseen"]["trained_on"] == weeks(LAST - 4, LAST - 1)
    assert evidence["unseen"]["best"] == found.unseen["best"]
    assert evidence["held_out"]["start"]["value"] == found.start.value


def test_the_same_search_writes_the_same_file(found, machine, tmp_path):
    again = search(replace(machine, studies=tmp_path)).run(Limits(trials=5), lambda _trial, _best: None)
    assert again.file.read_bytes() == found.file.read_bytes()


def test_a_search_goes_on_with_its_trials(found, machine):
    seen = []
    again = search(machine).run(Limits(trials=5), lambda trial, _best: seen.append(trial))
    assert seen == []
    assert again.trials == found.trials


def test_another_question_is_another_study(machine):
    asked = search(machine)
    other_seed = replace(asked, seed=1)
    other_space = replace(asked, space={"epochs": Range(1, 4)})
    other_spec = search(machine, replace(BAD, trainer=Sgns(dim=8)))
    other_data = replace(asked, data="made again")
    names = {one.study_name() for one in (asked, other_seed, other_space, other_spec, other_data)}
    assert len(names) == 5
    assert search(machine).study_name() == asked.study_name()
    assert asked.study_name().startswith(f"word {week(LAST - 1)} ")


def test_no_trial_begins_after_the_time(machine, tmp_path):
    limited = search(replace(machine, studies=tmp_path)).run(
        Limits(trials=50, seconds=1e-9), lambda _trial, _best: None
    )
    assert len(limited.trials) == 1
    assert limited.tuned is limited.file is None  # its own settings alone are no proposal
    assert list(tmp_path.glob("*.json")) == []


def test_settings_that_train_nothing_have_no_score(machine):
    bench = search(machine).bench
    with pytest.raises(Hopeless, match="InvalidPairTable"):
        bench({"prune.min_count": 1e9}, lambda _progress: None)
    with pytest.raises(Hopeless, match=r"Sgns\.dim must be at least 1, got 0"):
        bench({"dim": 0}, lambda _progress: None)


def test_an_embedding_whose_own_settings_fail_cannot_be_tuned(machine, tmp_path):
    empty = replace(BAD, window=replace(BAD.window, prune=replace(BAD.window.prune, min_count=1e9)))
    asked = search(replace(machine, studies=tmp_path), empty)
    with pytest.raises(NoScore, match=r"'word' has now come to no score on 2026-02-02"):
        asked.run(Limits(trials=3), lambda _trial, _best: None)


def test_missing_weeks_are_named(home, machine, tmp_path):
    shutil.copytree(home.lake.root, tmp_path / "lake")
    lake = replace(home.lake, root=tmp_path / "lake")
    lake.path("word/pairs", week(2)).unlink()
    lake.path("raw/truth_words", week(LAST - 1)).unlink()
    reads = reads_of(BAD, plan(machine).labels)
    with pytest.raises(MissingWeeks) as caught:
        load_weeks(lake, reads, week(LAST), FIRST)
    assert f"raw/truth_words: {week(LAST - 1)}; word/pairs: {week(2)}" in str(caught.value)
    assert newest_week(lake, reads) == week(LAST)
    with pytest.raises(MissingWeeks, match="no week is materialised"):
        newest_week(replace(lake, root=tmp_path / "nowhere"), reads)


def test_a_search_needs_two_weeks_before_its_own(machine):
    with pytest.raises(MissingWeeks, match=f"no week before {week(0)} is there to train on"):
        search(machine, when=1)
    assert search(machine, when=2).bench.trained_weeks == [week(0)]


def score(value, used, left_out, floor):
    return Score(task="t", metric="m", value=value, rows_used=used, rows_left_out=left_out, floor=floor, seed=0)


def test_what_is_left_out_counts_as_a_guess():
    assert answered_for(score(0.8, 100, 0, 0.5)) == 0.8
    assert answered_for(score(0.9, 50, 50, 0.5)) == pytest.approx(0.7)
    assert answered_for(score(0.9, 50, 50, None)) == pytest.approx(0.45)


def task(name, **needs):
    return Task(id=name, entity="word", score=lambda _evaluation: [], about="", metrics=("auc", "recall"), **needs)


TASKS = [
    task("compares", needs_history=1),
    task("labelled", needs_labels=("truth",)),
    task("next", needs_history=1, judges=1, needs_labels=("follows",)),
    task("asked.v1"),
]


def test_the_metric_is_the_first_that_can_judge_one_fit():
    assert target_of(WORD, TASKS, ["truth", "follows"], {}, None).name == "labelled/auc"
    assert target_of(WORD, TASKS, ["follows"], {}, None).name == "next/auc"
    assert target_of(WORD, TASKS, [], {"asked/pairs": Path("pairs.tsv")}, None).name == "asked.v1/auc"
    assert target_of(WORD, TASKS, ["follows"], {}, "next/recall").name == "next/recall"


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("labeled/auc", "not judged by a task 'labeled'; did you mean labelled"),
        ("labelled/auc", "needs what is not there: label table truth"),
        ("compares/auc", "compares versions of several weeks"),
        ("next/recal", "no metric 'recal'; did you mean recall"),
    ],
)
def test_a_metric_that_cannot_judge_is_refused(named, said):
    with pytest.raises(NothingToTune, match=said):
        target_of(WORD, TASKS, ["follows"], {}, named)


def test_no_task_that_can_judge_is_said():
    with pytest.raises(NothingToTune, match="compares: it compares versions"):
        target_of(WORD, TASKS[:1], [], {}, None)


@pytest.mark.parametrize("spec", all_specs(), ids=lambda spec: spec.name)
def test_every_embedding_can_be_tuned(spec):
    space = space_of(spec)
    assert space.keys() <= settings_now(spec).keys()
    assert set(loss_unit(spec, space)) <= set(space)
    assert any(one.judges == one.needs_history for one in tasks_of(spec)), discover().keys()


@dataclass(frozen=True)
class Odd:
    """A trainer of a user's own."""

    dim: int = 8
    seed: int = 0

    def fit(self, table, *, init=None, checkpoint=None, progress=None):
        return Sgns(dim=self.dim).fit(table, progress=progress)


def test_a_trainer_that_nobody_has_described_needs_a_space():
    odd = replace(WORD, trainer=Odd())
    with pytest.raises(NothingToTune, match="nothing is known about tuning Odd"):
        space_of(odd)
    assert space_of(odd, {"dim": Choice((8, 16))}) == {"dim": Choice((8, 16))}
    assert loss_unit(odd, {"dim": Choice((8, 16))}) == ("dim",)


def test_a_setting_that_is_none_is_refused():
    with pytest.raises(NothingToTune, match="no setting 'learning_rat' to try; did you mean learning_rate"):
        space_of(WORD, {"learning_rat": Range(0.1, 1.0)})


@pytest.mark.parametrize(("limit", "value"), [("trials", 0), ("seconds", 0), ("seconds", float("nan"))])
def test_limits_say_no_early(limit, value):
    with pytest.raises(ValueError, match=f"Limits.{limit} must be"):
        Limits(**{limit: value})


def test_a_picture_of_the_course(found):
    from embedding_assets.tuning.picture import trials_png

    lost = replace(found.trials[-1], value=None, why="the loss rose")
    png = trials_png([*found.trials, lost], "topic_purity.v1/same_topic")
    assert png.startswith(b"\x89PNG")
    assert trials_png([*found.trials, lost], "topic_purity.v1/same_topic") == png


@pytest.mark.parametrize("spec", [spec for spec in all_specs() if spec.composed], ids=lambda spec: spec.name)
def test_a_trial_judges_what_is_composed_too(spec):
    stages = Stages(source=SMALL, specs=(spec,))
    reads = {role: stages.weeks(read.asset, week(1), read.weeks) for role, read in spec.reads.items()}
    labels = {"user_topics": SMALL.read("user_topics", week(2)).rows}
    held_out = HeldOut(week=week(2), weeks=reads, labels=labels)
    target = target_of(spec, tasks_of(spec), list(labels), {}, "user_topic.v1/roc_auc")
    outcome = Bench(spec, target, held_out, lambda: closing(connect(threads=1)), lambda trainer: trainer)({}, None)
    assert 0.5 < outcome.facts["score"] <= 1.0
