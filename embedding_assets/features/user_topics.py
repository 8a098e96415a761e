"""`raw.topics` of a user: what the source says that the user is interested in."""

from embedding_assets.spec import Features, Stage, this_week
from embedding_assets.tables.engine import query

STAGE = Stage(
    name="user_topics",
    about=(
        "One row a user: the list of topics that the source gives, in the order of the alphabet. "
        "From `raw/user_topics`; the registry serves it as `raw.topics` of `user`."
    ),
    inputs={"user_topics": this_week("raw/user_topics")},
    make=lambda connection, user_topics: query(connection, "user_topics", {"user_topics": user_topics}),
    features=Features(entity="user", key="user_id", kind="raw", name="topics"),
)
