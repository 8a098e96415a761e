"""Whose is an attempt: its publisher's, who is about to name it, or the collector's, who took it for left over?

Each attempt has a small log of claims. Before a publisher tries to win version N for it, it writes
the claim N; the collector writes a last one, after which nothing is claimed any more. The log gives
them one order, so no clock decides and a publisher may sleep as long as it likes between two
steps: either its version is whole, or it is told that its attempt is gone.
"""

from registry.errors import Conflict
from registry.logs.documents import NumberedLog, author, now
from registry.storage.protocol import Storage


def claims_of(place: object, attempt: str) -> str:
    """Folder of the claims on one attempt of an embedding or a feature set."""
    return f"{place}/claims/{attempt}"


def claim(storage: Storage, place: object, attempt: str, number: int) -> None:
    """Say that the attempt is about to become `number`.

    Raises:
        Conflict: it was collected as left over; publish again.
    """
    log = NumberedLog(storage, claims_of(place, attempt))
    entry = log.append(lambda _: {"wanted": number}, lambda other: other["wanted"] is None)
    if entry["wanted"] is None:
        raise Conflict(
            f"the attempt {place} {attempt} was collected as left over by {entry['by']} at {entry['at']}, before it"
            " was published; publish again, and hold a lease on the embedding if a publish takes longer than gc waits"
        )


def condemn(storage: Storage, place: object, attempt: str, taken: int) -> bool:
    """Keep every publisher from naming the attempt from now on; False where one may be about to.

    Read the version log again after this: a publisher may have named it just before.

    Args:
        storage: where it lies.
        place: its embedding or feature set.
        attempt: an attempt that none of the numbers 1 to `taken` names.
        taken: the last number of the version log, read before.
    """
    log = NumberedLog(storage, claims_of(place, attempt))
    try:
        entry = log.append(
            lambda _: {"wanted": None, "by": author(), "at": now()},
            lambda other: other["wanted"] is None or other["wanted"] > taken,
        )
    except FileNotFoundError:  # its publisher has come through, and is removing its claims right now
        return False
    return entry["wanted"] is None
