"""Published embeddings and everyone's way to read them.

    from registry import open_registry

    store = open_registry("data/registry")
    words = store["word/word@latest"]            # also @v12, @2026-01-05, @production, @2026-01-05T09:30Z
    vectors = words.lookup(["jax", "gpu"])       # (2, D) float32
    words.neighbors("jax", k=10).keys[0]
    words.scores(), words.lineage(), store.versions("word/word")

    from registry.gates import MaxShrink, NoRegression

    gates = [NoRegression("stability", 0.02), MaxShrink(0.3)]
    store.promote(words, "production", gates=gates, expect="v11")    # GateFailed or Conflict, or it is done
    store.history("word/word", "production"), store.rollback("word/word", "production")
    print(store.leaderboard()), store.compare("word/*@latest", task="stability")
    print(store.diff("word/word@v11", words, align="procrustes"))

    tweet = words.compose([{"jax": 2.0, "gpu": 1.0}])                # vectors (1, D) and coverage (1,)
    words.neighbors(tweet, k=5)                                      # any version of the same space
    words.to_pandas(), words.to_polars(), words.torch(), words.flax()  # MissingExtra says what to install
    words.export("bag.safetensors")                                  # also .txt (word2vec), .parquet, .jaxexp
    load_bag("bag.safetensors").compose([["jax", "gpu"]])            # no registry needed

    store.features("user", ["u1"], ["derived.activity.tweets", "learned.graph@production"], as_of="2026-03-01")
    store.pin("word/word@v3", reason="paper"), store.retain("word/word", Keep(last=8)), store.gc()
    store.erase("user", ["u1"], reason="request 1234")               # new versions without it, old ones gone

Needs numpy and pyarrow; Annoy is loaded by the first question that it answers.
"""

from registry import errors
from registry.compose.composer import Composer
from registry.compose.export import load_bag
from registry.compose.jax_bag import load_jax_bag
from registry.features.sets import FeatureDraft, FeatureSet
from registry.keeping.retention import Keep
from registry.reader import Version
from registry.records import Composed, ComposerSpec, Draft, Neighbors, Score, Upstream, VersionInfo
from registry.records_promotion import GateResult, Promotion
from registry.show.embedding import Embedding
from registry.store import Store, open_registry

__all__ = [
    "Composed",
    "Composer",
    "ComposerSpec",
    "Draft",
    "Embedding",
    "FeatureDraft",
    "FeatureSet",
    "GateResult",
    "Keep",
    "Neighbors",
    "Promotion",
    "Score",
    "Store",
    "Upstream",
    "Version",
    "VersionInfo",
    "errors",
    "load_bag",
    "load_jax_bag",
    "open_registry",
]
