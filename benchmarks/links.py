"""Links of one week that earlier weeks did not have, and vectors that should foretell them.

Sizes: S sources, T targets, E links, D width.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks.graph import among, distinct_edges, in_week, without
from benchmarks.neighborhoods import positions
from benchmarks.task import Undefined
from registry.judging.align import unit_rows
from registry.records import Metric

ROUNDS = 20


class Ends(NamedTuple):
    """What both ends of a link are known by."""

    sources: pa.Array
    targets: pa.Array


@dataclass(frozen=True, eq=False)
class Links:
    """The links to foretell, and all that are no fair wrong answers.

    Attributes:
        source: (E,) int, row of each new link's source.
        target: (E,) int.
        taken: ascending int64 codes `source * T + target` of links known before, of the new ones, and of
            an entity with itself.
        targets: T, how many there are.
        popularity: (T,) float64, links that each target had before.
        known_already: links of the week that were known before.
        unknown: new links without a vector at both ends.
    """

    source: np.ndarray
    target: np.ndarray
    taken: np.ndarray
    targets: int
    popularity: np.ndarray
    known_already: int
    unknown: int

    @classmethod
    def of(cls, table: pa.Table, columns: tuple[str, str], week: str, ends: Ends) -> "Links":
        """Split a label table of several weeks into what is new in `week` and what was known before.

        Raises:
            Undefined: the week has no links, or none that is new.
        """
        here, before = (distinct_edges(part, *columns) for part in in_week(table, week))
        new = without(here, before)
        if not here.num_rows:
            raise Undefined(f"the week {week} has no links ({columns[0]}, {columns[1]})")
        if not new.num_rows:
            raise Undefined(
                f"all {here.num_rows} links of the week {week} were known before", rows_left_out=here.num_rows
            )
        source, target = among(new, *ends)
        known = among(before, *ends)
        itself = positions(ends.sources, ends.targets)
        same = np.flatnonzero(itself >= 0)
        size = len(ends.targets)
        return cls(
            source=source,
            target=target,
            taken=np.unique(
                np.concatenate([source * size + target, known[0] * size + known[1], same * size + itself[same]])
            ),
            targets=size,
            popularity=np.bincount(known[1], minlength=size).astype(np.float64),
            known_already=here.num_rows - new.num_rows,
            unknown=new.num_rows - len(source),
        )

    def is_taken(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        """(n,) bool whether a link is known, new or of an entity with itself."""
        codes = source * self.targets + target
        at = np.minimum(np.searchsorted(self.taken, codes), len(self.taken) - 1)
        return self.taken[at] == codes

    def wrong(self, among_targets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(E,) int: a wrong target for each new link, drawn from `among_targets`; -1 where none was found.

        Drawing from the new links' own targets matches their popularity.
        """
        found = np.full(len(self.source), -1, np.int64)
        for _ in range(ROUNDS):
            open_ = np.flatnonzero(found < 0)
            drawn = rng.choice(among_targets, len(open_))
            fair = ~self.is_taken(self.source[open_], drawn)
            found[open_[fair]] = drawn[fair]
        return found

    def known_of(self, sources: Iterable[int]) -> list[np.ndarray]:
        """For each source the targets that are taken, the new links among them."""
        starts = np.searchsorted(self.taken, np.array([[one, one + 1] for one in sources]) * self.targets)
        return [self.taken[start:stop] % self.targets for start, stop in starts]


@dataclass(frozen=True, eq=False)
class Nearness:
    """Scores of links: larger is likelier.

    Attributes:
        sources: (S, D) float32.
        targets: (T, D) float32.
        euclidean: whether the score is minus the squared distance, else the dot product.
    """

    sources: np.ndarray
    targets: np.ndarray
    euclidean: bool = False

    @classmethod
    def by(cls, sources: np.ndarray, targets: np.ndarray, metric: Metric) -> "Nearness":
        """As the version is meant to be compared."""
        if metric == "cosine":
            sources, targets = unit_rows(sources), unit_rows(targets)
        return cls(sources, targets, metric == "euclidean")

    @classmethod
    def of_popularity(cls, popularity: np.ndarray, sources: int) -> "Nearness":
        """Every source prefers what is popular."""
        return cls(np.ones((sources, 1)), popularity[:, None])

    def shuffled(self, rng: np.random.Generator) -> "Nearness":
        """The targets' vectors handed out at random."""
        return Nearness(self.sources, self.targets[rng.permutation(len(self.targets))], self.euclidean)

    def of(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        """(n,) float64 score of each link."""
        one, other = self.sources[source], self.targets[target]
        if self.euclidean:
            return -((one - other).astype(np.float64) ** 2).sum(axis=1)
        return np.einsum("nd,nd->n", one, other, dtype=np.float64)

    def to_all(self, source: np.ndarray) -> np.ndarray:
        """(n, T) score of a source with every target."""
        dots = self.sources[source] @ self.targets.T
        return 2 * dots - (self.targets**2).sum(axis=1) if self.euclidean else dots
