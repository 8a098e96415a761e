"""Rows of the synthetic Twitter, read once for all tests."""

import hashlib
import io
from functools import cache

import pyarrow as pa

from embedding_assets.sources.schema import TABLES, TRUTH_TABLES, shift_week
from embedding_assets.sources.synthetic import SyntheticTwitter

SCHEMAS = TABLES | TRUTH_TABLES
SMALL = SyntheticTwitter(seed=3, users=300, tweets_per_week=700)
DEMO = SyntheticTwitter()


def week_at(index, source=DEMO):
    return shift_week(source.first_week, index)


@cache
def rows(name, index=0, source=DEMO):
    return source.read(name, week_at(index, source)).rows


@cache
def texts(index):
    return [text.lower() for text in rows("tweets", index)["text"].to_pylist()]


def fingerprint(table):
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return hashlib.sha256(buffer.getvalue()).hexdigest()
