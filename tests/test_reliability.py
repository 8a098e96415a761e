"""Drills that need a real daemon, once each; `python -m tests.reliability` runs them at full count."""

import pytest
from reliability.worker import kill_a_publish


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["files", "logged"])
def test_a_worker_killed_while_it_publishes_is_retried_and_does_no_damage(tmp_path, moment):
    outcome = kill_a_publish(tmp_path, moment)
    assert outcome.kills == 1
    assert outcome.problems == ()
