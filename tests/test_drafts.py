"""From a training run to drafts, and from published versions back to what a warm start takes."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from contracts import planted_table

from embedding_assets.assets.versions import loss_fell
from embedding_assets.drafts import drafts_of, earlier_tables
from embedding_assets.embeddings.word import SPEC
from embedding_assets.records import EmbeddingTable, PairTable, TrainResult
from embedding_assets.spec import Composed
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


def test_what_is_composed_is_published_in_the_same_space_as_the_registrys_compose_makes_it(tmp_path):
    table = planted_table(9, 11)
    rows, columns = table.rows, table.columns
    window = replace(SPEC.window, columns="word/contexts", column_entity=columns.entity)
    part = Composed(entity="reader", of=columns.entity, bags="word/bags", weeks=2, idf=True)
    spec = replace(SPEC, entity=rows.entity, window=window, composed=(part,))
    names = columns.keys.to_pylist()
    bags = pa.table({"key": ["r", "r", "s"], "feature": [names[0], names[3], "unknown"], "weight": [2.0, 1.0, 1.0]})
    drafts = drafts_of(spec, result_of(table), WEEK, bags={"word/bags": bags}, stages={"word/pairs": {"cap": 3}})
    assert [f"{draft.entity}/{draft.name}" for draft in drafts] == list(spec.published)
    assert len({draft.space for draft in drafts}) == 1
    _, of, composed = (open_registry(tmp_path).publish(draft) for draft in drafts)
    assert composed.keys().to_pylist() == ["r"]
    np.testing.assert_allclose(
        composed.numpy(), of.compose([{names[0]: 2.0, names[3]: 1.0}]).vectors, rtol=1e-5, atol=1e-6
    )
    assert composed.manifest.training["composed"]["of"] == columns.entity
    assert composed.manifest.training["stages"] == {"word/pairs": {"cap": 3}}


def test_two_sides_of_one_entity_are_published_under_two_names():
    table = planted_table(9, 11)
    entity = table.rows.entity
    two = replace(table, columns=replace(table.columns, entity=entity))
    window = replace(SPEC.window, columns="word/b", column_entity=entity, column_name="followed")
    spec = replace(SPEC, entity=entity, window=window)
    drafts = drafts_of(spec, result_of(two), WEEK)
    assert [f"{draft.entity}/{draft.name}" for draft in drafts] == [f"{entity}/word", f"{entity}/followed"]
    assert [len(draft.keys) for draft in drafts] == [9, 11]
