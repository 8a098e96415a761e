import math

import numpy as np
import pyarrow as pa
import pytest
from registry_samples import N, make_draft, make_keys, make_vectors

from registry import Score, open_registry
from registry.errors import InvalidPromotion
from registry.gates import (
    Finite,
    MaxShrink,
    MinCoverage,
    MinScore,
    NoRegression,
    NothingFell,
    NotOlder,
    SameWidth,
    judge,
    parse_gate,
)
from registry.records_promotion import GateResult


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return open_registry(tmp_path_factory.mktemp("registry"))


@pytest.fixture
def publish(store):
    """Publish a version with scores given as (task, metric, value[, low, high])."""

    def make(*scores, **changes):
        version = store.publish(make_draft(**changes))
        for task, metric, value, *interval in scores:
            low, high = interval or (None, None)
            reason = "one class" if value is None else None
            score = Score(task=task, metric=metric, value=value, low=low, high=high, rows_used=9, undefined=reason)
            store.add_score(version, score)
        return version

    return make


def verdict(gate, candidate, current):
    (result,) = judge([gate], candidate, current)
    return result


# (current, candidate) as (value, low, high); whether a fall of more than .05 is seen
FALLS = {
    "equal": ((0.8, None, None), (0.8, None, None), True),
    "better": ((0.8, 0.7, 0.9), (0.9, 0.85, 0.95), True),
    "within the bound": ((0.8, None, None), (0.76, None, None), True),
    "beyond the bound, exact": ((0.8, None, None), (0.74, None, None), False),
    "beyond the bound, but noise": ((0.8, 0.7, 0.9), (0.74, 0.64, 0.84), True),
    "beyond the bound and the noise": ((0.8, 0.78, 0.82), (0.7, 0.68, 0.72), False),
    # fall .1; half-widths .06 and .08 are .1 in square: the lower end is just 0
    "at the edge of the noise": ((0.8, 0.74, 0.86), (0.7, 0.62, 0.7801), True),
    "just over the edge": ((0.8, 0.74, 0.86), (0.7, 0.62, 0.7799), False),
    "clear, but small": ((0.8, 0.799, 0.801), (0.76, 0.759, 0.761), True),
}


@pytest.mark.parametrize("case", FALLS)
def test_a_regression_is_a_fall_beyond_bound_and_noise(publish, case):
    before, after, passed = FALLS[case]
    result = verdict(NoRegression("t.v1", 0.05), publish(("t.v1", "m", *after)), publish(("t.v1", "m", *before)))
    assert result.passed is passed
    numbers = result.numbers["t.v1 m"]
    assert numbers["fall"] == pytest.approx(before[0] - after[0])
    down = before[0] - before[1] if before[1] else 0
    up = after[2] - after[0] if after[2] else 0
    assert numbers["fall_low"] == pytest.approx(before[0] - after[0] - math.hypot(down, up))
    if not passed:
        assert f"fell by {before[0] - after[0]:.4g} from {before[0]:.4g} to {after[0]:.4g}" in result.why


def test_every_metric_of_a_task_counts_unless_one_is_named(publish):
    current = publish(("t.v1", "a", 0.8), ("t.v1", "b", 0.8), ("other.v1", "a", 0.9))
    candidate = publish(("t.v1", "a", 0.9), ("t.v1", "b", 0.5), ("other.v1", "a", 0.1))
    assert "t.v1 b fell by 0.3" in verdict(NoRegression("t.v1"), candidate, current).why
    assert verdict(NoRegression("t.v1", metric="a"), candidate, current).passed
    assert not verdict(NoRegression("t"), candidate, current).passed  # whichever protocol
    assert verdict(NoRegression("t", 0.3), candidate, current).passed


def test_a_task_without_a_score_or_a_value_does_not_pass(publish):
    current = publish(("t.v1", "m", 0.8))
    bare, undefined = publish(), publish(("t.v1", "m", None))
    for gate in (NoRegression("t.v1"), MinScore("t.v1", 0.1)):
        for before in (current, None):
            assert "has no score of task t.v1" in verdict(gate, bare, before).why
            assert not verdict(gate, bare, before).passed
            assert not verdict(gate, undefined, before).passed
            assert "has no value: one class" in verdict(gate, undefined, before).why
    assert "metric x" in verdict(NoRegression("t.v1", metric="x"), current, None).why


def test_a_metric_that_is_no_longer_measured_does_not_pass(publish):
    result = verdict(NoRegression("t"), publish(("t.v1", "a", 1.0)), publish(("t.v1", "a", 0.5), ("t.v1", "b", 0.5)))
    assert not result.passed
    assert result.why == "t.v1 b has no value: not recorded"


