import datetime as dt

import pytest
from registry_samples import make_draft, tombstone

from registry import layout, open_registry
from registry.errors import (
    AliasNotFound,
    BadReference,
    Erased,
    InvalidName,
    NotFound,
    Retired,
    UnknownEmbedding,
    UnknownVersion,
)
from registry.layout import Reference
from registry.logs.resolve import expand

WEEKS = ("2026-01-05", "2026-01-12", "2026-01-05")  # the third publish is a backfill of the first week


@pytest.fixture
def store(tmp_path):
    store = open_registry(tmp_path / "registry")
    for week in WEEKS:
        store.publish(make_draft(week=week))
    return store


def published(store, number):
    return dt.datetime.fromisoformat(store[f"word/word@v{number}"].info.published_at)


def test_latest_number_and_week(store):
    assert store["word/word"].number == store["word/word@latest"].number == 2
    assert store["word/word@v1"].number == 1
    assert store["word/word@2026-01-05"].number == 3
    assert store["word/word@2026-01-12"].number == 2


def test_a_timestamp_gives_what_latest_gave_then(store):
    just_before = dt.timedelta(microseconds=1)
    for moment, number in [
        (published(store, 1), 1),
        (published(store, 2) - just_before, 1),
        (published(store, 2), 2),
        (published(store, 3), 2),
        (published(store, 3) + dt.timedelta(days=9), 2),
    ]:
        assert store[f"word/word@{moment.isoformat()}"].number == number
        elsewhere = moment.astimezone(dt.timezone(dt.timedelta(hours=-7)))
        assert store[f"word/word@{elsewhere.isoformat()}"].number == number
        assert store[f"word/word@{moment.replace(tzinfo=None).isoformat()}Z"].number == number


def test_before_the_first_publish_there_was_nothing(store):
    with pytest.raises(UnknownVersion, match=r"no version at 2020-01-01T00:00:00\+00:00; its first was published at"):
        store["word/word@2020-01-01T00:00Z"]


@pytest.mark.parametrize(
    "selector",
    [
        "2026-01-05T10:00",
        "2026-01-05T25:00Z",
        "2026-13-05T10:00Z",
        "2026-01-05 10:00Z",
        "2026-01-05t10:00z",
        "2026-02-30",
    ],
)
def test_a_time_without_an_offset_or_that_does_not_exist_is_refused(store, selector):
    with pytest.raises(BadReference, match="with Z or an offset"):
        store[f"word/word@{selector}"]


def test_an_alias_names_its_version_and_close_ones_are_suggested(store):
    store.promote("word/word@v3", "production", expect=None)
    assert store["word/word@production"].number == 3
    with pytest.raises(AliasNotFound, match=r"no alias 'produktion'; did you mean production\?"):
        store["word/word@produktion"]
    with pytest.raises(AliasNotFound, match="no alias 'blue'; its aliases: production"):
        store["word/word@blue"]
    with pytest.raises(AliasNotFound, match=r"did you mean latest\?"):
        store["word/word@lastest"]
    with pytest.raises(UnknownEmbedding, match="did you mean word/word"):
        store["word/wrod@production"]
    assert "word/word@blue" not in store
    assert "word/word@production" in store


@pytest.mark.parametrize("alias", ["production", "a", "v", "v1x", "vega", "latest-good", "x" * 64, "stage_2"])
def test_names_that_may_be_aliases(store, alias):
    store.promote("word/word@v1", alias)
    assert store[f"word/word@{alias}"].number == 1


@pytest.mark.parametrize(
    "alias",
    ["", "latest", "v1", "v01", "v0", "2026-01-05", "1a", "-a", "_a", "A", "a b", "a/b", "..", "a\0", "é", "x" * 65],
)
def test_names_that_could_be_mistaken_for_something_else_may_not(store, alias):
    with pytest.raises(InvalidName, match="is not allowed"):
        store.promote("word/word@v1", alias)
    assert store.aliases("word/word") == {}
    assert not layout.is_alias(alias)


def test_no_selector_has_two_meanings():
    for text in ("latest", "v12", "2026-01-05", "2026-01-05T00:00Z", "production"):
        selector = Reference.parse(f"word/word@{text}").selector
        said = [selector.number, selector.week, selector.moment, selector.alias]
        assert sum(part is not None for part in said) == (text != "latest")


def test_a_tombstoned_version_is_not_latest_and_says_why(store):
    tombstone(store, 2, "2026-03-01T00:00:00+00:00", replaced_by=3)
    assert store["word/word"].number == 3
    with pytest.raises(Erased, match=r"word/word@v2 was erased at 2026-03-01.*: asked to; read word/word@v3 instead"):
        store["word/word@v2"]
    with pytest.raises(Erased):
        store["word/word@2026-01-12"]
    tombstone(store, 1, "2026-03-01T00:00:00+00:00", kind="retired")
    with pytest.raises(Retired, match="word/word@v1 was retired"):
        store["word/word@v1"]
    assert store["word/word@2026-01-05"].number == 3
    assert "word/word@v2" not in store
    assert issubclass(Erased, NotFound)


def test_when_all_versions_are_gone_the_newest_says_why(store):
    for number in (1, 2, 3):
        tombstone(store, number, "2026-03-01T00:00:00+00:00")
    with pytest.raises(Erased, match="word/word@v2"):
        store["word/word"]


def test_as_of_knows_what_was_gone_then_and_refuses_what_is_gone_now(store):
    gone_at = published(store, 3) + dt.timedelta(days=30)
    tombstone(store, 2, gone_at.isoformat())
    later = (gone_at + dt.timedelta(days=1)).isoformat()
    assert store[f"word/word@{later}"].number == 3  # v2 was gone by then
    with pytest.raises(Erased, match="word/word@v2"):  # latest was v2 then; v3 would be a silent other answer
        store[f"word/word@{(gone_at - dt.timedelta(days=1)).isoformat()}"]


def test_an_alias_of_an_erased_version_is_a_typed_error(store):
    store.promote("word/word@v2", "production")
    tombstone(store, 2, "2026-03-01T00:00:00+00:00")
    with pytest.raises(Erased, match="word/word@v2"):
        store["word/word@production"]


def test_patterns_name_versions_across_embeddings(store):
    store.publish(make_draft(name="follow", entity="user"))
    store.publish(make_draft(name="ad", entity="user", week=None))
    store.promote("user/ad@v1", "production")
    expanded = lambda pattern: [info.reference for info in expand(store._catalog, pattern)]  # noqa: E731
    assert expanded("user/*") == ["user/ad@v1", "user/follow@v1"]
    assert expanded("*/?o*@latest") == ["user/follow@v1", "word/word@v2"]
    assert expanded("*/*@production") == ["user/ad@v1"]
    assert expanded("*/*@2026-01-05") == ["user/follow@v1", "word/word@v3"]
    assert expanded("word/word@*") == ["word/word@v1", "word/word@v2", "word/word@v3"]
    tombstone(store, 1, "2026-03-01T00:00:00+00:00")
    assert expanded("word/word@*") == ["word/word@v2", "word/word@v3"]
    with pytest.raises(UnknownEmbedding, match="no embedding 'tag/"):
        expanded("tag/*")
    with pytest.raises(UnknownEmbedding, match="none of word/word has a version @production"):
        expanded("word/*@production")
    with pytest.raises(BadReference, match="is no pattern"):
        expanded("*")
    with pytest.raises(BadReference, match="selects no version"):
        expanded("*/*@v0")
