import io
import json
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from registry_samples import LINEAGE, D, N, make_draft, make_keys, make_vectors
from rich.console import Console

from registry import Score, Upstream, open_registry
from registry.cli import main
from registry.show.cards import cell_text, printable

HOSTILE = ["<script>alert(1)</script>", "</td><img src=x onerror=alert(1)>", '"&amp;', "\x1b[31m", "\u202eevil", "[b]"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = open_registry(tmp_path_factory.mktemp("repr"))
    keys = pa.array([*HOSTILE, *make_keys().to_pylist()[len(HOSTILE) :]])
    twice = Upstream(asset="<raw>", partition="2026-01-05", data_version="d9", upstream=(LINEAGE, LINEAGE))
    counts = pa.table({"count": np.arange(N)})
    trainer, training = {"name": "sgns", "dim": D, "<b>": [1]}, {"seconds": 1.25, "losses": [3.0, 2.0]}
    version = store.publish(
        make_draft(keys=keys, lineage=twice, attributes=counts, trainer=trainer, training=training, window_weeks=4)
    )
    store.publish(make_draft(entity="user", name="follow", week=None, space="run-1:centers"))
    store.publish(make_draft(week="2026-01-12"))
    store.promote(version, "production", reason="first")
    store.add_score(version, Score(task="words.v1", metric="spearman", value=0.41, low=0.3, high=0.5, rows_used=1353))
    store.add_score(version, Score(task="<i>", metric="auc", value=None, undefined="one & only class", rows_used=4))
    return store


class Reader(HTMLParser):
    """Collects the tags and the visible text, and checks that every tag is closed."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.open, self.text = set(), set(), [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1] != "style":
            self.text.append(data)


ALLOWED = {
    "style", "div", "h4", "h5", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "details", "summary",
}  # fmt: skip


def drawn(thing):
    console = Console(width=200, file=io.StringIO())
    console.print(thing)
    return console.file.getvalue()


def shown(thing):
    """What the notebook and the terminal show of a thing, as text."""
    reader = Reader(thing._repr_html_())
    assert reader.tags <= ALLOWED
    assert reader.attributes <= {"class", "open"}
    return " | ".join(reader.text), drawn(thing)


def test_a_version_shows_size_scores_aliases_and_lineage(store):
    version = store["word/word@v1"]
    assert repr(version) == f"<Version word/word@v1 week 2026-01-05: {N} x {D}, cosine>"
    html, text = shown(version)
    for look in (html, text):
        for part in ("word/word@v1", f"{N} of entity word", "2026-01-05", "@production", "sgns", "1.2500", "spearman"):
            assert part in look
        for part in ("0.4100", "one & only class", "<raw> partition=2026-01-05", "raw/tweets partition=2025-12-29"):
            assert part in look
        assert "losses" not in look
        assert look.count("raw/tweets") == 2  # word/pairs stands there twice and is unfolded once
        assert look.count("(see above)") == 1


def test_hostile_keys_are_text_in_both(store):
    html, text = shown(store["word/word@v1"])
    for look in (html, text):
        assert "<script>alert(1)</script>" in look
        assert "\\x1b[31m" in look
        assert not {"\x1b", "\u202e"} & set(look)
    assert "<script>" not in store["word/word@v1"]._repr_html_()


def test_an_embedding_lists_its_versions_newest_first(store):
    embedding = store.embedding("word/word")
    assert repr(embedding) == "<Embedding word/word: 2 versions, latest v2, @production v1>"
    assert (embedding.latest.number, embedding.aliases, embedding.gone) == (2, {"production": 1}, {})
    for look in shown(embedding):
        assert look.index("v2") < look.index("v1")
        assert "@production" in look
    assert store.embedding("user/follow").aliases == {}


def test_a_store_lists_its_embeddings(store, tmp_path):
    assert repr(store) == f"<Store {store.root}: 2 embeddings>"
    for look in shown(store):
        for part in ("user/follow@v1", "word/word@v2", "@production v1", str(store.root)):
            assert part in look
    assert str(tmp_path) in shown(open_registry(tmp_path))[0]


def test_a_version_says_which_aliases_name_it_now(store):
    assert store["word/word@production"].aliases() == ["production"]
    assert store["word/word@v2"].aliases() == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.5, "0.5000"), (3.0, "3.0"), (12345, "12,345"), (True, "true"), (["é"], '["é"]'), ("x", "x")],
)
def test_cells(value, text):
    assert cell_text(value) == text


def test_printable_keeps_scripts_and_escapes_commands():
    assert printable("木 é\n\u202e\x00") == "木 é\\n\\u202e\\x00"


@pytest.fixture
def run(store):
    def invoke(*arguments, code=0):
        result = CliRunner().invoke(main, ["--root", store.root, *arguments])
        assert result.exit_code == code, result.output
        return result

    return invoke


def test_the_command_composes(run, store):
    document = json.loads(run("compose", "user/follow", "key3=2", "key7", "a=b", "--json").stdout)
    expected = store["user/follow"].compose([{"key3": 2, "key7": 1, "a=b": 1}])
    assert (document["coverage"], document["unknown"]) == (0.75, ["a=b"])
    np.testing.assert_array_equal(np.float32(document["vector"]), expected.vectors[0])
    text = run("compose", "user/follow", "key3=2", "key3=1").stdout
    assert f"{make_vectors()[3, 0]:.6g}" in text
    document = json.loads(
        run("compose", "user/follow", "key3", "--neighbors", "3", "--of", "word/word", "--json").stdout
    )
    assert (document["of"], document["neighbors"][0]["neighbor"]) == ("word/word@v2", "key3")
    lines = run("compose", "user/follow", "key3=2", "key7", "--neighbors", "4").stdout.splitlines()
    assert len(lines) == 2 + 1 + 4
    for arguments, message in [
        (("key3=-1",), "the weight of key 'key3' is -1.0"),
        (("nokey", "--missing", "raise"), "'nokey' has no vector"),
        (("nokey", "--neighbors", "2"), "no key that user/follow@v1 knows"),
    ]:
        assert message in run("compose", "user/follow", *arguments, code=1).stderr


def test_the_command_exports(run, tmp_path):
    path = tmp_path / "words.parquet"
    document = json.loads(run("export", "word/word", str(path), "--json").stdout)
    assert document["files"] == [{"file": str(path), "bytes": path.stat().st_size}]
    assert "exists; choose another path" in run("export", "word/word", str(path), code=1).stderr
    assert str(path) in run("export", "word/word", str(path), "--overwrite").stdout
    assert "suffix '.csv' is unknown" in run("export", "word/word", str(tmp_path / "x.csv"), code=1).stderr
    run("export", "word/word", str(tmp_path / "x.csv"), "--format", "safetensors")
    assert (tmp_path / "x.csv").stat().st_size > N * D * 4