def test_where_there_is_nothing_to_fall_from_a_score_passes(publish):
    candidate = publish(("t.v1", "m", 0.1))
    for current in (None, publish(), publish(("t.v1", "m", None))):
        assert verdict(NoRegression("t.v1"), candidate, current).passed


@pytest.mark.parametrize(("value", "passed"), [(0.5, True), (0.4999, False), (None, False)])
def test_a_least_score(publish, value, passed):
    result = verdict(MinScore("t.v1", 0.5), publish(("t.v1", "m", value)), None)
    assert (result.passed, result.numbers) == (passed, {"t.v1 m": value})


@pytest.mark.parametrize("case", FALLS)
def test_nothing_fell_sees_the_falls_of_every_task(publish, case):
    before, after, passed = FALLS[case]
    current = publish(("t.v1", "m", *before), ("other.v1", "m", 0.5))
    result = verdict(NothingFell(0.05), publish(("t.v1", "m", *after), ("other.v1", "m", 0.5)), current)
    assert result.passed is passed
    assert result.numbers["t.v1 m"]["fall"] == pytest.approx(before[0] - after[0])
    assert result.numbers["other.v1 m"]["fall"] == 0


def test_what_has_no_value_on_both_sides_stops_nobody_and_is_named(publish):
    current = publish(("old.v1", "m", 0.9), ("gone.v1", "m", 0.9), ("both.v1", "m", 0.9))
    candidate = publish(("new.v2", "m", 0.1), ("old.v1", "m", None), ("both.v1", "m", 0.9))
    result = verdict(NothingFell(), candidate, current)
    assert result.passed
    assert result.why.startswith("1 metrics compared")
    assert result.why.endswith("not compared, for want of a value: gone.v1 m, new.v2 m, old.v1 m")
    assert verdict(NothingFell(), candidate, None).passed


def test_a_task_may_have_a_bound_of_its_own(publish):
    current = publish(("t.v1", "m", 0.9), ("u.v1", "m", 0.9))
    candidate = publish(("t.v1", "m", 0.5), ("u.v1", "m", 0.9))
    assert not verdict(NothingFell(0.1), candidate, current).passed
    for bound, passed in ((0.41, True), (0.39, False), (math.inf, True)):
        assert verdict(NothingFell(0.1, bounds={"t": bound}), candidate, current).passed is passed
        assert verdict(NothingFell(0.1, bounds={"u": bound}), candidate, current).passed is False
    for bounds, passed in (({"t/m": 0.41}, True), ({"t/other": 0.41}, False), ({"t/m": 0.1, "t": math.inf}, False)):
        assert verdict(NothingFell(0.1, bounds=bounds), candidate, current).passed is passed
    with pytest.raises(ValueError, match="the bound of t must be at least 0, got -1"):
        NothingFell(bounds={"t": -1})


def test_an_older_week_does_not_follow_a_newer_one(publish):
    weeks = {week: publish(week=week) for week in ("2026-01-05", "2026-01-12", None)}
    allowed = {
        (now, then): verdict(NotOlder(), weeks[now], weeks[then]).passed
        for now in weeks
        for then in weeks
        if None not in (now, then)
    }
    assert [pair for pair, passed in allowed.items() if not passed] == [("2026-01-05", "2026-01-12")]
    assert verdict(NotOlder(), weeks[None], weeks["2026-01-12"]).passed
    assert verdict(NotOlder(), weeks["2026-01-05"], None).passed


def test_another_width_or_metric_is_refused_in_words(publish):
    current = publish()
    narrow = verdict(SameWidth(), publish(vectors=make_vectors(dim=3)), current)
    assert (narrow.passed, narrow.why) == (False, "5 dimensions by cosine became 3 by cosine")
    assert not verdict(SameWidth(), publish(metric="dot"), current).passed
    assert verdict(SameWidth(), publish(vectors=make_vectors(seed=4)), current).passed
    assert verdict(SameWidth(), current, None).passed


def test_coverage_counts_keys_or_their_weight(publish):
    counts = pa.table({"count": np.arange(N), "tag": ["x"] * N})
    current = publish(attributes=counts)
    candidate = publish(keys=make_keys().slice(7), vectors=make_vectors(N - 7))  # keys 0 to 6 are gone
    share = (N - 7) / N
    assert verdict(MinCoverage(share), candidate, current).passed
    refused = verdict(MinCoverage(share + 1e-6), candidate, current)
    assert not refused.passed
    assert refused.numbers == {"covered": pytest.approx(share), "keys_gone": 7}
    weighed = 1 - sum(range(7)) / sum(range(N))
    assert verdict(MinCoverage(weighed - 1e-9, "count"), candidate, current).passed
    assert not verdict(MinCoverage(weighed + 1e-6, "count"), candidate, current).passed
    for column in ("tag", "views"):
        assert f"no attribute '{column}'" in verdict(MinCoverage(0.1, column), candidate, current).why
        assert not verdict(MinCoverage(0.0, column), candidate, current).passed
    assert verdict(MinCoverage(1.0, "views"), candidate, None).passed


