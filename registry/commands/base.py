"""What every command shares: the store it is given, its output as text or JSON, common arguments."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from registry import terminal
from registry.store import open_registry


@dataclass(frozen=True)
class Output:
    """Where an answer goes: one JSON document, or something drawn for people."""

    as_json: bool

    def emit(self, document: Any, *parts: Callable[[], Any]) -> None:
        """Print `document` as JSON, or what each part makes."""
        if self.as_json:
            click.echo(json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2))
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


reference_argument = click.argument("reference")
keys_argument = click.argument("keys", nargs=-1, required=True)
