"""`derived.activity` of a user: how much was written in the week."""

from embedding_assets.spec import Features, Stage, this_week
from embedding_assets.tables.engine import query

STAGE = Stage(
    name="user_activity",
    about=(
        "One row a user who wrote in the week: tweets, replies among them, conversations, and on how many days. "
        "From `raw/tweets`; the registry serves it as `derived.activity` of `user`."
    ),
    inputs={"tweets": this_week("raw/tweets")},
    make=lambda connection, tweets: query(connection, "user_activity", {"tweets": tweets}),
    features=Features(entity="user", key="user_id", name="activity"),
)
