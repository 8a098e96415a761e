"""Write a week's report: versions, scores, gates, drift and lineage as one HTML page."""

import os
import uuid
from pathlib import Path
from typing import Any

import click

from embedding_assets.component import every_spec
from embedding_assets.factory import build
from embedding_assets.records import Week
from embedding_assets.reports.page import render
from embedding_assets.reports.week import newest_week, report_of
from embedding_assets.settings import SettingError, Settings
from embedding_assets.sources.quarantine import SourceError
from embedding_assets.sources.schema import week_bounds
from embedding_assets.sources.select import open_source
from embedding_assets.spec import SpecError
from resources.lake import Lake


@click.command(epilog="Example: embeddings report 2016-03-07 --output report.html")
@click.argument("week", required=False)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="By default report-WEEK.html, here.")
def report(week: Week | None, output: Path | None) -> None:
    """Write the report of a WEEK, named by its Monday; by default the newest that has a version.

    The page needs no server and no network: it can be mailed, or kept beside a model.
    """
    try:
        written = write_report(dict(os.environ), week, output)
    except (SettingError, SourceError, SpecError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{written} ({written.stat().st_size / 1024:.0f} KiB)")


def write_report(environ: dict[str, Any], week: Week | None, output: Path | None) -> Path:
    """Write the page, whole or not at all; returns where.

    Raises:
        ValueError: `week` is no Monday, or there is nothing to report.
    """
    settings = Settings.read(environ)
    source = open_source(environ, settings.home)
    specs = build(source, every_spec()).specs
    lake = Lake(root=str(settings.home / "lake"), registry_root=str(settings.home / "registry"))
    monday = week or newest_week(lake, specs)
    if monday is None:
        raise ValueError(f"no embedding was made in {settings.home}; materialise a week first, such as by `make demo`")
    week_bounds(monday)  # refuses what is no Monday
    page = render(report_of(lake, specs, source.name, monday))
    target = output or Path(f"report-{monday}.html")
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        aside.write_text(page, encoding="utf-8")
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    return target