def test_null_weights_count_nothing(publish):
    current = publish(attributes=pa.table({"count": pa.array([None] * 7 + [1] * (N - 7), pa.int64())}))
    candidate = publish(keys=make_keys().slice(7), vectors=make_vectors(N - 7))
    assert verdict(MinCoverage(1.0, "count"), candidate, current).passed
    weightless = publish(attributes=pa.table({"count": np.zeros(N)}))
    assert verdict(MinCoverage(0.5, "count"), candidate, weightless).numbers["covered"] == 0.0


def test_shrinking_is_about_the_number_of_keys(publish):
    current = publish()
    candidate = publish(keys=make_keys().slice(10), vectors=make_vectors(N - 10))
    assert verdict(MaxShrink(10 / N + 1e-9), candidate, current).passed
    refused = verdict(MaxShrink(0.25), candidate, current)
    assert (refused.passed, refused.why) == (False, "37 keys became 27, which is -27.0%")
    assert verdict(MaxShrink(0.0), current, candidate).passed  # growth
    assert verdict(MaxShrink(), current, None).passed


def test_a_share_that_is_reached_exactly_passes(publish):
    current = publish(("t.v1", "m", 0.3), keys=make_keys(10), vectors=make_vectors(10))
    candidate = publish(("t.v1", "m", 1 - 0.7), keys=make_keys(7), vectors=make_vectors(7))
    assert verdict(MaxShrink(0.3), candidate, current).passed  # 1 - 7 / 10 is a little over 0.3
    assert verdict(MinCoverage(0.1 + 0.6), candidate, current).passed
    assert verdict(MinScore("t.v1", 0.1 + 0.2), candidate, current).passed  # so is 0.1 + 0.2
    assert not verdict(MaxShrink(0.299), candidate, current).passed


def test_finite_reads_every_vector(publish):
    zeros = np.zeros((N, 5), np.float32)
    zeros[2] = 1
    assert verdict(Finite(), publish(vectors=zeros), None).numbers == {"not_finite": 0, "zero": N - 1}

    class Broken:
        """What a disk that lies could make of a version; publish refuses such vectors."""

        def numpy(self):
            return np.array([[1, 2], [np.nan, 0], [0, np.inf], [0, 0]], np.float32)

    result = verdict(Finite(), Broken(), None)
    assert (result.passed, result.numbers) == (False, {"not_finite": 2, "zero": 1})


def test_any_function_of_two_versions_is_a_gate(publish):
    current, candidate = publish(), publish()

    def same_width(new, old):
        return new.dim == old.dim

    def with_numbers(new, old):
        return GateResult(name="mine", passed=False, why="because", numbers={"n": len(new)})

    results = judge([same_width, with_numbers, lambda new, old: np.bool_(True)], candidate, current)
    assert [(result.name, result.passed) for result in results] == [
        ("same_width", True),
        ("mine", False),
        ("<lambda>", True),
    ]


@pytest.mark.parametrize("answer", [None, 1, "yes", GateResult(name="x", passed=True, why="", numbers={"a": math.nan})])
def test_an_answer_that_is_no_verdict_is_refused(publish, answer):
    with pytest.raises(InvalidPromotion):
        judge([lambda new, old: answer], publish(), None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NoRegression("t", -0.1), "bound"),
        (lambda: NoRegression("t", math.nan), "bound"),
        (lambda: MinScore("t", math.nan), "least"),
        (lambda: MinCoverage(1.1), "share"),
        (lambda: MaxShrink(-0.1), "share"),
    ],
)
def test_settings_without_meaning_are_refused_early(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("no-regression:topic.v1", NoRegression("topic.v1")),
        ("no-regression:topic:0.005:auc", NoRegression("topic", 0.005, "auc")),
        ("min-score:topic:0.6", MinScore("topic", 0.6)),
        ("min-coverage:0.9:count", MinCoverage(0.9, "count")),
        ("max-shrink", MaxShrink()),
        ("max-shrink:0.1", MaxShrink(0.1)),
        ("finite", Finite()),
    ],
)
def test_gates_are_written_as_text(text, gate):
    assert parse_gate(text) == gate


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shrink:0.1",
        "max-shrink:much",
        "max-shrink:2",
        "max-shrink:0.1:x",
        "min-score:t",
        "finite:1",
        "min-coverage",
    ],
)
def test_text_that_is_no_gate_says_what_is(text):
    with pytest.raises(InvalidPromotion, match=r"is no gate: .*no-regression:TASK\[:BOUND\]\[:METRIC\]"):
        parse_gate(text)
