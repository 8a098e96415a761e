"""Progress of a fit where nobody asked for reports: a bar in a terminal, nothing elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from embedding_assets.records import Progress, ReportProgress


@contextmanager
def in_terminal(epochs: int) -> Iterator[ReportProgress]:
    """A reporter that moves a bar of `epochs` on stderr, if that is a terminal."""
    with tqdm(total=epochs, unit="epoch", disable=None, leave=False) as bar:

        def report(progress: Progress) -> None:
            bar.set_postfix(loss=f"{progress.loss:.4f}")
            bar.update()

        yield report
