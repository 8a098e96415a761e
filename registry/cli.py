"""The `embeddings` command: look into a registry from a terminal, or from scripts by `--json`."""

import ast
import importlib
import os
import pkgutil
import re
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from registry import commands
from registry.errors import RegistryError

#: Entry points of this group are further commands; they are imported when they are called, or their help is asked for.
COMMANDS = "embeddings.commands"
_LINE_BREAK = re.compile(r"\s*\n\s*")


class _Group(click.Group):
    """A group whose typed errors, and those of a disk or a server, are one line on stderr and exit code 1.

    Besides its own commands it has those that installed packages declare, such as `backfill`, which needs Dagster.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_declared()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found, declared = super().get_command(ctx, cmd_name), _declared().get(cmd_name)
        return found or (declared.load() if declared else None)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List every command with one line about it, without importing what is declared elsewhere."""
        own = {name: command.get_short_help_str(limit=90) for name, command in self.commands.items()}
        about = {name: _summary(entry) for name, entry in _declared().items()} | own
        with formatter.section("Commands"):
            formatter.write_dl(sorted(about.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (RegistryError, OSError) as error:
            if isinstance(error, BrokenPipeError):  # `| head`: click knows what to do
                raise
            raise click.ClickException(_LINE_BREAK.sub(" ", str(error))) from error


def _declared() -> dict[str, EntryPoint]:
    """Name -> command that an installed package declares."""
    return {entry.name: entry for entry in entry_points(group=COMMANDS)}


def _summary(entry: EntryPoint) -> str:
    """The first sentence that a command's function says about itself, read from its source."""
    found = find_spec(entry.module)
    tree = ast.parse(Path(found.origin).read_text(encoding="utf-8") if found and found.origin else "")
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    docstring = ast.get_docstring(functions[entry.attr]) if entry.attr in functions else None
    return " ".join((docstring or "").partition(".")[0].split())


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
