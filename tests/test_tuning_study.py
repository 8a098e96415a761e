"""A study on disk: same seed same trials, a killed one goes on, a damaged one is set aside whole."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from embedding_assets.records import Progress
from embedding_assets.search_space import Choice, Range
from embedding_assets.tuning.errors import StudyBusy, StudyDamaged
from embedding_assets.tuning.study import Hopeless, Outcome, open_study

SPACE = {"depth": Choice((1, 2, 4)), "rate": Range(1e-3, 1.0, log=True), "rounds": Range(1, 9)}
OWN = {"depth": 1, "rate": 0.9, "rounds": None, "other": 3}


def bowl(settings, _progress):
    """Best at rate 0.03, rounds 6, depth 2; the embedding's own settings are far off."""
    import math

    tried = {"depth": 1, "rate": 0.9, "rounds": 1} | settings
    off = math.log10(tried["rate"] / 0.03) ** 2 + ((tried["rounds"] - 6) / 4) ** 2 + (tried["depth"] != 2)
    return Outcome(value=-off, facts={"off": off})


def run(file, trials, *, seed=0, objective=bowl, name="question"):
    with open_study(file, name, SPACE, seed=seed) as study:
        study.begin(objective, OWN)
        while len(study.trials) < trials:
            study.next(objective)
        return study.trials


def tried(trials):
    return [(trial.number, dict(trial.settings), trial.value, trial.why) for trial in trials]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Twenty-five trials without a break."""
    return run(tmp_path_factory.mktemp("whole") / "study.journal", 25)


def test_a_study_finds_what_is_better_than_a_bad_start(whole):
    start, best = whole[0], max(whole, key=lambda trial: trial.value)
    assert (start.number, start.settings) == (0, {})
    assert start.value < -3
    assert best.value > -0.5
    assert best.settings["depth"] == 2
    assert best.facts == {"off": pytest.approx(-best.value)}


def test_settings_lie_in_the_space_and_have_few_digits(whole):
    for trial in whole[1:]:
        assert all(trial.settings[name] in dimension for name, dimension in SPACE.items())
        assert len(f"{trial.settings['rate']:.17g}".lstrip("0.").rstrip("0")) <= 18
        assert float(f"{trial.settings['rate']:.3g}") == trial.settings["rate"]


def test_the_sampler_learns(whole):
    early, late = (sum(trial.value for trial in part) / len(part) for part in (whole[1:11], whole[15:]))
    assert late > early


def test_the_same_seed_tries_the_same_settings(whole, tmp_path):
    assert tried(run(tmp_path / "again.journal", 13)) == tried(whole[:13])
    assert tried(run(tmp_path / "other.journal", 3, seed=1))[1:] != tried(whole[:3])[1:]


def test_a_study_goes_on_where_it_was(whole, tmp_path):
    file = tmp_path / "study.journal"
    run(file, 6)
    run(file, 12)
    assert tried(run(file, 13)) == tried(whole[:13])
    assert len(run(file, 3)) == 13  # fewer than there are: nothing is tried, nothing is lost


def test_studies_of_one_journal_do_not_mix(tmp_path):
    file = tmp_path / "study.journal"
    run(file, 4)
    assert len(run(file, 2, name="another question")) == 2
    assert len(run(file, 1)) == 4


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_tuning_study import bowl, run

calls = 0
def dies(settings, progress):
    global calls
    calls += 1
    if calls == 8:
        os.kill(os.getpid(), signal.SIGKILL)
    return bowl(settings, progress)

run(Path(sys.argv[1]), 25, objective=dies)
"""


def test_a_killed_study_has_the_trials_of_one_that_was_not(whole, tmp_path):
    file = tmp_path / "study.journal"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(file), str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert states(file) == {**dict.fromkeys(range(7), "COMPLETE"), 7: "RUNNING"}
    with file.open("ab") as journal:  # what a kill in the middle of a write leaves
        journal.write(b'{"op_code":8,"wor')
    assert tried(run(file, 13)) == tried(whole[:13])
    assert states(file)[7] == "FAIL"
    assert b'"wor{' not in file.read_bytes()


def states(file):
    """Optuna's own number of each trial -> how it stands, as the journal has it."""
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(file)))
    return {trial.number: trial.state.name for trial in optuna.load_study(study_name=None, storage=storage).trials}


def test_what_has_no_score_is_kept_with_the_reason_and_the_study_goes_on(tmp_path):
    def objective(settings, progress):
        if settings.get("depth") == 4:
            raise Hopeless("nothing is left")
        return bowl(settings, progress)

    trials = run(tmp_path / "study.journal", 12, objective=objective)
    lost = [trial for trial in trials if trial.value is None]
    assert lost
    assert {trial.why for trial in lost} == {"nothing is left"}
    assert {trial.settings["depth"] for trial in lost} == {4}
    assert all(trial.settings.get("depth") != 4 for trial in trials if trial.value is not None)


