"""Notices against a real HTTP server; nobody who sends one fails because of it."""

import json
import logging
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from dagster_server import free_port

from resources.notifier import Notice, Notifier

NOTICE = Notice(kind="held_back", subject="word 2026-01-05", text="word/word@v2 by MaxShrink", facts={"shrink": 0.4})


@contextmanager
def hook(*answers):
    """A webhook that gives each answer once, a status or seconds to wait; yields its address and what it was sent."""
    left, got = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            answer = left.pop(0)
            if isinstance(answer, float):
                time.sleep(answer)
                answer = 200
            try:
                self.send_response(answer)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except BrokenPipeError:
                self.close_connection = True

        def log_message(self, *_args):
            """Keep quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/secret", got
        finally:
            server.shutdown()
            thread.join()


def notifier(url: str | None, **changes) -> Notifier:
    return Notifier(webhook=url, **{"pause_seconds": 0.01, "timeout_seconds": 2.0, **changes})


def test_a_notice_is_posted_and_logged(caplog):
    with hook(200) as (url, got), caplog.at_level(logging.WARNING):
        assert notifier(url).tell(NOTICE)
    assert got == [
        {
            "kind": "held_back",
            "subject": "word 2026-01-05",
            "text": "held_back word 2026-01-05: word/word@v2 by MaxShrink",
            "facts": {"shrink": 0.4},
        }
    ]
    assert [record.getMessage() for record in caplog.records] == [got[0]["text"]]


@pytest.mark.parametrize(("answers", "sent", "tried"), [((503, 500, 204), True, 3), ((500, 500, 500), False, 3)])
def test_a_server_in_trouble_is_asked_again_so_often_and_no_more(answers, sent, tried):
    with hook(*answers) as (url, got):
        assert notifier(url).tell(NOTICE) is sent
    assert len(got) == tried


def test_a_server_that_does_not_answer_in_time_is_left(caplog):
    with hook(0.3) as (url, _), caplog.at_level(logging.WARNING):
        assert not notifier(url, timeout_seconds=0.05, attempts=1).tell(NOTICE)
    assert "attempt 1 of 1 to notify failed: timed out" in caplog.text


def test_nobody_listening_is_said_without_the_address(caplog):
    with caplog.at_level(logging.WARNING):
        assert not notifier(f"http://127.0.0.1:{free_port()}/secret", attempts=2).tell(NOTICE)
    assert "attempt 2 of 2 to notify failed" in caplog.text
    assert "secret" not in caplog.text


def test_without_a_webhook_the_log_is_all(caplog):
    with caplog.at_level(logging.WARNING):
        assert not notifier(None).tell(NOTICE)
    assert len(caplog.records) == 1
