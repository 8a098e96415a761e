"""A small Twitter whose answers are known: settings in, events and planted truth out."""

from embedding_assets.sources.synthetic.source import SyntheticTwitter

__all__ = ["SyntheticTwitter"]
