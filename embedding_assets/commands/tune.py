"""`embeddings tune word`: search for better settings on the weeks that are there; nothing is applied."""

import json
import os
from dataclasses import asdict
from typing import Any, cast

import click

from benchmarks.task import BenchmarkError
from embedding_assets.assets.tuning_plan import Machine, Plan, load_weeks, newest_week, plan_of, reads_of
from embedding_assets.component import every_spec
from embedding_assets.definitions import resources
from embedding_assets.factory import build, labels_of, tasks_of
from embedding_assets.reach import suggest
from embedding_assets.records import Week
from embedding_assets.search_space import Tuning, parse_dimension
from embedding_assets.settings import SettingError, Settings
from embedding_assets.sources.quarantine import SourceError
from embedding_assets.sources.schema import Source, week_bounds
from embedding_assets.sources.select import open_source
from embedding_assets.spec import EmbeddingSpec, SpecError
from embedding_assets.tables.errors import TableError
from embedding_assets.tuning.errors import TuningError
from embedding_assets.tuning.search import Found, Limits, Search
from embedding_assets.tuning.study import Trial

REFUSED = (BenchmarkError, SettingError, SourceError, SpecError, TableError, TuningError)


@click.command(epilog="Example: embeddings tune word --trials 20 --try epochs=1:8 --try learning_rate=0.02:1:log")
@click.argument("embedding")
@click.option("--trials", default=20, show_default=True, help="Of the study in all; those of earlier calls count.")
@click.option("--week", metavar="MONDAY", help="That no trial sees; by default the newest that is materialised.")
@click.option("--metric", metavar="TASK/METRIC", help="What a trial is judged by; by default what the spec says.")
@click.option(
    "--try",
    "tries",
    multiple=True,
    metavar="NAME=LOW:HIGH[:log]",
    help="Or NAME=ONE,OTHER. Instead of what is tried by default; may be repeated.",
)
@click.option("--timeout", "seconds", type=float, metavar="SECONDS", help="Begin no trial after these.")
@click.option("--seed", default=0, show_default=True, help="The same seed proposes the same settings.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, for machines.")
def tune(embedding: str, *, week: str | None, seed: int, as_json: bool, **asked: Any) -> None:
    """Search for better settings of an EMBEDDING; a search that was stopped goes on where it was.

    Trials are trained on the window that ends two weeks before the given one and judged on the week between. The
    best is then judged on the given week, beside the settings that the embedding has now, and proposed in a file;
    it counts once a person has put that file beside the embedding's own.
    """
    try:
        limits = Limits(trials=asked["trials"], seconds=asked["seconds"])
        tried = dict(parse_dimension(text) for text in asked["tries"])
        wanted = Tuning(metric=asked["metric"], space=tried or None)
        settings = Settings.read(os.environ)
        source = open_source(os.environ, settings.home)
        spec, machine = _spec(embedding, source), _machine(settings)
        plan = plan_of(spec, tasks_of(spec), labels_of(spec, source), machine, wanted, seed=seed)
        search = _search(plan, machine, source, week)
        found = search.run(limits, _silent if as_json else _announce(search, limits))
    except (*REFUSED, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(_document(search, found), indent=2) if as_json else "\n".join(_sentences(search, found)))


def _spec(name: str, source: Source) -> EmbeddingSpec:
    specs = {spec.name: spec for spec in build(source, every_spec()).specs}
    if name not in specs:
        raise SpecError(f"no embedding {name!r} of the source {source.name}{suggest(name, specs)}")
    return specs[name]


def _machine(settings: Settings) -> Machine:
    handles = cast("dict[str, Any]", resources(settings))
    files = handles["benchmark_files"].paths()
    lake, studies = handles["lake"].files, settings.home / "tuning"
    return Machine.of(handles["engine"], handles["accelerator"], lake, files, studies)


def _search(plan: Plan, machine: Machine, source: Source, week: Week | None) -> Search:
    reads = reads_of(plan.spec, plan.labels)
    when = week or newest_week(machine.lake, reads)
    week_bounds(when)  # refuses what is no Monday
    return plan.search(load_weeks(machine.lake, reads, when, source.first_week), when, machine)


def _announce(search: Search, limits: Limits) -> Any:
    """Says what is searched, and returns what says how each trial went."""
    bench, unseen = search.bench, search.unseen.held_out.week
    seen = bench.trained_weeks
    click.echo(f"{bench.spec.name} by {bench.target.name}: {', '.join(search.space)}")
    click.echo(f"trained on {seen[0]} to {seen[-1]}, judged on {bench.held_out.week}; no trial sees {unseen}")

    def say(trial: Trial, best: Trial) -> None:
        value = "no score" if trial.value is None else f"{trial.value:.4f}"
        tried = trial.why or _listed(trial) or "the settings of the spec"
        place = f"{trial.number + 1} of {limits.trials}"
        click.echo(f"{place:>9}  {value:>8}  best {best.value:.4f}  {trial.seconds:6.1f} s  {tried}")

    return say


def _silent(_trial: Trial, _best: Trial) -> None:
    """Says nothing: the document at the end is all."""


def _listed(trial: Trial) -> str:
    return ", ".join(f"{name} {value}" for name, value in trial.settings.items())


def _sentences(search: Search, found: Found) -> list[str]:
    """How it ended, and what a person does next."""
    if found.tuned is None:
        return [f"nothing of {len(found.trials)} trials is better than the settings of the spec"]
    spec, week = search.bench.spec, search.unseen.held_out.week
    start, best = (found.unseen[name]["value"] for name in ("start", "best"))
    lines = [
        f"best: trial {found.best.number + 1}, {found.best.value:.4f} against {found.start.value:.4f}: "
        f"{_listed(found.best)}",
        f"on {week}, which no trial has seen: {_number(best)} against {_number(start)}",
        f"proposed in {found.file}",
    ]
    if best is None or (start is not None and best <= start):
        return [*lines, "On that week it is no better: leave it, or try more trials or more weeks."]
    return [
        *lines,
        f"To adopt it, review that file and put it beside the embedding's own as {spec.name}.tuned.json.",
    ]


def _number(value: float | None) -> str:
    return "no score" if value is None else f"{value:.4f}"


def _document(search: Search, found: Found) -> dict[str, Any]:
    return {
        "embedding": search.bench.spec.name,
        "metric": search.bench.target.name,
        "study": search.study_name(),
        "trials": [asdict(trial) for trial in found.trials],
        "best": asdict(found.best),
        "unseen": {"week": search.unseen.held_out.week, **found.unseen},
        "proposal": str(found.file) if found.file else None,
    }
