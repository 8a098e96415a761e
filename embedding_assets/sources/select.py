"""Which source a process reads: the environment's choice."""

from collections.abc import Mapping
from pathlib import Path

from embedding_assets.sources.quarantine import InvalidSetting
from embedding_assets.sources.schema import Source, week_bounds

SOURCE_VARIABLE = "EMBEDDINGS_SOURCE"
WEEK_VARIABLE = "EMBEDDINGS_FIRST_WEEK"
#: Environment variable -> the synthetic source's setting, and the least value it takes.
SYNTHETIC_VARIABLES = {
    "EMBEDDINGS_SEED": ("seed", 0),
    "EMBEDDINGS_USERS": ("users", 1),
    "EMBEDDINGS_TWEETS_PER_WEEK": ("tweets_per_week", 1),
}


def open_source(environ: Mapping[str, str], home: Path) -> Source:
    """The source.toml that `EMBEDDINGS_SOURCE` names, as a source; unset, the synthetic Twitter.

    Args:
        environ: usually `os.environ`; see `SYNTHETIC_VARIABLES` and `WEEK_VARIABLE` for the rest.
        home: a file source keeps its cache under `home/staging`.

    Raises:
        SourceError: a variable, or the source.toml, says something impossible.
    """
    if path := environ.get(SOURCE_VARIABLE):
        from embedding_assets.sources.files import FileSource

        return FileSource.open(Path(path).expanduser(), cache=home / "staging")
    from embedding_assets.sources.synthetic import SyntheticTwitter

    settings: dict[str, int | str] = {
        setting: _whole_number(variable, environ[variable], least)
        for variable, (setting, least) in SYNTHETIC_VARIABLES.items()
        if environ.get(variable)
    }
    if week := environ.get(WEEK_VARIABLE):
        settings["first_week"] = _monday(week)
    try:
        return SyntheticTwitter(**settings)  # pyright: ignore[reportArgumentType] - checked by name
    except ValueError as error:  # it has limits of its own
        names = [*SYNTHETIC_VARIABLES, WEEK_VARIABLE]
        given = ", ".join(f"{name}={environ[name]}" for name in names if environ.get(name))
        raise InvalidSetting(f"{given}: {error}") from error


def _whole_number(variable: str, text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise InvalidSetting(f"{variable} must be a whole number of at least {least}, got {text!r}")
    return number


def _monday(text: str) -> str:
    try:
        week_bounds(text)
    except ValueError as error:
        raise InvalidSetting(f"{WEEK_VARIABLE}: {error}") from error
    return text
