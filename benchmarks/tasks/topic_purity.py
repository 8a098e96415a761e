"""Do words of one planted topic lie together, in whatever language they are? The synthetic source's truth."""

from benchmarks.purity import METRIC, TopicPurity
from benchmarks.task import Task

ID = "topic_purity.v1"
LABELS = "truth_words"

TASK = Task(
    id=ID,
    entity="word",
    score=TopicPurity(task=ID, label=LABELS, key="word", group="lang"),
    title="Word Topic Purity",
    metrics=(METRIC,),
    needs_labels=(LABELS,),
    about="Share of a word's 10 nearest labelled words that have its planted topic.",
)
