"""Writes the phrases that were found in a corpus as single words: "new", "york" -> "new york"."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa


def join_phrases(tokens: pa.Table, phrases: pa.Table) -> pa.Table:
    """`tokens` with every phrase in `words` as one word, the longest first, from left to right.

    Args:
        tokens: any table with `words` (list of string); its other columns pass through.
        phrases: `phrase` (string) and `words` (list of string, 2 or more).
    """
    lists = tokens["words"].combine_chunks()
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False)
    encoded = lists.flatten().dictionary_encode()
    known = {word: code for code, word in enumerate(encoded.dictionary.to_pylist())}
    coded = _coded_phrases(phrases, known)
    if not coded:
        return tokens
    codes = encoded.indices.to_numpy()
    starts, sizes, numbers = _find(codes, np.cumsum(lengths), coded)
    joined = codes.astype(np.int64)
    joined[starts] = len(known) + numbers
    kept = np.ones(len(codes), dtype=bool)
    for place in range(1, max(sizes.tolist(), default=1)):
        kept[starts[sizes > place] + place] = False
    dictionary = pa.concat_arrays([encoded.dictionary, phrases["phrase"].combine_chunks().cast(pa.string())])
    words = dictionary.take(pa.array(joined[kept]))
    ends = np.concatenate([[0], np.cumsum(kept)])[np.concatenate([[0], np.cumsum(lengths)])]
    column = pa.ListArray.from_arrays(ends.astype(np.int32), words)
    return tokens.set_column(tokens.schema.get_field_index("words"), "words", column)


def _coded_phrases(phrases: pa.Table, known: Mapping[str, int]) -> dict[tuple[int, ...], int]:
    """Phrases whose words all occur, as codes -> their row in `phrases`."""
    coded = {}
    for row, words in enumerate(phrases["words"].to_pylist()):
        if all(word in known for word in words):
            coded[tuple(known[word] for word in words)] = row
    return coded


def _find(
    codes: np.ndarray, ends: np.ndarray, coded: Mapping[tuple[int, ...], int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where phrases begin, their number of words, and their row; no two overlap or cross an end."""
    found: list[tuple[int, int, int]] = []
    sizes = sorted({len(phrase) for phrase in coded}, reverse=True)
    after = 0
    for place, end in _candidates(codes, ends, coded):
        if place < after:
            continue
        for size in sizes:
            row = coded.get(tuple(codes[place : place + size].tolist()))
            if row is not None and place + size <= end:
                found.append((place, size, row))
                after = place + size
                break
    table = np.array(found, dtype=np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def _candidates(codes: np.ndarray, ends: np.ndarray, coded: Mapping[tuple[int, ...], int]) -> Iterator[tuple[int, int]]:
    """Places where the first two words of some phrase stand, and the end of the list that they are in.

    Few places are left, so that only these are walked in Python.
    """
    openings = {(phrase[0] << 32) | phrase[1] for phrase in coded}
    pairs = (codes[:-1].astype(np.int64) << 32) | codes[1:]
    places = np.flatnonzero(np.isin(pairs, np.fromiter(openings, dtype=np.int64)))
    list_ends = ends[np.searchsorted(ends, places, side="right")]
    return zip(places.tolist(), list_ends.tolist(), strict=True)
