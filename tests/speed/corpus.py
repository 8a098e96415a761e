"""The shared tweets as tokens and counted pairs, the same for both sides of a comparison.

In: `tweets/*.parquet` under the data root. Out: a `Corpus`: subsampled training tweets for a peer
that reads text, the pair table of exactly those tokens for ours, and held-out pairs for both.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from embedding_assets.records import PairTable, Vocabulary

URL = re.compile(r"https?://\S+|\bt\.co/\S+")
WORD = re.compile(r"[#@]?\w+(?:['’]\w+)*")
WINDOW = 5
MIN_COUNT = 5
SUBSAMPLE = 1e-3
HELD_OUT = 0.05


@dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
    """Kept tokens and what was counted from them.

    Attributes:
        words: V words, most frequent first.
        tweets: training tweets as lists of words, after subsampling.
        tokens: how many words `tweets` holds.
        table: pair table of `tweets`, window 5, both directions.
        held_out: (M, 2) int64, pairs of the held-out tweets, drawn without replacement.
    """

    words: list[str]
    tweets: list[list[str]]
    tokens: int
    table: PairTable
    held_out: np.ndarray


def read_tweets(data: Path, max_tokens: float = math.inf, language: str | None = "English") -> list[list[str]]:
    """Lower-cased words of tweets in time order, until `max_tokens` words are read; language None takes every one."""
    tweets, tokens = [], 0
    for text in _texts(data, language):
        words = WORD.findall(URL.sub(" ", text.lower()))
        tweets.append(words)
        tokens += len(words)
        if tokens >= max_tokens:
            break
    return tweets


def make_corpus(tweets: list[list[str]], *, pairs: int = 20_000, seed: int = 0) -> Corpus:
    """Vocabulary, subsampled tweets, their pair table, and `pairs` held-out pairs."""
    rng = np.random.default_rng(seed)
    cut = int(len(tweets) * (1 - HELD_OUT))
    words, flat, lengths = _encode(tweets[:cut], tweets)
    tweet_of = np.repeat(np.arange(len(tweets)), lengths)
    is_train = tweet_of < cut
    kept = (flat >= 0) & (~is_train | (rng.random(len(flat)) < _keep_chance(flat, is_train, len(words))))
    train, held = kept & is_train, kept & ~is_train
    counts = np.bincount(flat[train], minlength=len(words)).astype(np.float64)
    vocabulary = Vocabulary(entity="word", keys=pa.array(words, pa.string()), counts=counts)
    held_pairs = np.concatenate(list(_window_pairs(flat[held], tweet_of[held])), axis=0)
    return Corpus(
        words=words,
        tweets=_as_lists(flat[train], tweet_of[train], words),
        tokens=int(train.sum()),
        table=count_pairs(flat[train], tweet_of[train], vocabulary),
        held_out=rng.permutation(held_pairs)[:pairs],
    )


def count_pairs(flat: np.ndarray, tweet_of: np.ndarray, vocabulary: Vocabulary) -> PairTable:
    """Counts of (center, context) at most `WINDOW` words apart in one tweet, both directions."""
    size = len(vocabulary)
    codes = np.concatenate([p[:, 0] * size + p[:, 1] for p in _window_pairs(flat, tweet_of)])
    codes, counts = np.unique(codes, return_counts=True)
    return PairTable(
        rows=vocabulary,
        columns=vocabulary,
        row_ids=(codes // size).astype(np.int32),
        col_ids=(codes % size).astype(np.int32),
        counts=counts.astype(np.float32),
    )


def _texts(data: Path, language: str | None) -> Iterator[str]:
    for path in sorted((data / "tweets").glob("*.parquet")):
        month = pq.read_table(path, columns=["text", "language"])
        chosen = month if language is None else month.filter(pc.field("language") == language)
        yield from chosen["text"].to_pylist()


def _encode(train: list[list[str]], tweets: list[list[str]]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Frequent words of `train`, the id of each word of `tweets` (-1 unknown), tweet lengths."""
    seen: dict[str, int] = {}
    for tweet in train:
        for word in tweet:
            seen[word] = seen.get(word, 0) + 1
    words = sorted((w for w, n in seen.items() if n >= MIN_COUNT), key=lambda w: (-seen[w], w))
    ids = {word: i for i, word in enumerate(words)}
    flat = np.fromiter((ids.get(w, -1) for t in tweets for w in t), np.int64)
    return words, flat, np.fromiter((len(t) for t in tweets), np.int64, len(tweets))


def _keep_chance(flat: np.ndarray, is_train: np.ndarray, size: int) -> np.ndarray:
    """Chance that each token survives word2vec's subsampling of frequent words."""
    known = flat[is_train & (flat >= 0)]
    share = np.bincount(known, minlength=size) / len(known)
    with np.errstate(divide="ignore"):
        chance = np.sqrt(SUBSAMPLE / share) + SUBSAMPLE / share
    return np.where(flat >= 0, chance[flat], 0.0)


def _window_pairs(flat: np.ndarray, tweet_of: np.ndarray) -> Iterator[np.ndarray]:
    for distance in range(1, WINDOW + 1):
        near = tweet_of[distance:] == tweet_of[:-distance]
        left, right = flat[:-distance][near], flat[distance:][near]
        yield np.stack([left, right], axis=1)
        yield np.stack([right, left], axis=1)


def _as_lists(flat: np.ndarray, tweet_of: np.ndarray, words: list[str]) -> list[list[str]]:
    ends = np.flatnonzero(np.diff(tweet_of)) + 1
    return [[words[i] for i in part] for part in np.split(flat, ends)]
