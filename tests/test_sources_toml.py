"""The settings of a source: what they mean, and how a wrong one is named."""

from datetime import UTC, datetime

import pytest
from source_files import CLICKS, WEEK, check, open_files

from embedding_assets.sources.files import FileSource
from embedding_assets.sources.quarantine import (
    InvalidSetting,
    MissingColumn,
    MissingFile,
    SourceError,
    UnknownTable,
)
from embedding_assets.sources.schema import TABLES
from embedding_assets.sources.select import open_source


@pytest.mark.parametrize(
    ("toml", "error", "words"),
    [
        ("[tweet]\npath = 'c.csv'", InvalidSetting, ["'tweet'", "'tweets'"]),
        ("[ad_clicks]\npaht = 'c.csv'\npath = 'c.csv'", InvalidSetting, ["'paht'", "'path'"]),
        ("[ad_clicks]\nwide = false", InvalidSetting, ["[ad_clicks]", "path"]),
        ("[ad_clicks]\npath = 7", InvalidSetting, ["path", "7"]),
        ("[ad_clicks]\npath = 'd.csv'", MissingFile, ["'d.csv'", "'c.csv'"]),
        ("[ad_clicks]\npath = 'https://x.org/c.csv'", InvalidSetting, ["local", "x.org"]),
        ("[ad_clicks]\npath = 'c.csv'\nformat = 'cvs'", InvalidSetting, ["'cvs'", "'csv'"]),
        ("[ad_clicks]\npath = 'c.csv'\ndelimiter = '||'", InvalidSetting, ["delimiter", "'||'"]),
        ("[ad_clicks]\npath = 'c.csv'\nundirected = true", InvalidSetting, ["undirected"]),
        ("[ad_clicks]\npath = 'c.csv'\nwide = true", InvalidSetting, ["wide"]),
        ("[ad_clicks]\npath = 'c.csv'\ncolumns = { ad_d = 'x' }", InvalidSetting, ["'ad_d'", "'ad_id'"]),
        ("[ad_clicks]\npath = 'c.csv'\ncolumns = { ad_id = 'add_id' }", MissingColumn,
         ["[ad_clicks] ad_id", "'add_id'", "'ad_id'"]),
        ("[follows]\npath = 'c.csv'", MissingColumn, ["[follows] src", "'src'", "user_id"]),
        ("[ad_clicks]\npath = 'c.csv'\nconstants = { created_at = 'noon' }", InvalidSetting,
         ["created_at", "'noon'", "ISO"]),
        ("[ad_clicks]\npath = 'c.csv'\nconstants = { ad_id = 1.7 }", InvalidSetting, ["ad_id", "1.7"]),
        ("[ad_clicks]\npath = 'c.csv'\nconstants = { ad_id = 1 }\ncolumns = { ad_id = 'ad_id' }",
         InvalidSetting, ["ad_id", "both"]),
        ("[user_metadata]\npath = 'c.csv'\nwide = true\nconstants = { user_id = 1 }",
         InvalidSetting, ["constants", "user_id"]),
        ("[weeks]\nfirst = '2026-01-06'\n[ad_clicks]\npath = 'c.csv'", InvalidSetting,
         ["[weeks] first", "Monday"]),
        ("[weeks]\nfrist = 1\n[ad_clicks]\npath = 'c.csv'", InvalidSetting, ["'frist'", "'first'"]),
        ("[weeks]\nfirst = 2026-01-12\nlast = 2026-01-05\n[ad_clicks]\npath = 'c.csv'",
         InvalidSetting, ["2026-01-12", "2026-01-05"]),
        ("path = 'c.csv'", InvalidSetting, ["'path'", "tweets"]),
        ("[ad_clicks", InvalidSetting, ["not TOML"]),
        ("", InvalidSetting, ["no table"]),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_with_what_was_meant(tmp_path, toml, error, words):
    with pytest.raises(error) as caught:
        open_files(tmp_path, toml, c__csv=CLICKS)
    assert isinstance(caught.value, SourceError)
    for word in [str(tmp_path / "source.toml"), *words]:
        assert word in str(caught.value)


def test_a_missing_description_is_named(tmp_path):
    with pytest.raises(MissingFile, match=r"nothing\.toml"):
        FileSource.open(tmp_path / "nothing.toml", cache=tmp_path / "cache")


def test_a_jsonl_key_that_never_occurs_is_named_when_the_file_is_parsed(tmp_path):
    toml = "[ad_clicks]\npath = 'c.jsonl'\ncolumns = { ad_id = 'advert' }"
    source = open_files(tmp_path, toml, c__jsonl='{"user_id": 1, "adverts": 2}\n')
    with pytest.raises(MissingColumn, match=r"'advert' in .*did you mean 'adverts'"):
        _ = source.first_week


def test_columns_constants_and_formats(tmp_path):
    toml = """
        [engagements]
        path = "likes.data"
        format = "csv"
        delimiter = ";"
        columns = { producer_id = "author", created_at = "at" }
        constants = { kind = "like", weight = 0.5 }
    """
    source = open_files(tmp_path, toml, likes__data="at;user_id;author;x\n2026-01-06;1;2;3\n")
    assert source.name == tmp_path.name
    assert source.tables == {"engagements"}
    assert source.read("engagements", WEEK).rows.to_pylist() == [
        {
            "user_id": "1",
            "producer_id": "2",
            "tweet_id": None,
            "kind": "like",
            "weight": 0.5,
            "created_at": datetime(2026, 1, 6, tzinfo=UTC),
        }
    ]


def test_what_is_asked_for_must_exist(tmp_path):
    source = open_files(tmp_path, "[ad_clicks]\npath = 'c.csv'", c__csv=CLICKS + "1,2,2026-01-06\n")
    with pytest.raises(UnknownTable, match=r"'tweets'.*ad_clicks"):
        source.read("tweets", WEEK)
    with pytest.raises(ValueError, match="Monday"):
        source.read("ad_clicks", "2026-01-06")
    empty = check(source.read("ad_clicks", "2031-01-06"), "ad_clicks")
    assert (empty.rows_in, empty.records) == (0, 0)


def test_the_environment_names_a_source(tmp_path):
    open_files(tmp_path, "[ad_clicks]\npath = 'c.csv'", c__csv=CLICKS + "1,2,2026-01-06\n")
    environ = {"EMBEDDINGS_SOURCE": str(tmp_path / "source.toml")}
    source = open_source(environ, tmp_path / "home")
    assert source.read("ad_clicks", source.first_week).rows.num_rows == 1
    assert (tmp_path / "home" / "staging").is_dir()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("EMBEDDINGS_SEED", "one"),
        ("EMBEDDINGS_USERS", "0"),
        ("EMBEDDINGS_USERS", "3"),
        ("EMBEDDINGS_TWEETS_PER_WEEK", "1e3"),
        ("EMBEDDINGS_FIRST_WEEK", "2026-01-06"),
        ("EMBEDDINGS_SOURCE", "/nowhere/source.toml"),
    ],
)
def test_a_malformed_variable_is_named(tmp_path, variable, value):
    with pytest.raises(SourceError) as caught:
        open_source({variable: value}, tmp_path)
    assert value in str(caught.value)
    assert variable in str(caught.value) or variable == "EMBEDDINGS_SOURCE"


def test_without_a_variable_the_source_is_the_synthetic_twitter(tmp_path):
    settings = {
        "EMBEDDINGS_SEED": "7",
        "EMBEDDINGS_USERS": "120",
        "EMBEDDINGS_TWEETS_PER_WEEK": "200",
        "EMBEDDINGS_FIRST_WEEK": "2026-02-02",
    }
    source = open_source(settings, tmp_path)
    assert source.first_week == "2026-02-02"
    assert set(TABLES) <= source.tables
