"""`user_follow` on the synthetic Twitter, by both ways: users of one community come near."""

from dataclasses import replace

import numpy as np
import pytest
from stage_runs import Stages

from embedding_assets.drafts import drafts_of
from embedding_assets.embeddings.user_follow import FACTORISED, ON_WALKS, SPEC
from embedding_assets.sources.schema import shift_week
from embedding_assets.sources.synthetic import SyntheticTwitter


@pytest.fixture(scope="module")
def stages() -> Stages:
    return Stages(source=SyntheticTwitter(seed=1, users=500, tweets_per_week=500), specs=(SPEC,))


@pytest.fixture(scope="module")
def week(stages) -> str:
    return shift_week(stages.source.first_week, 2)


def test_the_window_holds_every_follow_so_far_but_those_of_oneself(stages, week):
    table = stages.window(SPEC, week)
    weeks = [shift_week(week, -age) for age in range(3)]
    rows = [row for one in weeks for row in stages.source.read("follows", one).rows.to_pylist()]
    known = {(row["src"], row["dst"]) for row in rows if row["src"] != row["dst"]}
    sources, destinations = table.rows.keys.to_pylist(), table.columns.keys.to_pylist()
    assert {(sources[i], destinations[j]) for i, j in zip(table.row_ids, table.col_ids, strict=True)} == known


@pytest.mark.parametrize("trainer", [ON_WALKS, FACTORISED], ids=["on walks", "factorised"])
def test_both_ways_bring_a_community_together_in_two_versions_of_one_space(trainer, stages, week):
    spec = replace(SPEC, trainer=replace(trainer, dim=16, device="cpu"))
    result = spec.trainer.fit(stages.window(spec, week))
    drafts = drafts_of(spec, result, week)
    assert [(draft.entity, draft.name) for draft in drafts] == [("user", "user_follow"), ("user", "user_followed")]
    assert drafts[0].space == drafts[1].space
    assert drafts[0].trainer["name"] == type(trainer).__name__
    truth = stages.source.read("truth_users", week).rows
    community = dict(zip(truth["user_id"].to_pylist(), truth["community"].to_pylist(), strict=True))
    of = np.array([community[key] for key in drafts[0].keys.to_pylist()])
    unit = drafts[0].vectors / np.maximum(np.linalg.norm(drafts[0].vectors, axis=1, keepdims=True), 1e-9)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -1.0)
    same = float((of[cosines.argmax(axis=1)] == of).mean())
    assert same > 0.7  # by chance it would be 0.045
