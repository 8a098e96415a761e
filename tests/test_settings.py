"""Settings: what each variable may say, and a home that belongs to one source."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from embedding_assets.settings import SettingError, Settings, claim_home


def test_defaults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = Settings.read({})
    home = tmp_path / "data"
    assert settings == Settings(home=home, device="auto", memory_limit="8GB", word_similarity=(), analogy=())


def test_every_variable_is_read(tmp_path):
    files = [tmp_path / "one.tsv", tmp_path / "two.tsv"]
    for file in files:
        file.write_text("a\tb\t1\n")
    settings = Settings.read(
        {
            "EMBEDDINGS_HOME": str(tmp_path / "home"),
            "EMBEDDINGS_DEVICE": "cpu",
            "EMBEDDINGS_MEMORY": "512MB",
            "EMBEDDINGS_WORD_SIMILARITY": os.pathsep.join(map(str, files)),
            "EMBEDDINGS_ANALOGY": str(files[0]),
            "EMBEDDINGS_WEBHOOK": "https://example.org/hook",
        }
    )
    assert settings == Settings(
        home=tmp_path / "home",
        device="cpu",
        memory_limit="512MB",
        word_similarity=tuple(files),
        analogy=(files[0],),
        webhook="https://example.org/hook",
    )


def test_empty_variables_count_as_unset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("HOME", "DEVICE", "MEMORY", "WORD_SIMILARITY", "ANALOGY", "WEBHOOK")
    assert Settings.read({f"EMBEDDINGS_{name}": "" for name in names}) == Settings.read({})


def test_a_relative_home_starts_at_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Settings.read({"EMBEDDINGS_HOME": "here"}).home == tmp_path / "here"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("EMBEDDINGS_DEVICE", "tpu", r"EMBEDDINGS_DEVICE must be one of \('auto', 'cpu', 'gpu'\), got 'tpu'"),
        ("EMBEDDINGS_MEMORY", "8XB", "EMBEDDINGS_MEMORY must look like 8GB or 500MiB, got '8XB'"),
        ("EMBEDDINGS_WORD_SIMILARITY", "/no/such.tsv", r"names files that do not exist: \['/no/such.tsv'\]"),
    ],
)
def test_a_wrong_value_names_its_variable(variable, value, said):
    with pytest.raises(SettingError, match=said):
        Settings.read({variable: value})


def test_files_of_one_name_are_refused_because_one_score_would_hide_the_other(tmp_path):
    files = [tmp_path / folder / "en.tsv" for folder in "ab"]
    for file in files:
        file.parent.mkdir()
        file.write_text("")
    with pytest.raises(SettingError, match="needs files of different names"):
        Settings.read({"EMBEDDINGS_WORD_SIMILARITY": os.pathsep.join(map(str, files))})


def test_only_the_files_that_are_absent_are_named(tmp_path):
    here = tmp_path / "here.tsv"
    here.write_text("")
    with pytest.raises(SettingError) as caught:
        Settings.read({"EMBEDDINGS_WORD_SIMILARITY": f"{here}{os.pathsep}{tmp_path / 'gone.tsv'}"})
    assert "gone.tsv" in str(caught.value)
    assert "here.tsv" not in str(caught.value)


def test_a_home_keeps_its_source(tmp_path):
    home = tmp_path / "deep" / "home"
    for _ in range(2):
        claim_home(home, "tweets")
    with pytest.raises(SettingError, match=r"holds data of the source 'tweets', not of 'twitch'; set EMBEDDINGS_HOME"):
        claim_home(home, "twitch")
    claim_home(home, "tweets")
    assert [path.name for path in home.iterdir()] == ["SOURCE"]


def test_of_two_sources_at_once_one_gets_the_home(tmp_path):
    def claim(number):
        source = f"source{number % 2}"
        try:
            claim_home(tmp_path, source)
        except SettingError:
            return None
        return source

    with ThreadPoolExecutor(8) as pool:
        told = set(pool.map(claim, range(32)))
    [owner] = told - {None}
    assert None in told
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("SOURCE", f"{owner}\n")]
