"""The six degenerate or leaking cases of the reliability drill, one by one."""

import pytest
from reliability.drills_benchmarks import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_degenerate_benchmark_is_refused_or_counted(world, case):
    assert case(world) is None
