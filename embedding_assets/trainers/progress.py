"""Progress of a fit where nobody asked for reports: a bar in a terminal, nothing elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from embedding_assets.records import Progress, ReportProgress


@contextmanager
def in_terminal(epochs: int | None) -> Iterator[ReportProgress]:
    """A reporter that moves a bar of `epochs` on stderr, if that is a terminal; None waits for the first report."""
    from tqdm import tqdm  # who gives a reporter of their own to the work behind `fit` does not need it

    with tqdm(total=epochs, unit="epoch", disable=None, leave=False) as bar:

        def report(progress: Progress) -> None:
            bar.total = progress.epochs
            bar.set_postfix(loss=f"{progress.loss:.4f}")
            bar.update()

        yield report
