"""Finds word sequences that mean something together, such as "new york", in one week's tweets."""

import duckdb
import pyarrow as pa

from embedding_assets.tables.engine import query
from embedding_assets.tables.vocabulary import encode_words

#: One row a phrase, sorted by it; `phrase` is its words with a space between, at most 256 bytes.
PHRASES = pa.schema(
    [
        pa.field("phrase", pa.string()),
        pa.field("words", pa.list_(pa.string())),
        pa.field("count", pa.int64()),
        pa.field("authors", pa.int64()),
        pa.field("npmi", pa.float64()),
    ]
)


def find_phrases(
    con: duckdb.DuckDBPyConnection,
    tokens: pa.Table,
    *,
    min_count: int = 10,
    min_authors: int = 5,
    min_npmi: float = 0.6,
    max_words: int = 3,
) -> pa.Table:
    """Phrases of two words, and of three that extend one of these.

    Score: normalised pointwise mutual information. What few authors write is left out however often
    they do: else the slogans of bots lead the list.

    Args:
        con: where the queries run.
        tokens: one row a tweet, with `words` (list of string) and `user_id`.
        min_count: least number of occurrences.
        min_authors: least number of different users.
        min_npmi: least score, in [-1, 1]; 0 is chance, 1 words that never occur apart.
        max_words: 2 or 3.

    Returns:
        The schema `PHRASES`.

    Raises:
        ValueError: `max_words` is neither 2 nor 3.

    Source: Bouma, "Normalized (pointwise) mutual information in collocation extraction" (2009).
    """
    if max_words not in (2, 3):
        raise ValueError(f"find_phrases.max_words must be 2 or 3, got {max_words}")
    codes, keys = encode_words(tokens["words"])
    authors = tokens["user_id"].combine_chunks().dictionary_encode().indices
    relations = {"tokens": pa.table({"author": authors, "codes": codes}), "keys": keys}
    least = {"min_count": min_count, "min_authors": min_authors, "min_npmi": min_npmi}
    pairs = query(con, "phrase_pairs", relations, **least)
    found = [pairs]
    if max_words == 3:
        found.append(query(con, "phrase_triples", relations | {"pairs": pairs}, **least))
    phrases = [table.select(PHRASES.names).cast(PHRASES) for table in found]
    return pa.concat_tables(phrases).sort_by("phrase")