def test_an_objective_that_breaks_ends_the_search_and_costs_one_trial(tmp_path):
    file = tmp_path / "study.journal"
    run(file, 4)

    def breaks(_settings, _progress):
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        run(file, 5, objective=breaks)
    assert len(run(file, 1)) == 4


def losing(curve):
    """An objective that reports a loss after each epoch."""

    def objective(_settings, progress):
        for epoch, loss in enumerate(curve, 1):
            progress(Progress(epoch=epoch, epochs=len(curve), loss=loss, seconds=0.0))
        return Outcome(value=-curve[-1])

    return objective


def test_a_rising_loss_stops_its_trial_at_once(tmp_path):
    reported = []

    def objective(settings, progress):
        def counted(report):
            reported.append(report.epoch)
            progress(report)

        return losing([2.0, 1.9, 2.2, 1.0])(settings, counted)

    with open_study(tmp_path / "study.journal", "q", SPACE) as study:
        trial = study.next(objective)
    assert trial.value is None
    assert trial.why == "the loss rose from 2 to 2.2 after epoch 3 of 4"
    assert reported == [1, 2, 3]


def test_a_loss_above_the_median_stops_its_trial(tmp_path):
    with open_study(tmp_path / "study.journal", "q", SPACE) as study:
        for last in (1.0, 1.1, 1.2, 1.3):
            assert study.next(losing([2.0, last])).value == -last
        stopped = study.next(losing([1.9, 1.8, 1.7, 1.6]))
        assert stopped.why == "the loss of 1.7 is above 1.575, the median of 4 trials, after epoch 3 of 4"
        assert study.next(losing([1.9, 1.3, 1.2, 1.1])).value == -1.1


def test_losses_of_another_unit_are_not_compared(tmp_path):
    space = {"k": Choice((5, 50))}
    with open_study(tmp_path / "study.journal", "q", space, unit=("k",)) as study:
        for _ in range(16):
            study.next(
                lambda settings, progress: losing([2.0 * settings["k"], 1.0 * settings["k"]])(settings, progress)
            )
        trials = study.trials
    assert {trial.settings["k"] for trial in trials} == {5, 50}
    assert all(trial.why is None for trial in trials)


def test_two_processes_may_not_work_on_one_journal(tmp_path):
    file = tmp_path / "study.journal"
    with (
        open_study(file, "q", SPACE),
        pytest.raises(StudyBusy, match=f"is being worked on by process {os.getpid()}"),
        open_study(file, "q", SPACE),
    ):
        pass
    with open_study(file, "q", SPACE) as study:  # given back
        assert study.trials == []


def shifted(content):
    """Cut in front, as by a copy that was begun too late."""
    return content[len(content) // 3 + 5 :]


def scribbled(content):
    return content[:400] + b"\0" * 300 + content[700:]


def without_beginning(content):
    """Whole lines, but of a study that nobody created."""
    return b"\n".join(content.split(b"\n")[1:])


def one_fragment(content):
    return content[:20]


@pytest.mark.parametrize("damage", [shifted, scribbled, without_beginning, one_fragment])
def test_a_damaged_journal_is_set_aside_whole_and_said(tmp_path, damage):
    file = tmp_path / "study.journal"
    run(file, 3)
    broken = damage(file.read_bytes())
    file.write_bytes(broken)
    said = r"(?s)is not a whole journal of studies .* now lies at .*damaged-\d+T\d+"
    with pytest.raises(StudyDamaged, match=said) as caught:
        run(file, 3)
    [aside] = tmp_path.glob("study.journal.damaged-*")
    assert str(aside) in str(caught.value)
    assert aside.read_bytes() == broken
    assert not file.exists()
    assert len(run(file, 2)) == 2  # the same again begins anew


def test_an_empty_journal_holds_nothing(tmp_path):
    file = tmp_path / "study.journal"
    file.touch()
    assert len(run(file, 2)) == 2


def test_a_journal_cut_at_any_byte_is_mended_or_set_aside(tmp_path, rng):
    """Whatever a crash leaves of the tail: the trials of the part that is there, or an error and the file aside."""
    run(tmp_path / "whole.journal", 3)
    content = (tmp_path / "whole.journal").read_bytes()
    for length in rng.integers(1, len(content), size=12):
        file = tmp_path / f"{length}.journal"
        file.write_bytes(content[:length])
        try:
            with open_study(file, "question", SPACE) as study:
                assert len(study.trials) <= 3
        except StudyDamaged:
            [aside] = tmp_path.glob(f"{length}.journal.damaged-*")
            assert aside.read_bytes() == content[:length]
            assert b"\n" not in content[:length]
