"""What benchmark tasks are judged against: the name that a task asks for, and the asset that it is read from."""

from embedding_assets.sources.schema import TABLES, TRUTH_TABLES
from embedding_assets.spec import EVER, Input, last_weeks, this_week

#: Weeks in which an engagement counts as known already.
RECENT = 5

#: Label -> input. One week comes as the table that it is; several as one table with a further column `week`.
LABELS: dict[str, Input] = {
    **{name: this_week(f"raw/{name}") for name in (*TABLES, *TRUTH_TABLES)},
    "follows": last_weeks("raw/follows", EVER),
    "recent_engagements": last_weeks("raw/engagements", RECENT),
}
#: The part of `follows` that an embedding was not trained on; there where its window holds some out.
HELD_OUT_FOLLOWS = "held_out_follows"
