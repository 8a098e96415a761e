"""Backfill embeddings over many weeks: `python -m embedding_assets.backfill --from 2015-11-30 --to 2016-05-23`.

A window reaches back before the first week asked for, and what it reads reaches back further still. Dagster's
backfill of plain partition names does not know that; this asks for exactly the weeks that each asset needs.
"""

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tqdm import tqdm

from embedding_assets.embeddings import all_specs
from embedding_assets.factory import build, labels_of, stages_of
from embedding_assets.partitions import weekly_partitions
from embedding_assets.reach import suggest
from embedding_assets.records import Week
from embedding_assets.settings import SettingError, Settings
from embedding_assets.sources.quarantine import SourceError
from embedding_assets.sources.schema import Source, shift_week, week_bounds
from embedding_assets.sources.select import open_source
from embedding_assets.spec import EmbeddingSpec, SpecError, Stage

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


def ranges(
    spec: EmbeddingSpec, weeks: tuple[Week, Week], source: Source, stages: Mapping[str, Stage]
) -> dict[str, tuple[Week, Week]]:
    """Asset key -> first and last week that must be made for versions and scores of `weeks` (both included).

    Args:
        spec: the embedding.
        weeks: first and last week of the versions.
        source: nothing before its first week is asked for, and of the labels only what it has.
        stages: asset key -> stage, of everything that the embedding reads.
    """
    first, last = max(weeks[0], source.first_week), weeks[1]
    needed = {f"{spec.name}/{made}": first for made in ("embedding", "scores")}
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


def merged(parts: Sequence[Mapping[str, tuple[Week, Week]]]) -> dict[str, tuple[Week, Week]]:
    """The ranges of several embeddings as one: of an asset that two need, the longer."""
    result: dict[str, tuple[Week, Week]] = {}
    for part in parts:
        for asset, (first, last) in part.items():
            known = result.get(asset, (first, last))
            result[asset] = (min(first, known[0]), max(last, known[1]))
    return result


def launch(url: str, needed: Mapping[str, tuple[Week, Week]]) -> str:
    """Ask the webserver at `url` for the ranges; returns the backfill's id.

    Raises:
        BackfillError: it refused, and why.
    """
    assets = [
        {
            "assetKey": {"path": asset.split("/")},
            "partitions": {"ranges": [{"start": first, "end": last}]},
        }
        for asset, (first, last) in needed.items()
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Launch a backfill and show its progress until it has ended; what goes wrong is one line on stderr."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        _run(parser, options)
    except (BackfillError, SettingError, SourceError, SpecError) as error:
        sys.exit(f"error: {error}")


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    source = open_source(os.environ, Settings.read(os.environ).home)
    specs = {spec.name: spec for spec in build(source, all_specs()).specs}
    names = options.embedding or list(specs)
    if unknown := [name for name in names if name not in specs]:
        raise SpecError(f"no embedding {unknown[0]!r}{suggest(unknown[0], specs)}")
    if options.first > options.last:
        parser.error(f"--from {options.first} comes after --to {options.last}")
    earliest, latest = source.first_week, weekly_partitions(source).get_last_partition_key() or source.first_week
    if options.first < earliest or options.last > latest:
        parser.error(f"the source {source.name} has the weeks {earliest} to {latest}")
    weeks, stages = (options.first, options.last), stages_of(list(specs.values()))
    needed = merged([ranges(specs[name], weeks, source, stages) for name in names])
    for asset, (first, last) in needed.items():
        print(f"{asset:<28} {first} to {last}")
    if options.dry_run:
        return
    backfill = launch(options.url, needed)
    print(f"backfill {backfill}: {options.url}/runs/b/{backfill} (the daemon looks every 30 seconds for what is next)")
    try:
        status, failed = _show(options.url, backfill)
    except KeyboardInterrupt:
        raise BackfillError(f"no longer followed; it goes on, cancel it at {options.url}/runs/b/{backfill}") from None
    if failed or status not in ("COMPLETED", "COMPLETED_SUCCESS"):
        raise BackfillError(f"backfill {backfill} ended as {status}, {failed} partitions failed")


def _show(url: str, backfill: str) -> tuple[str, int]:
    status, failed = "", 0
    with tqdm(unit="partition", mininterval=0.1 if sys.stderr.isatty() else 30) as bar:
        for status, made, failed, targeted in follow(url, backfill):
            bar.total = targeted
            bar.update(made - bar.n)
            bar.set_postfix_str(f"{status.lower()}, {failed} failed")
    return status, failed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m embedding_assets.backfill", description=__doc__)
    week = {"required": True, "type": _monday, "metavar": "MONDAY"}
    parser.add_argument("--from", dest="first", help="first week of versions", **week)
    parser.add_argument("--to", dest="last", help="last week of versions", **week)
    parser.add_argument(
        "--dry-run", action="store_true", help="only print which weeks of which assets it would ask for"
    )
    parser.add_argument("--embedding", action="append", help="only this one; may be given more than once")
    parser.add_argument("--url", default="http://127.0.0.1:3000", help="the webserver (default: %(default)s)")
    return parser


def _monday(text: str) -> Week:
    try:
        week_bounds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


if __name__ == "__main__":
    main()
