"""From a table of labels to the users that have a vector: who they are, their vectors, how often they occur."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from benchmarks.neighborhoods import positions, sample_rows
from registry.reader import Version

#: Above so many users a seeded sample is judged: the interval is narrow by then, and fits take seconds.
MAX_USERS = 20_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Labelled:
    """N users of a label table that have a vector.

    Attributes:
        keys: (N,) string, in the order of their first label.
        vectors: (N, D) float32.
        counts: (N,) float64, the version's attribute `count`; None where it has none.
        unknown: users of the table without a vector.
        unsampled: users left away because there are more than the cap.
    """

    keys: pa.Array
    vectors: np.ndarray
    counts: np.ndarray | None
    unknown: int
    unsampled: int

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def left_out(self) -> int:
        """Users of the table that are not judged."""
        return self.unknown + self.unsampled

    def rows(self, keys: pa.Array | pa.ChunkedArray) -> np.ndarray:
        """(n,) int64, the user of each row of a label table; -1 for those that are left out."""
        return positions(keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys, self.keys)

    def details(self, version: Version) -> dict[str, int]:
        """What a score says about who was judged."""
        return {"unknown": self.unknown, "unsampled": self.unsampled, "vectors": len(version)}


def labelled_users(version: Version, users: pa.ChunkedArray, *, limit: int = MAX_USERS, seed: int = 0) -> Labelled:
    """Look up the distinct users of a label column; above `limit` of them a seeded sample."""
    distinct = users.unique()
    rows = version.rows(distinct)
    known = np.flatnonzero(rows >= 0)
    kept = known[sample_rows(len(known), limit, seed)]
    return Labelled(
        keys=distinct.take(pa.array(kept)),
        vectors=version.numpy()[rows[kept]],
        counts=counts_of(version, rows[kept]),
        unknown=len(distinct) - len(known),
        unsampled=len(known) - len(kept),
    )


def counts_of(version: Version, rows: np.ndarray) -> np.ndarray | None:
    """(n,) float64 attribute `count` of a version's rows; None where it was published without."""
    if "count" not in version.manifest.attributes:
        return None
    return version.attributes()["count"].to_numpy()[rows].astype(np.float64)
