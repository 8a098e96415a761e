"""Ask a running Dagster for all that a range of versions needs, or for what late data have changed."""

import os
import sys
from collections.abc import Mapping, Sequence

import click
from tqdm import tqdm

from embedding_assets.backfill import BackfillError, Range, follow, launch, merged, ranges, spans
from embedding_assets.component import every_spec
from embedding_assets.definitions import build_definitions
from embedding_assets.factory import build, stages_of
from embedding_assets.late_data import affected, changed_weeks
from embedding_assets.partitions import weekly_partitions
from embedding_assets.reach import suggest
from embedding_assets.records import Week
from embedding_assets.settings import SettingError, Settings
from embedding_assets.sources.quarantine import SourceError
from embedding_assets.sources.schema import Source, week_bounds
from embedding_assets.sources.select import open_source
from embedding_assets.spec import SpecError
from embedding_assets.weekly import EVERY_WEEK
from resources.lake_files import LakeFiles

REFUSED = (BackfillError, SettingError, SourceError, SpecError)
DONE_WELL = ("COMPLETED", "COMPLETED_SUCCESS")


def _monday(_context: click.Context, parameter: click.Parameter, text: str | None) -> Week | None:
    try:
        return text if text is None else (week_bounds(text), text)[1]
    except ValueError as error:
        raise click.BadParameter(str(error), param=parameter) from error


@click.command(epilog="Example: embeddings backfill word --from 2026-01-26 --to 2026-02-23")
@click.argument("embeddings", nargs=-1, metavar="[EMBEDDING]...")
@click.option("--from", "first", callback=_monday, metavar="MONDAY", help="First week of versions.")
@click.option("--to", "last", callback=_monday, metavar="MONDAY", help="Last week of versions.")
@click.option("--late", is_flag=True, help="Instead: the weeks whose raw rows the source has changed since.")
@click.option("--dry-run", is_flag=True, help="Only print which weeks of which assets it would ask for.")
@click.option("--url", default="http://127.0.0.1:3000", show_default=True, help="The webserver.")
def backfill(
    embeddings: tuple[str, ...], *, first: Week | None, last: Week | None, late: bool, dry_run: bool, url: str
) -> None:
    """Make versions and scores of EMBEDDINGs over a range of weeks; by default all that the job `weekly` makes.

    Every table is asked for as far back as its readers look. With --late the lake is compared with the source, and
    what rests on weeks that have changed is made again, and nothing else.
    """
    if late and (embeddings or first or last):
        raise click.UsageError("--late finds the weeks by itself; leave EMBEDDING, --from and --to out")
    if not late and (first is None or last is None):
        raise click.UsageError("--from and --to are required, or --late")
    try:
        needed = _late() if late else _range(embeddings, (first or "", last or ""))
        for asset, stretches in needed.items():
            click.echo(f"{asset:<28} {', '.join(f'{start} to {end}' for start, end in stretches)}")
        if not needed:
            click.echo("nothing is late: every raw week in the lake is what the source has")
        elif not dry_run:
            _launch(url, needed)
    except REFUSED as error:
        raise click.ClickException(str(error)) from error


def _range(names: Sequence[str], weeks: Range) -> dict[str, list[Range]]:
    """What versions of `weeks` need; without `names` also all else that is made weekly, such as drift and Table 1.

    Raises:
        SpecError: there is no such embedding.
        BackfillError: the source does not have these weeks.
    """
    source = open_source(os.environ, Settings.read(os.environ).home)
    specs = {spec.name: spec for spec in build(source, every_spec()).specs}
    if unknown := [name for name in names if name not in specs]:
        raise SpecError(f"no embedding {unknown[0]!r}{suggest(unknown[0], specs)}")
    _check_weeks(source, weeks)
    stages = stages_of(list(specs.values()))
    parts = [ranges(specs[name], weeks, source, stages) for name in names or specs]
    if not names:
        graph = build_definitions(os.environ).resolve_asset_graph()
        everything = [key.to_user_string() for key in sorted(EVERY_WEEK.resolve(graph))]
        parts.append(dict.fromkeys(everything, weeks))
    needed = merged(parts)
    return {asset: [span] for asset, span in needed.items()}


def _check_weeks(source: Source, weeks: Range) -> None:
    if weeks[0] > weeks[1]:
        raise BackfillError(f"--from {weeks[0]} comes after --to {weeks[1]}")
    earliest, latest = source.first_week, weekly_partitions(source).get_last_partition_key() or source.first_week
    if weeks[0] < earliest or weeks[1] > latest:
        raise BackfillError(f"the source {source.name} has the weeks {earliest} to {latest}")


def _late() -> dict[str, list[Range]]:
    """What rests on raw weeks that the source has changed since they were read."""
    settings = Settings.read(os.environ)
    lake = LakeFiles(settings.home / "lake")
    changed = changed_weeks(open_source(os.environ, settings.home), lake)
    graph = build_definitions(os.environ).resolve_asset_graph()
    return {asset: spans(weeks) for asset, weeks in affected(graph, changed, lake).items()}


def _launch(url: str, needed: Mapping[str, Sequence[Range]]) -> None:
    """Launch, and show the progress until it has ended.

    Raises:
        BackfillError: it did not succeed, or is no longer followed.
    """
    started = launch(url, needed)
    page = f"{url}/runs/b/{started}"
    click.echo(f"backfill {started}: {page} (the daemon looks every 30 seconds for what is next)")
    status, failed = "", 0
    try:
        with tqdm(unit="partition", mininterval=0.1 if sys.stderr.isatty() else 30) as bar:
            for status, made, failed, targeted in follow(url, started):
                bar.total = targeted
                bar.update(made - bar.n)
                bar.set_postfix_str(f"{status.lower()}, {failed} failed")
    except KeyboardInterrupt:
        raise BackfillError(f"no longer followed; it goes on, cancel it at {page}") from None
    if failed or status not in DONE_WELL:
        raise BackfillError(f"backfill {started} ended as {status}, {failed} partitions failed")
