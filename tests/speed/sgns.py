"""SGNS against gensim's Word2Vec: the same tokens, the same vocabulary, rounds in turn (PEERS.md)."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embedding_assets.trainers.sgns import Sgns
from tests.speed.corpus import WINDOW, Corpus, make_corpus
from tests.speed.quality import NEGATIVES, Quality, measure

DIM = 64
WORKERS = 2


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the comparison.

    Attributes:
        tokens: raw English tokens read.
        peer_epochs: of gensim.
        bar: the ratio of our time to gensim's that the project aims at.
        ours: settings beside the defaults.
    """

    tokens: int
    peer_epochs: int
    bar: float
    ours: dict[str, Any]


ROWS = {
    "sgns-16k": Row(tokens=1_250_000, peer_epochs=5, bar=0.15, ours={}),
    "sgns-38k": Row(tokens=5_000_000, peer_epochs=4, bar=0.3, ours={}),
}


@dataclass(frozen=True, kw_only=True)
class Round:
    """One training of one side; `seconds` without compiling, which is beside it."""

    seconds: float
    compile_seconds: float
    quality: Quality


def compare(data: Path, *, rounds: int, only: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """One line per row of `ROWS`: medians of time and quality on both sides, and their ratio."""
    for name in only or ROWS:
        row = ROWS[name]
        corpus = make_corpus(data, row.tokens)
        ours, peer = [], []
        for seed in range(rounds):
            peer.append(train_gensim(corpus, data, row, seed))
            ours.append(train_ours(corpus, data, row, seed))
        yield _line(name, corpus, ours, peer)


def train_ours(corpus: Corpus, data: Path, row: Row, seed: int) -> Round:
    """Start and tiling are part of the time."""
    result = Sgns(dim=DIM, k=NEGATIVES, seed=seed, device="cpu", **row.ours).fit(corpus.table)
    centers, contexts = result.tables
    return Round(
        seconds=result.seconds - result.compile_seconds,
        compile_seconds=result.compile_seconds,
        quality=measure(centers.vectors, contexts.vectors, corpus, data),
    )


def train_gensim(corpus: Corpus, data: Path, row: Row, seed: int) -> Round:
    """Its vocabulary scan is part of the time, as it is of one call."""
    # a peer, which only `make speed` installs
    from gensim.models import Word2Vec  # pyright: ignore[reportMissingImports]

    began = time.perf_counter()
    model = Word2Vec(
        corpus.tweets,
        sg=1,
        negative=NEGATIVES,
        window=WINDOW,
        sample=0,
        shrink_windows=False,
        ns_exponent=0.75,
        workers=WORKERS,
        epochs=row.peer_epochs,
        vector_size=DIM,
        min_count=1,
        seed=seed + 1,
    )
    seconds = time.perf_counter() - began
    centers, contexts = (np.zeros((len(corpus.words), DIM), np.float32) for _ in range(2))
    for i, word in enumerate(corpus.words):
        if word in model.wv.key_to_index:  # subsampling may have taken every occurrence of a word
            at = model.wv.key_to_index[word]
            centers[i], contexts[i] = model.wv.vectors[at], model.syn1neg[at]
    return Round(seconds=seconds, compile_seconds=0.0, quality=measure(centers, contexts, corpus, data))


def as_table(line: dict[str, Any]) -> str:
    """A line of `compare` for people."""
    names = ("seconds", "objective", "auc", "recall_10", "recall_100", "wordsim")
    sides = [f"  {side:<5}" + "".join(f"{line[side][name]:>12.4f}" for name in names) for side in ("ours", "peer")]
    held = "quality held on all four" if line["quality_held"] else "QUALITY NOT HELD: the ratio does not count"
    head = f"{line['row']}: {line['words']:,} words, {line['tokens']:,} tokens, {line['pairs']:,} pairs"
    columns = " " * 7 + "".join(f"{name:>12}" for name in names)
    return "\n".join([head, columns, *sides, f"  ratio {line['ratio']} (bar {line['bar']}); {held}"])


def _line(name: str, corpus: Corpus, ours: list[Round], peer: list[Round]) -> dict[str, Any]:
    mine, theirs = _medians(ours), _medians(peer)
    compared = ("objective", "auc", "recall_10", "wordsim")
    return {
        "row": name,
        "ratio": round(mine["seconds"] / theirs["seconds"], 3),
        "bar": ROWS[name].bar,
        "quality_held": all(mine[metric] >= theirs[metric] for metric in compared),
        "words": len(corpus.words),
        "tokens": corpus.tokens,
        "pairs": len(corpus.table),
        "ours": mine,
        "peer": theirs,
    }


def _medians(rounds: list[Round]) -> dict[str, float]:
    def median(value: Callable[[Round], float]) -> float:
        return round(statistics.median(map(value, rounds)), 4)

    figures = {name: median(lambda r, name=name: asdict(r.quality)[name]) for name in asdict(rounds[0].quality)}
    # a program is compiled in the first round alone
    compiling = round(max(r.compile_seconds for r in rounds), 4)
    return {"seconds": median(lambda r: r.seconds), "compile_seconds": compiling, **figures}
