"""Backfills: which weeks of which assets a request needs, and asking a running Dagster for them.

A window reaches back before the first week asked for, and what it reads reaches back further still. Dagster's
backfill of plain partition names does not know that; this asks for exactly the weeks that each asset needs.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from embedding_assets.factory import labels_of
from embedding_assets.records import Week
from embedding_assets.sources.schema import Source, shift_week
from embedding_assets.spec import EmbeddingSpec, Stage

#: What is made of an embedding for each week asked for, besides the tables that it reads.
MADE = ("embedding", "scores", "production")

Range = tuple[Week, Week]

LAUNCH = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on Error { message }
  }
}
"""

STATUS = """
query Status($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    __typename
    ... on Error { message }
    ... on PartitionBackfill {
      status
      error { message }
      assetBackfillData {
        assetBackfillStatuses {
          ... on AssetPartitionsStatusCounts {
            numPartitionsTargeted
            numPartitionsMaterialized
            numPartitionsFailed
          }
        }
      }
    }
  }
}
"""

DONE = {"COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "CANCELED", "FAILED"}


class BackfillError(RuntimeError):
    """The webserver refused the backfill, or it did not succeed."""


def ranges(spec: EmbeddingSpec, weeks: Range, source: Source, stages: Mapping[str, Stage]) -> dict[str, Range]:
    """Asset key -> first and last week that must be made for versions and scores of `weeks` (both included).

    Args:
        spec: the embedding.
        weeks: first and last week of the versions.
        source: nothing before its first week is asked for, and of the labels only what it has.
        stages: asset key -> stage, of everything that the embedding reads.
    """
    first, last = max(weeks[0], source.first_week), weeks[1]
    needed = {f"{spec.name}/{made}": first for made in MADE}
    read = [*spec.reads.values(), *labels_of(spec, source).values()]
    wanted = [(one.asset, shift_week(first, 1 - (one.weeks or 1))) for one in read]
    while wanted:
        asset, week = wanted.pop()
        week = max(week, source.first_week)
        if week >= needed.get(asset, shift_week(last, 1)):
            continue
        needed[asset] = week
        inputs = stages[asset].inputs.values() if asset in stages else ()
        inputs = [read for read in inputs if not read.optional or read.asset.removeprefix("raw/") in source.tables]
        wanted += [(read.asset, shift_week(week, 1 - (read.weeks or 1))) for read in inputs]
    return {asset: (week, last) for asset, week in needed.items()}


def merged(parts: Sequence[Mapping[str, Range]]) -> dict[str, Range]:
    """The ranges of several embeddings as one: of an asset that two need, the longer."""
    result: dict[str, Range] = {}
    for part in parts:
        for asset, (first, last) in part.items():
            known = result.get(asset, (first, last))
            result[asset] = (min(first, known[0]), max(last, known[1]))
    return result


def spans(weeks: Iterable[Week]) -> list[Range]:
    """First and last week of each stretch without a gap, oldest first.

    >>> spans(["2026-01-05", "2026-01-12", "2026-02-02"])
    [('2026-01-05', '2026-01-12'), ('2026-02-02', '2026-02-02')]
    """
    found: list[Range] = []
    for week in sorted(weeks):
        if found and shift_week(found[-1][1], 1) == week:
            found[-1] = (found[-1][0], week)
        else:
            found.append((week, week))
    return found


def launch(url: str, needed: Mapping[str, Sequence[Range]]) -> str:
    """Ask the webserver at `url` for ranges of weeks by asset; returns the backfill's id.

    Raises:
        BackfillError: it refused, and why.
    """
    assets = [
        {
            "assetKey": {"path": asset.split("/")},
            "partitions": {"ranges": [{"start": first, "end": last} for first, last in stretches]},
        }
        for asset, stretches in needed.items()
    ]
    answer = ask(url, LAUNCH, {"params": {"partitionsByAssets": assets}})["launchPartitionBackfill"]
    if "backfillId" not in answer:
        raise BackfillError(f"{answer['__typename']}: {answer.get('message', answer)}")
    return answer["backfillId"]


def ask(url: str, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """One GraphQL request to a Dagster webserver; returns its `data`.

    Raises:
        BackfillError: nobody answers there, or the query failed.
    """
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:  # an answer all the same: what is wrong is in its body
        raise BackfillError(f"{url} answers {error.code}: {error.read(1000).decode(errors='replace')}") from error
    except OSError as error:
        raise BackfillError(f"no Dagster webserver at {url}: {error}; start one with `make dev`") from error
    if "errors" in answer:
        raise BackfillError("; ".join(error["message"] for error in answer["errors"]))
    return answer["data"]


def follow(url: str, backfill: str, seconds: float = 5.0) -> Iterator[tuple[str, int, int, int]]:
    """Yield (status, made, failed, targeted) until the backfill has ended; asks every `seconds`."""
    while True:
        answer = ask(url, STATUS, {"id": backfill})["partitionBackfillOrError"]
        if "status" not in answer:
            raise BackfillError(f"backfill {backfill}: {answer.get('message', answer)}")
        counts = (answer["assetBackfillData"] or {}).get("assetBackfillStatuses", [])
        made, failed, targeted = (
            sum(count.get(f"numPartitions{what}", 0) for count in counts)
            for what in ("Materialized", "Failed", "Targeted")
        )
        yield answer["status"], made, failed, targeted
        if answer["status"] in DONE:
            return
        time.sleep(seconds)
