"""A week's report: what it says, that it needs nothing else, and what it does with little."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner
from dagster_helpers import RUNS_DAGSTER, Pipeline, pipeline, week

from embedding_assets.commands.report import report
from embedding_assets.embeddings.word import SPEC
from embedding_assets.reports.page import number, percent, render
from embedding_assets.reports.week import newest_week, report_of, weeks_read, youngest_and_oldest
from registry import Upstream
from resources.lake import Lake

pytestmark = RUNS_DAGSTER

LAST = week(5)


class Page(HTMLParser):
    """The text of a page, what it refers to, and tags that were never closed."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self, html):
        super().__init__()
        self.text, self.links, self.open = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def made(tmp_path_factory) -> Pipeline:
    return pipeline(tmp_path_factory.getbasetemp() / "pipeline")


@pytest.fixture
def lake(made):
    home = made.project.home
    return Lake(root=str(home / "lake"), registry_root=str(home / "registry"))


@pytest.fixture
def found(lake):
    return report_of(lake, [SPEC], "synthetic", LAST)


def test_a_report_holds_what_the_registry_says(found, made):
    [word] = found.embeddings
    assert word.state == "promoted"
    assert word.served == {"word/word": "word/word@v6"}
    [version] = word.versions
    recorded = {(score.task, score.metric): score.value for score in version.scores()}
    assert {(line.score.task, line.score.metric): line.score.value for line in word.scores} == recorded
    earlier = {(score.task, score.metric): score.value for score in made.project.store["word/word@v5"].scores()}
    assert all(line.before == earlier[line.score.task, line.score.metric] for line in word.scores)
    assert len(word.gates) == 1 + len(SPEC.gates)


def test_lineage_goes_down_to_the_raw_weeks(found):
    [inputs] = found.embeddings[0].inputs.values()
    assert next(iter(inputs)) == "raw/tweets"
    assert [entry.split()[0] for entry in inputs["raw/tweets"]] == [week(index) for index in range(6)]
    below = Upstream(asset="raw/tweets", partition="w1", data_version="d1")
    twice = [Upstream(asset=name, partition="w1", data_version="d2", upstream=(below,)) for name in ("b/c", "a/b")]
    tree = Upstream(asset="x/y", partition="w1", data_version=None, upstream=tuple(twice))
    assert weeks_read(tree) == {"raw/tweets": ["w1 (d1)"], "a/b": ["w1 (d2)"], "b/c": ["w1 (d2)"]}


def test_the_page_is_whole_and_needs_nothing_else(found):
    html = render(found)
    page = Page(html)
    assert not page.open
    assert page.links
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert not re.search(r"https?://|<script|@import|url\(", html)
    text = " ".join(" ".join(page.text).split())
    assert f"Embeddings, week of {LAST}" in text
    assert "1 embeddings: 1 promoted." in text
    assert "word/word@v6" in text
    score = next(line.score for line in found.embeddings[0].scores if line.score.low is not None)
    assert f"{number(score.value)} {number(score.low)} to {number(score.high)}" in text
    assert percent(found.overlap[0]["share"]) in text


def test_what_others_wrote_cannot_become_markup(found):
    [word] = found.embeddings
    evil = {"version": "v", "served": None, "gate": "<script>alert(1)</script>", "passed": False, "why": "<img src=x>"}
    html = render(replace(found, source="<b>x</b>", embeddings=[replace(word, gates=[evil])]))
    assert "<script" not in html
    assert "<img src=x" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "held back by 1 of 1" in " ".join(Page(html).text)


def test_a_week_in_which_nothing_was_made_is_said_so(lake):
    empty = report_of(lake, [SPEC], "synthetic", week(40))
    assert empty.states == ["1 no version"]
    text = " ".join(Page(render(empty)).text)
    for said in ("No gate was asked", "Nothing was judged", "Drift was not measured"):
        assert said in text


def test_of_staleness_the_newest_and_the_oldest_are_shown():
    rows = [{"embedding": "word", "metric": m, "age": age} for age in (3, 1, 2) for m in ("auc", "coverage")]
    assert [(new["metric"], new["age"], old["age"]) for new, old in youngest_and_oldest(rows)] == [
        ("auc", 1, 3),
        ("coverage", 1, 3),
    ]


@pytest.fixture
def command(made, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMBEDDINGS_HOME", str(made.project.home))
    monkeypatch.delenv("EMBEDDINGS_SOURCE", raising=False)
    return lambda *arguments: CliRunner().invoke(report, arguments)


def test_the_command_writes_the_newest_week(command, tmp_path, lake):
    assert newest_week(lake, [SPEC]) == LAST
    result = command()
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"report-{LAST}.html (")
    assert [file.name for file in tmp_path.iterdir()] == [f"report-{LAST}.html"]
    assert f"week of {LAST}" in (tmp_path / f"report-{LAST}.html").read_text()


def test_the_command_refuses_what_is_no_week(command, tmp_path):
    result = command("2026-01-06")
    assert (result.exit_code, "a week is named by its Monday" in result.output) == (1, True)
    assert not list(tmp_path.iterdir())


def test_an_empty_home_is_said_with_what_to_do(command, monkeypatch, tmp_path):
    monkeypatch.setenv("EMBEDDINGS_HOME", str(tmp_path / "empty"))
    assert "materialise a week first" in command().output
