"""The weekly stages that every embedding of one entity by co-occurrence shares: which keys meet, how strongly.

A function that makes contexts, each with its keys, goes in; the three stages that a `Window` sums come out.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from embedding_assets.spec import Input, Stage, this_week
from embedding_assets.tables.together import count_keys, count_meetings


def together_stages(
    name: str,
    *,
    about: str,
    contexts: Callable[..., pa.Table],
    inputs: Mapping[str, Input],
    settings: Mapping[str, Any],
    shared: bool = True,
) -> tuple[Stage, Stage, Stage]:
    """The stages `contexts`, `vocabulary` and `pairs` of the embedding `name`.

    Args:
        name: the embedding's.
        about: what a context is, and what its keys are; one sentence.
        contexts: pure function `contexts(connection, **inputs, **settings)` of a table as `gather_contexts` makes it.
        inputs: parameter name of `contexts` -> what it is given.
        settings: further parameters of `contexts`, such as its bounds; recorded in the version's manifest.
        shared: whether the keys of a context share its weight, see `count_meetings`; weights are then below 1, and the
            window needs `Prune(min_pair_count=0)`.
    """
    made = this_week(f"{name}/contexts")
    return (
        Stage(
            name="contexts",
            about=f"{about} One row a context of the week where keys meet, with its distinct keys; bounded, so "
            "that no hub and no bot decides what meets.",
            inputs=inputs,
            make=contexts,
            settings=settings,
        ),
        Stage(
            name="vocabulary",
            about="One row a key of the week: its stable id, and in how many contexts it meets another. From "
            f"`{made.asset}`.",
            inputs={"contexts": made},
            make=count_keys,
        ),
        Stage(
            name="pairs",
            about="One row an ordered pair of keys: how strongly they meet in contexts of the week; never pruned, so "
            f"that windows add up. From `{made.asset}`.",
            inputs={"contexts": made},
            make=count_meetings,
            settings={"shared": shared},
        ),
    )
