"""Backfills: which weeks of which asset, and what is said when nobody answers."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from click.testing import CliRunner
from dagster_helpers import RUNS_DAGSTER, SMALL, Project, failures, week, weeks
from dagster_server import free_port

from embedding_assets.backfill import BackfillError, ask, follow, launch, merged, ranges, spans
from embedding_assets.commands.backfill import backfill
from embedding_assets.embeddings import all_specs
from embedding_assets.factory import stages_of

WORD = next(spec for spec in all_specs() if spec.name == "word")
STAGES = stages_of([WORD])


def test_each_asset_is_asked_for_as_far_back_as_its_readers_look():
    found = ranges(WORD, (week(20), week(25)), SMALL, STAGES)
    assert found == {
        "word/embedding": (week(20), week(25)),
        "word/scores": (week(20), week(25)),
        "word/production": (week(20), week(25)),
        "raw/truth_words": (week(20), week(25)),  # its scores compare with it
        "raw/truth_moved_words": (week(20), week(25)),
        "word/pairs": (week(17), week(25)),  # 4 weeks
        "word/vocabulary": (week(17), week(25)),
        "word/corpus": (week(17), week(25)),
        "word/phrases": (week(17), week(25)),
        "text/tokens": (week(14), week(25)),  # phrases look 4 weeks back again
        "raw/tweets": (week(14), week(25)),
    }


def test_nothing_before_the_sources_first_week_is_asked_for():
    found = ranges(WORD, (week(2), week(3)), SMALL, STAGES)
    assert found["word/embedding"] == (week(2), week(3))
    assert {found[asset] for asset in ("word/pairs", "text/tokens", "raw/tweets")} == {(week(0), week(3))}
    early = ranges(WORD, (week(-9), week(3)), SMALL, STAGES)
    assert set(early.values()) == {(week(0), week(3))}


def test_merged_takes_the_longer_range():
    parts = [
        {"raw/tweets": (week(3), week(5)), "word/pairs": (week(3), week(5))},
        {"raw/tweets": (week(1), week(4))},
        {"raw/tweets": (week(4), week(6)), "user/pairs": (week(4), week(6))},
    ]
    assert merged(parts) == {
        "raw/tweets": (week(1), week(6)),
        "word/pairs": (week(3), week(5)),
        "user/pairs": (week(4), week(6)),
    }
    assert merged([]) == {}


@RUNS_DAGSTER
def test_the_ranges_are_enough_to_make_the_weeks(tmp_path):
    """Made in order, asset by asset and week by week, nothing misses a week."""
    project = Project.open(tmp_path, source=SMALL)
    needed = ranges(WORD, (week(1), week(1)), SMALL, STAGES)
    for monday in weeks(0, 1):
        due = [asset for asset, (first, last) in needed.items() if first <= monday <= last]
        assert failures(project.run(monday, *due)) == {}
    assert [info.week for info in project.store.versions("word/word")] == [week(1)]
    assert project.lake.partitions("raw/truth_words") == [week(1)]


def test_nobody_listening_is_said_with_what_to_do():
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(BackfillError, match=rf"no Dagster webserver at {url}: .*; start one with `make dev`"):
        launch(url, {"raw/tweets": [(week(0), week(1))]})


@contextmanager
def answering(*answers, status=200):
    """A server that gives each answer once, in order; yields its address and the bodies of the requests."""
    left, asked = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            body = json.dumps(left.pop(0)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            """Keep quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_launch_asks_for_ranges_by_asset():
    answer = {"data": {"launchPartitionBackfill": {"__typename": "LaunchBackfillSuccess", "backfillId": "b1"}}}
    with answering(answer) as (url, asked):
        assert launch(url, {"raw/tweets": [(week(0), week(1)), (week(3), week(3))]}) == "b1"
    assert asked[0]["variables"]["params"]["partitionsByAssets"] == [
        {
            "assetKey": {"path": ["raw", "tweets"]},
            "partitions": {"ranges": [{"start": week(0), "end": week(1)}, {"start": week(3), "end": week(3)}]},
        }
    ]


def test_a_refusal_is_passed_on():
    refused = {"__typename": "PartitionKeysNotFoundError", "message": "Partition keys `['2027']` not found"}
    with answering({"data": {"launchPartitionBackfill": refused}}) as (url, _), pytest.raises(BackfillError) as caught:
        launch(url, {"raw/tweets": [(week(0), week(1))]})
    assert str(caught.value) == "PartitionKeysNotFoundError: Partition keys `['2027']` not found"


def test_a_query_that_fails_is_passed_on():
    with (
        answering({"errors": [{"message": "no such field"}]}) as (url, _),
        pytest.raises(BackfillError, match=r"^no such"),
    ):
        ask(url, "query { x }", {})


