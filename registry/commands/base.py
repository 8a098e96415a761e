"""What every command shares: the store it is given, its output as text or JSON, common arguments."""

import datetime as dt
import functools
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from registry.errors import InvalidQuery
from registry.show import terminal
from registry.store import open_registry


@dataclass(frozen=True)
class Output:
    """Where an answer goes: one JSON document, or something drawn for people."""

    as_json: bool

    def emit(self, document: Any, *parts: Callable[[], Any]) -> None:
        """Print `document` as JSON, or what each part makes."""
        if self.as_json:
            click.echo(json.dumps(plain(document), ensure_ascii=False, allow_nan=False, indent=2))
        else:
            terminal.draw(part() for part in parts)


def command(example: str, name: str | None = None) -> Callable[[Callable[..., None]], click.Command]:
    """Make a function a command; it is given the store, the output and its own options.

    Args:
        example: one command line, shown at the end of the help.
        name: the command's name where it is not the function's.
    """

    def register(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def run(root: str, *, as_json: bool, **options: Any) -> None:
            function(open_registry(root), Output(as_json), **options)

        with_json = click.option("--json", "as_json", is_flag=True, help="One JSON document, for machines.")
        return click.command(name, epilog=f"Example: {example}")(with_json(click.pass_obj(run)))

    return register


def plain(value: Any) -> Any:
    """What JSON has a form for: NaN and infinity become null, bytes become hex digits and moments ISO 8601."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, dt.date) else value


def span_of(option: str, unit: dt.timedelta, count: float) -> dt.timedelta:
    """`count` hours or days, as an option gives them; raises InvalidQuery where no date is that far away."""
    if not 0 <= count <= 1e6:  # nor is NaN
        raise InvalidQuery(f"{option} is {count}; give a number from 0 to 1,000,000")
    return unit * count


reference_argument = click.argument("reference")
keys_argument = click.argument("keys", nargs=-1, required=True)
