"""From a training run to drafts, and from published versions back to what a warm start takes."""

import numpy as np
import pytest
from contracts import planted_table

from embedding_assets.assets.versions import loss_fell
from embedding_assets.drafts import drafts_of, earlier_tables
from embedding_assets.embeddings.word import SPEC
from embedding_assets.records import EmbeddingTable, PairTable, TrainResult
from registry import open_registry

WEEK = "2026-01-05"
CURVE = np.array([3.0, 2.0])


def result_of(table: PairTable, sides: int = 2) -> TrainResult:
    rng = np.random.default_rng(1)
    tables = [
        EmbeddingTable(vocabulary=vocabulary, vectors=rng.random((len(vocabulary), 7), np.float32))
        for vocabulary in (table.rows, table.columns)[:sides]
    ]
    return TrainResult(
        tables=tuple(tables),
        loss_curve=(),
        seconds=1.0,
        compile_seconds=0.0,
        device="cpu:0",
        extras={"singular_values": CURVE},
    )


@pytest.mark.parametrize(("table", "versions"), [(planted_table(9), 1), (planted_table(9, 11), 2)])
def test_a_warm_start_gets_the_trainers_own_tables_back(tmp_path, table, versions):
    result, store = result_of(table), open_registry(tmp_path)
    published = [store.publish(draft) for draft in drafts_of(SPEC, result, WEEK)]
    assert len(published) == versions
    for found, trained in zip(earlier_tables(published), result.tables, strict=True):
        assert found.vocabulary.entity == trained.vocabulary.entity
        assert found.vocabulary.keys.equals(trained.vocabulary.keys)
        np.testing.assert_array_equal(found.vocabulary.counts, trained.vocabulary.counts)
        np.testing.assert_allclose(found.vectors, trained.vectors, atol=1e-6)


def test_extras_of_the_trainer_are_published_beside_the_vectors(tmp_path):
    [draft] = drafts_of(SPEC, result_of(planted_table(9)), WEEK)
    version = open_registry(tmp_path).publish(draft)
    np.testing.assert_array_equal(version.extra("singular_values"), CURVE)
    assert version.extra("context").shape == (9, 7)


def test_a_trainer_may_return_one_table():
    [draft] = drafts_of(SPEC, result_of(planted_table(9), sides=1), WEEK)
    assert set(draft.extra) == {"singular_values", "mean"}


def test_an_extra_may_not_take_the_place_of_ours():
    result = result_of(planted_table(9))
    result.extras["mean"] = CURVE
    with pytest.raises(ValueError, match=r"extras may not hold \['mean'\]"):
        drafts_of(SPEC, result, WEEK)


@pytest.mark.parametrize(
    ("losses", "passed", "said"),
    [((), True, "no loss"), ((2.0,), True, "2.0000 now"), ((2.0, 1.5), True, "1.5000 now"), ((2.0, 2.5), False, "2.5")],
)
def test_the_check_of_the_loss_copes_with_any_curve(losses, passed, said):
    check = loss_fell(losses)
    assert check.passed is passed
    assert said in str(check.description)