def test_an_http_error_is_not_taken_for_nobody():
    with (
        answering({"errors": [{"message": "Syntax Error"}]}, status=400) as (url, _),
        pytest.raises(BackfillError, match=r"answers 400: .*Syntax Error"),
    ):
        ask(url, "query {", {})


def test_follow_counts_until_the_end():
    counts = [
        {"numPartitionsTargeted": 3, "numPartitionsMaterialized": made, "numPartitionsFailed": 0} for made in (1, 3)
    ]
    steps = [("REQUESTED", None), ("REQUESTED", [counts[0], counts[1]]), ("COMPLETED_SUCCESS", [counts[1]])]
    answers = [
        {"data": {"partitionBackfillOrError": {"status": status, "assetBackfillData": data}}}
        for status, found in steps
        for data in [found and {"assetBackfillStatuses": found}]
    ]
    with answering(*answers) as (url, asked):
        seen = list(follow(url, "b1", seconds=0))
    assert seen == [("REQUESTED", 0, 0, 0), ("REQUESTED", 4, 0, 6), ("COMPLETED_SUCCESS", 3, 0, 3)]
    assert {request["variables"]["id"] for request in asked} == {"b1"}


def test_weeks_without_a_gap_are_one_range():
    assert spans([week(5), week(2), week(1), week(3)]) == [(week(1), week(3)), (week(5), week(5))]
    assert spans([]) == []


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Runs `embeddings backfill` with these arguments over an empty home."""
    monkeypatch.setenv("EMBEDDINGS_HOME", str(tmp_path))
    monkeypatch.delenv("EMBEDDINGS_SOURCE", raising=False)
    return lambda *arguments: CliRunner().invoke(backfill, arguments)


def test_help_names_every_option(command):
    said = command("--help").output
    assert all(option in said for option in ("--from MONDAY", "--to MONDAY", "--late", "--dry-run", "--url"))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ["--from", "2026-01-06", "--to", "2026-01-12"],
            2,
            "a week is named by its Monday (YYYY-MM-DD), got '2026-01-06'",
        ),
        (["--from", "next week", "--to", "2026-01-12"], 2, "Invalid value for '--from'"),
        (["--from", "2026-01-12", "--to", "2026-01-05"], 1, "--from 2026-01-12 comes after --to 2026-01-05"),
        (["--from", "2025-12-29", "--to", "2026-01-05"], 1, "the source synthetic has the weeks 2026-01-05 to"),
        (["--from", "2026-01-12"], 2, "--from and --to are required, or --late"),
        (["word", "--late"], 2, "--late finds the weeks by itself"),
        (["wrod", "--from", "2026-01-05", "--to", "2026-01-12"], 1, "no embedding 'wrod'; did you mean word"),
    ],
)
def test_impossible_requests_are_refused(command, arguments, code, said):
    result = command(*arguments)
    assert (result.exit_code, said in result.output) == (code, True), result.output


def test_a_dry_run_lists_every_asset_and_its_weeks(command):
    result = command("word", "--from", week(4), "--to", week(5), "--dry-run")
    assert f"{'word/embedding':<28} {week(4)} to {week(5)}" in result.output
    assert f"{'raw/tweets':<28} {week(0)} to {week(5)}" in result.output


def test_without_names_all_that_a_week_holds_is_asked_for(command):
    asked = {line.split()[0] for line in command("--from", week(4), "--to", week(5), "--dry-run").output.splitlines()}
    assert {"user_follow/production", "drift/token_overlap", "scores/leaderboard", "features/user_topics"} <= asked
    assert not any(asset.endswith("/tuning") for asset in asked), "a search is made by who asks for it"


def test_the_command_follows_its_backfill_to_the_end(command):
    counts = {"numPartitionsTargeted": 3, "numPartitionsMaterialized": 2, "numPartitionsFailed": 1}
    answers = [
        {"data": {"launchPartitionBackfill": {"backfillId": "b1"}}},
        {
            "data": {
                "partitionBackfillOrError": {
                    "status": "COMPLETED_FAILED",
                    "assetBackfillData": {"assetBackfillStatuses": [counts]},
                }
            }
        },
    ]
    with answering(*answers) as (url, _):
        result = command("word", "--from", week(0), "--to", week(1), "--url", url)
    assert result.exit_code == 1
    assert f"backfill b1: {url}/runs/b/b1" in result.output
    assert "backfill b1 ended as COMPLETED_FAILED, 1 partitions failed" in result.output


def test_nothing_is_late_where_nothing_was_made(command):
    result = command("--late")
    assert (result.exit_code, result.output) == (
        0,
        "nothing is late: every raw week in the lake is what the source has\n",
    )
