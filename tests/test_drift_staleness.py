"""Versions of several ages, judged on a week that none has seen."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.drift.figures import staleness_png
from benchmarks.drift.staleness import Protocol, Sides, WeekOfPairs, interval, judge_ages
from benchmarks.drift.study import METRICS, STALENESS, by_age, gaps, kept_and_retrained

ROWS, COLUMNS, DIM = 40, 30, 6
ROW_KEYS, COLUMN_KEYS = [f"r{at}" for at in range(ROWS)], [f"c{at}" for at in range(COLUMNS)]
GROUPS = 5
PROTOCOL = Protocol(questions=4000)


def group_vectors(count, width=DIM):
    """A direction for each group; key i is of group i % GROUPS."""
    return np.eye(width, dtype=np.float32)[np.arange(count) % GROUPS]


def knowing(rows=ROW_KEYS, columns=COLUMN_KEYS, width=DIM):
    """A version that knows who belongs together, as far as it knows the keys."""
    of_row, of_column = (
        np.eye(width, dtype=np.float32)[[int(key[1:]) % GROUPS for key in keys]] for keys in (rows, columns)
    )
    return Sides(
        row_keys=pa.array(rows), rows=of_row, column_keys=pa.array(columns), columns=of_column, bag_of_rows=False
    )


def ignorant(seed):
    rng = np.random.default_rng(seed)
    vectors = {"rows": rng.normal(size=(ROWS, DIM)), "columns": rng.normal(size=(COLUMNS, DIM))}
    return replace(knowing(), **{name: values.astype(np.float32) for name, values in vectors.items()})


@pytest.fixture(scope="module")
def week():
    """Rows occur with columns of their own group only."""
    ids = [(row, column) for row in range(ROWS) for column in range(COLUMNS) if row % GROUPS == column % GROUPS]
    row_ids, col_ids = np.array(ids, np.int32).T
    counts = np.random.default_rng(0).integers(1, 9, len(ids)).astype(np.float32)
    return WeekOfPairs(
        row_keys=pa.array(ROW_KEYS),
        row_counts=np.bincount(row_ids, counts),
        column_keys=pa.array(COLUMN_KEYS),
        column_counts=np.bincount(col_ids, counts),
        row_ids=row_ids,
        col_ids=col_ids,
        counts=counts,
    )


def judged(week, **ages):
    found = judge_ages(week, {int(age[1:]): sides for age, sides in ages.items()}, PROTOCOL)
    return {(one.age, one.metric): one for one in found}


def test_who_knows_wins_and_who_does_not_guesses(week):
    found = judged(week, a1=knowing(), a3=ignorant(1))
    # A wrong column of the same group ties: about one in five.
    assert 0.88 < found[1, "pair_auc"].value < 0.92
    assert 0.4 < found[3, "pair_auc"].value < 0.6
    stale = found[3, "pair_auc"]
    assert stale.behind == pytest.approx(found[1, "pair_auc"].value - stale.value)
    assert stale.behind_low > 0.2
    assert stale.low < stale.value < stale.high
    assert found[1, "pair_auc"].behind == 0


def test_answers_match_a_plain_loop(week):
    """Every pair against every column, weighed by how often they are drawn."""
    sides = ignorant(2)
    scores = sides.rows @ sides.columns.T
    noise = week.column_counts**PROTOCOL.noise_exponent
    total = won = 0.0
    for row, right, count in zip(week.row_ids, week.col_ids, week.counts, strict=True):
        for wrong in range(COLUMNS):
            if wrong != right:
                weight = count * noise[wrong]
                total += weight
                won += weight * (scores[row, right] > scores[row, wrong])
    found = judged(week, a2=sides)[2, "pair_auc"]
    assert found.low - 0.01 < won / total < found.high + 0.01


def test_an_unknown_key_is_a_guess_and_is_left_out_among_the_same_keys(week):
    half = knowing(ROW_KEYS[: ROWS // 2], COLUMN_KEYS)
    found = judged(week, a1=knowing(), a4=half)
    assert found[4, "same_keys_auc"].value == pytest.approx(
        found[4, "same_keys_auc"].value + found[4, "same_keys_auc"].behind
    )
    assert 0.65 < found[4, "pair_auc"].value < 0.75
    assert found[4, "same_keys_auc"].rows_used < found[1, "same_keys_auc"].rows_used


def test_coverage_counts_occurrences_and_keys(week):
    known = ROW_KEYS[:7]
    found = judged(week, a1=knowing(), a2=knowing(known))
    assert found[2, "coverage"].value == pytest.approx(week.row_counts[:7].sum() / week.row_counts.sum())
    assert found[2, "key_coverage"].value == pytest.approx(7 / ROWS)
    assert found[2, "key_coverage"].behind == pytest.approx(1 - 7 / ROWS)
    assert found[1, "coverage"].value == pytest.approx(1.0)


@pytest.mark.parametrize("bag_of_rows", [False, True])
def test_a_new_row_is_composed_of_what_it_occurs_with(week, bag_of_rows):
    old = knowing(ROW_KEYS[: ROWS // 2])
    if bag_of_rows:  # both sides are one entity: rows and columns have the same keys
        week = replace(week, column_keys=pa.array(ROW_KEYS[:COLUMNS]))
        old = replace(knowing(ROW_KEYS[:35], ROW_KEYS[:35]), bag_of_rows=True)
    found = judged(week, a5=old)[5, "cold_start_auc"]
    assert found.value > 0.85
    assert found.behind == 0


def test_new_rows_that_were_learned_since_beat_those_that_cannot_be_composed(week):
    old = knowing(ROW_KEYS[: ROWS // 2], ["c0"])
    found = judged(week, a1=knowing(), a9=old)
    assert found[9, "cold_start_auc"].value == pytest.approx(0.5, abs=0.05)
    assert found[1, "cold_start_auc"].value > 0.85
    assert found[9, "cold_start_auc"].behind_low > 0.3


def test_versions_of_other_widths_and_vocabularies_are_judged_beside_each_other(week):
    found = judged(week, a1=knowing(), a2=knowing(width=9), a3=knowing(["x1"], ["y2"]))
    assert found[2, "pair_auc"].value == found[1, "pair_auc"].value
    assert found[3, "pair_auc"].value == 0.5
    assert found[3, "same_keys_auc"].value is None
    assert found[3, "same_keys_auc"].undefined == "no question that it and the newest can both answer"
    assert found[3, "coverage"].value == 0


def test_nothing_new_has_no_cold_start(week):
    found = judged(week, a1=knowing())[1, "cold_start_auc"]
    assert (found.value, found.undefined) == (None, "every row of the week is known to the oldest version")


def test_a_week_without_pairs_and_no_versions(week):
    empty = replace(week, row_ids=week.row_ids[:0], col_ids=week.col_ids[:0], counts=week.counts[:0])
    [found] = judge_ages(empty, {1: knowing()}, PROTOCOL)
    assert "no pair that is frequent enough" in found.undefined
    assert judge_ages(week, {}, PROTOCOL) == []


def test_a_version_that_has_seen_the_week_is_refused(week):
    with pytest.raises(ValueError, match=r"ages \[0\] have seen the week"):
        judge_ages(week, {0: knowing(), 1: knowing()}, PROTOCOL)


def test_the_same_seed_asks_the_same(week):
    versions = {1: knowing(), 2: ignorant(3)}
    assert judge_ages(week, versions, PROTOCOL) == judge_ages(week, versions, PROTOCOL)
    assert judge_ages(week, versions, PROTOCOL) != judge_ages(week, versions, Protocol(questions=4000, seed=1))


@pytest.mark.parametrize("wrong", [{"questions": 1}, {"noise_exponent": 2.0}])
def test_wrong_settings_say_no(wrong):
    with pytest.raises(ValueError, match=f"got {next(iter(wrong.values()))}"):
        Protocol(**wrong)


def test_interval():
    assert interval([1.0]) == (1.0, None, None)
    mean, low, high = interval([0.0, 1.0, 1.0, 0.0])
    assert (mean, low + high) == (0.5, 1.0)
    assert high - mean == pytest.approx(1.96 * np.std([0, 1, 1, 0], ddof=1) / 2)


def rows_of(**values):
    """Rows of one metric: `w3_1` is the value on week 3 of the version trained up to week 1."""
    made = []
    for name, value in values.items():
        week, trained = (int(part) for part in name[1:].split("_"))
        newest = max(int(other.split("_")[1]) for other in values if other.startswith(f"w{week}_"))
        row = dict.fromkeys(STALENESS.names)
        row |= {"week": f"2026-01-0{week}", "trained_week": f"2026-01-0{trained}", "age": week - trained}
        behind = values[f"w{week}_{newest}"] - value
        made.append(row | {"metric": "pair_auc", "value": value, "behind": behind})
    return made


def test_the_study_averages_over_weeks_and_follows_the_kept_version():
    rows = rows_of(w2_1=0.8, w3_1=0.7, w3_2=0.9, w4_1=0.6, w4_2=0.7, w4_3=0.8)
    ages = {row["age"]: row for row in by_age(rows)}
    assert [ages[age]["weeks"] for age in (1, 2, 3)] == [3, 2, 1]
    assert ages[2]["behind"] == pytest.approx((0.2 + 0.1) / 2)
    assert ages[2]["value"] == pytest.approx(0.7)
    assert ages[2]["low"] < ages[2]["behind"] < ages[2]["high"]
    assert ages[3]["low"] is None
    kept = kept_and_retrained(rows)
    assert [(row["age"], row["kept"]) for row in kept] == [(1, 0.8), (2, 0.7), (3, 0.6)]
    assert [row["retrained"] for row in kept] == pytest.approx([0.8, 0.9, 0.8])
    assert [row["age"] for row in kept_and_retrained(rows, "2026-01-02")] == [1, 2]


def test_weeks_without_a_value_are_left_out_of_the_study():
    rows = [*rows_of(w2_1=0.8), {**rows_of(w3_1=0.5)[0], "value": None}]
    assert [row["weeks"] for row in by_age(rows)] == [1]
    assert by_age([]) == kept_and_retrained([]) == []


def test_gaps_name_the_missing_weeks():
    assert gaps(["a", "c"], ["a", "b", "c"]) == "no version of b: the curve has gaps there"
    assert gaps(["a"], ["a"]) is None


def test_the_picture_has_a_panel_for_every_metric_with_or_without_rows():
    rows = rows_of(w2_1=0.8, w3_1=0.7, w3_2=0.9)
    every = [{**row, "metric": metric} for metric in METRICS for row in rows]
    for some in (every, []):
        assert staleness_png(some, "study").startswith(b"\x89PNG")
