"""What may be tried, and the reviewed file: what it may say, and how it reaches the spec."""

import json
from dataclasses import replace

import pytest
from tuning_world import WORD

from embedding_assets.embeddings import load_spec
from embedding_assets.search_space import Choice, Range, Tuning, parse_dimension
from embedding_assets.spec import SpecError
from embedding_assets.trainers.als import Als
from embedding_assets.tuned import Tuned, settings_now, tuned, with_settings

GOOD = {
    "embedding": "word",
    "trainer": {"name": "Sgns", "epochs": 4, "learning_rate": 0.31, "patience": None},
    "prune": {"min_count": 7},
    "evidence": {"metric": "topic_purity.v1/same_topic"},
}


def written(folder, document):
    file = folder / "word.tuned.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return file


@pytest.mark.parametrize(
    ("text", "name", "dimension"),
    [
        ("epochs=1:8", "epochs", Range(1, 8)),
        ("learning_rate=0.02:1:log", "learning_rate", Range(0.02, 1.0, log=True)),
        ("prune.min_count=2:20", "prune.min_count", Range(2, 20)),
        ("start=spectral,random", "start", Choice(("spectral", "random"))),
        ("epochs=none,3", "epochs", Choice((None, 3))),
    ],
)
def test_what_may_be_tried_is_read_from_text(text, name, dimension):
    assert parse_dimension(text) == (name, dimension)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epochs", "must look like name=low:high"),
        ("epochs=1:many", "with numbers for the ends"),
        ("epochs=1:8:lg", "must look like"),
        ("epochs=8:1", "Range.low must lie below"),
        ("rate=0:1:log", "Range.low must be above 0"),
        ("rate=0:inf", "Range.high must be a finite number, got inf"),
        ("dim=32", "two or more different values"),
        ("dim=32,32", "two or more different values"),
    ],
)
def test_wrong_text_is_refused_with_the_reason(text, said):
    with pytest.raises(ValueError, match=said):
        parse_dimension(text)


@pytest.mark.parametrize(
    ("dimension", "inside", "outside"),
    [
        (Range(1, 8), [1, 8], [0, 9, 2.5, True, None, "3"]),
        (Range(0.1, 1.0), [0.1, 1, 0.5], [0.05, None]),
        (Choice((None, 3, "a")), [None, 3, "a"], [3.0, 0, "b"]),
    ],
)
def test_membership(dimension, inside, outside):
    assert all(value in dimension for value in inside)
    assert not any(value in dimension for value in outside)


@pytest.mark.parametrize(("wrong", "said"), [({"metric": "auc"}, "Tuning.metric"), ({"space": {}}, "Tuning.space")])
def test_tuning_says_no_early(wrong, said):
    with pytest.raises(ValueError, match=said):
        Tuning(**wrong)


def test_a_file_beside_the_spec_gives_its_settings(tmp_path):
    written(tmp_path, GOOD)
    spec = tuned(WORD, str(tmp_path / "word.py"))
    now = settings_now(spec)
    assert [now[name] for name in ("epochs", "learning_rate", "patience", "prune.min_count")] == [4, 0.31, None, 7]
    others = {"dim", "k", "prune.subsample", "prune.max_vocabulary"}
    assert {name: now[name] for name in others} == {name: settings_now(WORD)[name] for name in others}
    assert spec.code_version != WORD.code_version


def test_without_a_file_the_spec_is_as_it_is(tmp_path):
    assert tuned(WORD, str(tmp_path / "word.py")) is WORD
    (tmp_path / "other.tuned.json").write_text("{")  # of another embedding
    assert tuned(WORD, str(tmp_path / "word.py")) is WORD


def test_a_file_reads_as_it_was_written(tmp_path):
    read = Tuned.read(written(tmp_path, GOOD))
    assert json.loads(read.text()) == GOOD
    assert Tuned.read(written(tmp_path, read.text())) == read


def changed(**changes):
    return {**GOOD, **changes}


def trainer(**changes):
    return changed(trainer={**GOOD["trainer"], **changes})


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("{not json", "is not JSON: .*line 1 column 2"),
        ([GOOD], "the document must be an object"),
        (changed(trainers=3), "unknown field 'trainers'; did you mean trainer"),
        (changed(trainer=3), "trainer must be an object, got 3"),
        (changed(embedding=None), "embedding must be text, got None"),
        ({"trainer": {"name": "Sgns"}}, "embedding and trainer.name are needed"),
        (changed(trainer={"epochs": 3}), "embedding and trainer.name are needed"),
        (changed(embedding="tag"), "embedding is 'tag', but the spec's is 'word'; tune word again"),
        (trainer(name="Svd"), "trainer.name is 'Svd', but the spec's is 'Sgns'"),
        (trainer(epoch=3), "trainer.epoch is no setting; did you mean trainer.epochs"),
        (changed(prune={"mincount": 3}), "prune.mincount is no setting; did you mean prune.min_count"),
        (trainer(epochs="4"), "trainer.epochs must be int or null, got '4'"),
        (trainer(epochs=4.0), "trainer.epochs must be int or null, got 4.0"),
        (trainer(k=True), "trainer.k must be int, got True"),
        (trainer(learning_rate=[0.1]), r"trainer.learning_rate must be float or null, got \[0.1\]"),
        (trainer(start="spectrum"), "trainer.start must be one of 'spectral', 'random', got 'spectrum'"),
        (changed(prune={"min_count": "7"}), "prune.min_count must be float, got '7'"),
        (trainer(dim=0), "Sgns.dim must be at least 1, got 0"),
        (changed(prune={"decay": 2}), r"Prune.decay must lie in \(0, 1\], got 2"),
        (
            '{"embedding": "word", "trainer": {"name": "Sgns", "learning_rate": NaN}}',
            "Sgns.learning_rate must be above 0, got nan",
        ),
    ],
)
def test_a_wrong_file_is_refused_by_file_and_field(tmp_path, document, said):
    file = written(tmp_path, document)
    with pytest.raises(SpecError, match=said) as caught:
        tuned(WORD, str(tmp_path / "word.py"))
    assert str(file) in str(caught.value)


def test_a_spec_that_reads_its_file_fails_with_it_at_load(tmp_path):
    (tmp_path / "small.py").write_text(
        "from embedding_assets.spec import EmbeddingSpec, Window\n"
        "from embedding_assets.trainers.sgns import Sgns\n"
        "from embedding_assets.tuned import tuned\n"
        "SPEC = tuned(EmbeddingSpec(name='small', entity='word', about='Few dimensions.', stages=(),\n"
        "    trainer=Sgns(dim=8), window=Window(pairs='word/pairs', rows='word/vocabulary')), __file__)\n"
    )
    proposal = Tuned(embedding="small", trainer="Sgns", settings={"epochs": 7})
    (tmp_path / "small.tuned.json").write_text(proposal.text())
    assert load_spec(tmp_path / "small.py", "small").trainer.epochs == 7
    (tmp_path / "small.tuned.json").write_text(replace(proposal, settings={"epochs": 0}).text())
    with pytest.raises(SpecError, match=r"small\.py: .*small\.tuned\.json: Sgns\.epochs must be at least 1, got 0"):
        load_spec(tmp_path / "small.py", "small")


def test_settings_that_do_not_go_together_are_refused():
    als = replace(WORD, trainer=Als())
    assert settings_now(with_settings(als, {"alpha": 3}))["alpha"] == 3
    with pytest.raises(SpecError, match=r"Als\.alpha must be above 0 for implicit feedback, got 0"):
        with_settings(als, {"alpha": 0})
