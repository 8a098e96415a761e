"""Do hashtags of one planted topic lie together? The synthetic source's truth."""

from benchmarks.purity import METRIC, TopicPurity
from benchmarks.task import Task

ID = "hashtag_purity.v1"
LABELS = "truth_hashtags"

TASK = Task(
    id=ID,
    entity="hashtag",
    score=TopicPurity(task=ID, label=LABELS, key="hashtag"),
    title="Hashtag Topic Purity",
    metrics=(METRIC,),
    needs_labels=(LABELS,),
    about="Share of a hashtag's 10 nearest labelled hashtags that have its planted topic.",
)
