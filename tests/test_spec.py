"""Specs: wrong values are refused while the file loads, and the message names file and field."""

import pytest

from embedding_assets.assets.shared import SHARED
from embedding_assets.embeddings import all_specs, load_spec
from embedding_assets.reach import required_tables
from embedding_assets.spec import SpecError, Stage, this_week


def test_word_is_found_and_needs_only_tweets():
    specs = {spec.name: spec for spec in all_specs()}
    assert required_tables(specs["word"], SHARED) == {"tweets"}


def test_the_code_version_follows_the_settings():
    from dataclasses import replace

    word = next(spec for spec in all_specs() if spec.name == "word")
    other = replace(word, trainer=replace(word.trainer, dim=word.trainer.dim + 1))
    assert replace(word).code_version == word.code_version
    assert other.code_version != word.code_version


WORD = """
from dataclasses import replace
from embedding_assets.embeddings.word import SPEC as WORD
from embedding_assets.spec import Window
from embedding_assets.tables.window import Prune
from embedding_assets.trainers.sgns import Sgns
"""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("SPEC = replace(WORD, name='Wörd')", "SPEC.name must match"),
        ("SPEC = replace(WORD, entity='../x')", "SPEC.entity must match"),
        ("SPEC = replace(WORD, metric='manhattan')", "SPEC.metric must be one of"),
        ("SPEC = replace(WORD, gates=[])", "SPEC.gates must be a tuple of gates"),
        ("SPEC = replace(WORD, watches=[])", "SPEC.watches must be a tuple of Watch"),
        (
            "SPEC = replace(WORD, window=replace(WORD.window, weeks=0))",
            "Window.weeks must be a whole number of at least 1, got 0",
        ),
        ("SPEC = replace(WORD, trainer=Sgns(dim=0))", "Sgns.dim must be"),
        ("SPEC = replace(WORD, trainer=Sgns(dims=3))", "unexpected keyword argument 'dims'"),
        ("SPEC = replace(WORD, window=replace(WORD.window, prune=Prune(decay=0)))", "Prune.decay must"),
        ("SPEC = replace(WORD, window=replace(WORD.window, weeks=2.5))", "Window.weeks must be a whole number"),
        (
            "SPEC = replace(WORD, window=replace(WORD.window, pairs='pairs'))",
            "Window.pairs must look like `group/name`",
        ),
        ("SPEC = replace(WORD, trainer=Sgns)", "SPEC.trainer must be a trainer with its settings"),
        ("SPEC = replace(WORD, trainer=None)", "SPEC.trainer must be a trainer with its settings"),
        ("SPEC = replace(WORD, tasks='stability.v1')", "SPEC.tasks must be a tuple of task ids"),
        ("SPEC = replace(WORD, owner='bob')", "SPEC.owner must be `team:<name>`"),
        ("SPEC = replace(WORD, tags={'a b!': 'x'})", "SPEC.tags must hold"),
        ("SPEC = 7", "SPEC must be an EmbeddingSpec, got 7"),
    ],
)
def test_a_wrong_value_names_the_file_and_the_field(tmp_path, line, said):
    file = tmp_path / "mine.py"
    file.write_text(WORD + line)
    with pytest.raises(SpecError) as caught:
        load_spec(file, "mine")
    assert str(file) in str(caught.value)
    assert said in str(caught.value)


def test_an_unknown_input_is_named_with_close_matches(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(WORD + "SPEC = replace(WORD, name='mine', window=replace(WORD.window, pairs='mine/pear'))")
    with pytest.raises(SpecError, match="which no stage makes; did you mean mine/"):
        required_tables(load_spec(file, "mine"), SHARED)


def test_a_stage_must_feed_parameters_that_exist():
    with pytest.raises(SpecError, match=r"names \['tokenz'\], but make\(\) takes \['tokens'\]"):
        Stage(name="x", about="", inputs={"tokenz": this_week("text/tokens")}, make=lambda con, tokens: tokens)
