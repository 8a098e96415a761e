"""The `embeddings` command: look into a registry from a terminal, or from scripts by `--json`."""

import importlib
import os
import pkgutil
import re
from pathlib import Path
from typing import Any

import click

from registry import commands
from registry.errors import RegistryError

_LINE_BREAK = re.compile(r"\s*\n\s*")


class _Group(click.Group):
    """A group whose typed errors, and those of a disk or a server, are one line on stderr and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (RegistryError, OSError) as error:
            if isinstance(error, BrokenPipeError):  # `| head`: click knows what to do
                raise
            raise click.ClickException(_LINE_BREAK.sub(" ", str(error))) from error


def _default_root() -> str:
    return str(Path(os.environ.get("EMBEDDINGS_HOME") or "./data").expanduser() / "registry")


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--root",
    default=_default_root,
    metavar="DIR",
    help="The registry's folder; by default $EMBEDDINGS_HOME/registry, or ./data/registry.",
)
@click.version_option(package_name="embedding-assets")
@click.pass_context
def main(ctx: click.Context, root: str) -> None:
    """Read, compare, promote and keep published embeddings.

    A REFERENCE is entity/name[@latest | @vN | @WEEK | @ALIAS | @TIME], such as word/word@v12,
    word/word@2026-01-05, word/word@production or word/word@2026-01-08T09:30Z.
    """
    ctx.obj = root


def _add_commands() -> None:
    """Every command of every module in `registry.commands`: adding one is one file."""
    for found in sorted(module.name for module in pkgutil.iter_modules(commands.__path__)):
        module = importlib.import_module(f"{commands.__name__}.{found}")
        for item in vars(module).values():
            if isinstance(item, click.Command):
                main.add_command(item)


_add_commands()
