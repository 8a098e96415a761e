"""SGNS against gensim's Word2Vec: the same tokens, the same vocabulary, rounds in turn (PEERS.md)."""

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from embedding_assets.trainers.sgns import Sgns
from tests.speed.corpus import WINDOW, Corpus, make_corpus, read_tweets
from tests.speed.measuring import measured
from tests.speed.quality import NEGATIVES, Quality, measure

DIM = 64
WORKERS = 2
COMPARED = ("objective", "auc", "recall_10", "wordsim")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the comparison; ours always runs with its defaults.

    Attributes:
        tokens: raw tokens read.
        language: of the tweets; None reads every one.
        peer_epochs: of gensim.
        bar: the ratio of our time to gensim's that the project aims at; None where it is only reported.
    """

    tokens: float
    language: str | None = "English"
    peer_epochs: int
    bar: float | None


ROWS = {
    "sgns-16k": Row(tokens=1_250_000, peer_epochs=5, bar=0.15),
    "sgns-38k": Row(tokens=5_000_000, peer_epochs=4, bar=0.3),
    "sgns-100k": Row(tokens=math.inf, language=None, peer_epochs=2, bar=0.5),
}
SCALE = "sgns-scale"
NAMES = (*ROWS, SCALE)
#: 1, 4 and 16 times the data.
SCALE_ROWS = [Row(tokens=312_500 * times, peer_epochs=4, bar=None) for times in (1, 4, 16)]


@dataclass(frozen=True, kw_only=True)
class Round:
    """One training of one side; `seconds` without compiling, which is beside it."""

    seconds: float
    compile_seconds: float
    peak_bytes: int
    quality: Quality


def compare(data: Path, *, rounds: int, only: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """One line per row of `ROWS`: medians of time and quality on both sides, and their ratio; then how both grow."""
    for name in only or NAMES:
        yield scale(data, rounds) if name == SCALE else against_gensim(data, name, ROWS[name], rounds)


def against_gensim(data: Path, name: str, row: Row, rounds: int) -> dict[str, Any]:
    """Medians of both sides, alternating."""
    corpus = make_corpus(read_tweets(data, row.tokens, row.language))
    ours, peer = [], []
    for seed in range(rounds):
        peer.append(train_gensim(corpus, data, row, seed))
        ours.append(train_ours(corpus, data, seed))
    mine, theirs = medians(ours), medians(peer)
    return {
        "row": name,
        "ratio": round(mine["seconds"] / theirs["seconds"], 3),
        "bar": row.bar,
        "quality_held": all(mine[metric] >= theirs[metric] for metric in COMPARED),
        "words": len(corpus.words),
        "tokens": corpus.tokens,
        "pairs": len(corpus.table),
        "ours": mine,
        "peer": theirs,
    }


def scale(data: Path, rounds: int) -> dict[str, Any]:
    """Seconds of both sides on growing data, and the exponents of the growth in tokens."""
    lines = [against_gensim(data, SCALE, row, rounds) for row in SCALE_ROWS]
    largest = lines[-1]
    exponents = {
        f"{side}_exponent": round(
            math.log(largest[side]["seconds"] / lines[0][side]["seconds"])
            / math.log(largest["tokens"] / lines[0]["tokens"]),
            3,
        )
        for side in ("ours", "peer")
    }
    facts = ("tokens", "words", "pairs", "ratio", "quality_held")
    sizes = [
        {name: line[name] for name in facts} | {f"{side}_seconds": line[side]["seconds"] for side in ("ours", "peer")}
        for line in lines
    ]
    return largest | exponents | {"sizes": sizes}


def train_ours(corpus: Corpus, data: Path, seed: int) -> Round:
    """Start and tiling are part of the time."""
    done = measured(partial(Sgns(dim=DIM, k=NEGATIVES, seed=seed, device="cpu").fit, corpus.table))
    centers, contexts = done.result.tables
    return Round(
        seconds=done.seconds - done.result.compile_seconds,
        compile_seconds=done.result.compile_seconds,
        peak_bytes=done.peak_bytes,
        quality=measure(centers.vectors, contexts.vectors, corpus, data),
    )


def train_gensim(corpus: Corpus, data: Path, row: Row, seed: int) -> Round:
    """Its vocabulary scan is part of the time, as it is of one call."""
    # a peer, which only `make speed` installs
    from gensim.models import Word2Vec  # pyright: ignore[reportMissingImports]

    train = partial(
        Word2Vec,
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
    done = measured(train)
    model = done.result
    centers, contexts = (np.zeros((len(corpus.words), DIM), np.float32) for _ in range(2))
    for i, word in enumerate(corpus.words):
        if word in model.wv.key_to_index:  # subsampling may have taken every occurrence of a word
            at = model.wv.key_to_index[word]
            centers[i], contexts[i] = model.wv.vectors[at], model.syn1neg[at]
    return Round(
        seconds=done.seconds,
        compile_seconds=0.0,
        peak_bytes=done.peak_bytes,
        quality=measure(centers, contexts, corpus, data),
    )


def medians(rounds: list[Round]) -> dict[str, float]:
    """Of seconds and quality; the largest compile time and peak, which later rounds hide."""

    def median(value: Callable[[Round], float]) -> float:
        return round(statistics.median(map(value, rounds)), 4)

    figures = {name: median(lambda r, name=name: asdict(r.quality)[name]) for name in asdict(rounds[0].quality)}
    return {
        "seconds": median(lambda r: r.seconds),
        "compile_seconds": round(max(r.compile_seconds for r in rounds), 4),
        "peak_bytes": max(r.peak_bytes for r in rounds),
        **figures,
    }


def as_table(line: dict[str, Any]) -> str:
    """A line of `compare` for people."""
    names = ("seconds", "objective", "auc", "recall_10", "recall_100", "wordsim")
    sides = [
        f"  {side:<5}" + "".join(f"{line[side][name]:>12.4f}" for name in names) + f"{line[side]['peak_bytes']:>16,}"
        for side in ("ours", "peer")
    ]
    held = "quality held on all four" if line["quality_held"] else "QUALITY NOT HELD: the ratio does not count"
    head = f"{line['row']}: {line['words']:,} words, {line['tokens']:,} tokens, {line['pairs']:,} pairs"
    columns = " " * 7 + "".join(f"{name:>12}" for name in names) + f"{'peak_bytes':>16}"
    grown = [
        f"  {size['tokens']:>12,} tokens: ours {size['ours_seconds']:.2f} s, peer {size['peer_seconds']:.2f} s"
        for size in line.get("sizes", [])
    ]
    if grown:
        grown.append(f"  seconds ~ tokens ** {line['ours_exponent']} ours, ** {line['peer_exponent']} peer")
    bar = "no bar" if line["bar"] is None else f"bar {line['bar']}"
    return "\n".join([head, columns, *sides, *grown, f"  ratio {line['ratio']} ({bar}); {held}"])
