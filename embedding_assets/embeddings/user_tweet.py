"""`user_tweet`: users and the words of the tweets that they like and write; a tweet is a weighted bag of words."""

from embedding_assets.affinity_stages import affinity_stages
from embedding_assets.spec import GATES, Composed, EmbeddingSpec, Stage, Window, this_week
from embedding_assets.tables.bags import tweet_bags, user_words
from embedding_assets.tables.window import Prune
from embedding_assets.trainers.svd import Svd
from registry.gates import MinCoverage

BAGS = Stage(
    name="bags",
    about="One row a tweet and a word in it: how often. From `text/tokens`.",
    inputs={"tokens": this_week("text/tokens")},
    make=tweet_bags,
)

SPEC = EmbeddingSpec(
    name="user_tweet",
    entity="user",
    about="Users and the words of the tweets that they like or write, in one space; tweets by their words.",
    stages=(
        *affinity_stages(
            "user_tweet",
            about="A source is a user, a destination a word, a weight the liked or written tweets that it is in.",
            triples=user_words,
            inputs={
                "tokens": this_week("text/tokens"),
                "engagements": this_week("raw/engagements", optional=True),
            },
            settings={"kinds": {"like": 1.0, "retweet": 1.0}, "own": 1.0, "max_weight": 5.0},
        ),
        BAGS,
    ),
    window=Window(
        pairs="user_tweet/affinities",
        rows="user_tweet/sources",
        columns="user_tweet/destinations",
        column_entity="word",
        weeks=4,
        prune=Prune(min_count=5, max_vocabulary=100_000, subsample=None, min_pair_count=0, max_row_sum=2000.0),
    ),
    trainer=Svd(dim=64, weights="ppmi"),
    composed=(
        Composed(entity="tweet", of="word", bags="user_tweet/bags", weeks=1, idf=True),
        # Users as new ones would be seen, by their words alone: what `cold_start` compares with the trained vectors.
        Composed(entity="user", of="word", bags="user_tweet/affinities", weeks=4, idf=True, name="user_tweet_composed"),
    ),
    # Tweets come and go: of those that were served nothing need be left, so coverage is no gate.
    gates=tuple(gate for gate in GATES if not isinstance(gate, MinCoverage)),
)
