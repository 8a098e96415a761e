"""Telling people: a line in the log always, and a POST to a webhook where one is set."""

import json
import logging
import time
import urllib.request
from dataclasses import asdict, dataclass, field
from http.client import HTTPException

import dagster as dg

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something that a person should know.

    Attributes:
        kind: `held_back` or `drift`.
        subject: the embedding and the week.
        text: one or two sentences with the numbers.
        facts: further JSON-able facts.
    """

    kind: str
    subject: str
    text: str
    facts: dict[str, str | float] = field(default_factory=dict)


class Notifier(dg.ConfigurableResource):
    """Sends notices; whoever sends one never fails because of it.

    Attributes:
        webhook: an http(s) address that takes JSON with the fields of `Notice`; None for the log alone. `text` is
            what Slack and Mattermost show.
        timeout_seconds: of one attempt.
        attempts: how often it is tried in all.
        pause_seconds: after the first failure; doubled after each further one.
    """

    webhook: str | None = None
    timeout_seconds: float = 5.0
    attempts: int = 3
    pause_seconds: float = 1.0

    def tell(self, notice: Notice) -> bool:
        """Send `notice`; returns whether somebody took it, and logs it in any case."""
        logger.warning("%s %s: %s", notice.kind, notice.subject, notice.text)
        if not self.webhook:
            return False
        body = json.dumps({**asdict(notice), "text": f"{notice.kind} {notice.subject}: {notice.text}"}).encode()
        request = urllib.request.Request(self.webhook, body, {"Content-Type": "application/json"})
        for attempt in range(self.attempts):
            if attempt:
                time.sleep(self.pause_seconds * 2 ** (attempt - 1))
            try:
                with urllib.request.urlopen(request, timeout=self.timeout_seconds):
                    return True
            except (OSError, HTTPException) as error:  # URLError, HTTPError and timeouts are OSErrors
                # The address may hold a secret: it is not logged.
                logger.warning("attempt %d of %d to notify failed: %s", attempt + 1, self.attempts, error)
        return False
