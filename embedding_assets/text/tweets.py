"""Mentions, hashtags, cashtags and URLs of a tweet, by the twitter-text rules.

Source: twitter-text 3.1 and its conformance suite (`extract.yml`).
"""

import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import NamedTuple

import publicsuffixlist
import regex

from embedding_assets.text.urls import ACCENTED, SPACES, Span, find_urls

_TAG_EXTRA = "_\u200c\u200d\ua67e\u05be\u05f3\u05f4\uff5e\u301c\u309b\u309c\u30a0\u30fb\u3003\u0f0b\u0f0c\u00b7"
_TAG = rf"[\p{{L}}\p{{M}}\p{{Nd}}{_TAG_EXTRA}]"
_HASHTAG = regex.compile(
    # Not glued to a word, but an emoji's variation selector (a mark) does not make it one.
    rf"(?:(?<!{_TAG}|&)|(?<=[\ufe0e\ufe0f]))[#＃](?![\ufe0f\u20e3])({_TAG}++)(?![#＃]|://)"
)
_TAG_LETTER = regex.compile(r"[\p{L}\p{M}]")
_MENTION = regex.compile(
    r"(?:(?<![a-zA-Z0-9_!#$%&*@＠])|(?<=(?:^|[^a-zA-Z0-9_+~.-])[rR][tT]:?))"
    rf"[@＠]([a-zA-Z0-9_]{{1,20}}+)(?:/[a-zA-Z][a-zA-Z0-9_-]{{0,24}}+)?+(?![@＠{ACCENTED}]|://)"
)
# A ticker, with a suffix for the share class, or a ticker and a market such as `$2010:HK`.
_CASHTAG = regex.compile(
    rf"(?<![^{SPACES}])\$"
    r"((?=[0-9]*+:?[0-9]*+[A-Za-z])[A-Za-z0-9]{1,6}:[A-Za-z0-9]{1,6}|[A-Za-z]{1,6}(?:[._-][A-Za-z]{1,2})?)"
    r"(?=$|\s|[!'#%&()*+,\\\-./:;<=>?@\[\]^_{|}~$])"
)
_HOST = regex.compile(r"(?:[a-z][a-z0-9+.-]*://)?(?:[^/?#@]*@)?([^/?#:@]+)", regex.IGNORECASE)


class Entities(NamedTuple):
    """What a tweet refers to, in order, repeats included and spelt as written.

    Attributes:
        mentions: screen names without `@`; of a list `@user/list`, the user.
        hashtags: without `#`.
        cashtags: without `$`.
        urls: with or without protocol.
    """

    mentions: tuple[str, ...]
    hashtags: tuple[str, ...]
    cashtags: tuple[str, ...]
    urls: tuple[str, ...]


class Located(NamedTuple):
    """`Entities` and the stretches of the text that they take up, marker included, in no set order."""

    entities: Entities
    spans: list[Span]


def extract(text: str) -> Entities:
    """The entities of a tweet. Mentions and hashtags inside a URL belong to the URL alone.

    >>> extract("RT @ann: #jax rocks, see example.com/#jax $TWTR")
    Entities(mentions=('ann',), hashtags=('jax',), cashtags=('TWTR',), urls=('example.com/#jax',))
    """
    return locate(text).entities


def locate(text: str) -> Located:
    """The entities of a tweet and where they are. A pattern whose marker is absent is not tried."""
    urls = find_urls(text)
    spans = list(urls)
    mentions = hashtags = cashtags = ()
    if "@" in text or "＠" in text:
        mentions = _outside(_MENTION.finditer(text), urls, spans)
    if "#" in text or "＃" in text:
        tags = (tag for tag in _HASHTAG.finditer(text) if _TAG_LETTER.search(tag[1]))
        hashtags = _outside(tags, urls, spans)
    if "$" in text:
        cashtags = _outside(_CASHTAG.finditer(text), urls, spans)
    return Located(Entities(mentions, hashtags, cashtags, tuple(text[start:end] for start, end in urls)), spans)


def _outside(found: Iterable[regex.Match[str]], urls: list[Span], spans: list[Span]) -> tuple[str, ...]:
    """The first groups of the matches that lie in no URL; their spans are added to `spans`."""
    kept: list[str] = []
    next_url = 0
    for match in found:
        while next_url < len(urls) and urls[next_url].end <= match.start():
            next_url += 1
        if next_url == len(urls) or match.end() <= urls[next_url].start:
            kept.append(match[1])
            spans.append(Span(match.start(), match.end()))
    return tuple(kept)


@lru_cache(maxsize=65536)  # a week of tweets links to few sites, and to the same ones
def domain(url: str) -> str | None:
    """The registrable domain of a URL, lower-cased, in ASCII (IDNA); None where it has none.

    >>> domain("https://News.BBC.co.uk/world?x=1"), domain("http://co.uk/"), domain("пример.рф")
    ('bbc.co.uk', None, 'xn--e1afmkfd.xn--p1ai')
    """
    host = _HOST.match(url)
    if host is None:
        return None
    labels = [_ascii_label(label) for label in host[1].lower().rstrip(".").split(".")]
    return _suffixes().privatesuffix(".".join(labels), accept_unknown=False)


@cache
def _suffixes() -> publicsuffixlist.PublicSuffixList:
    return publicsuffixlist.PublicSuffixList()  # takes a moment to read: not at import


def _ascii_label(label: str) -> str:
    """`label` as DNS spells it, so that a site has one name however it was linked."""
    if label.isascii():
        return label
    try:
        return label.encode("idna").decode("ascii")
    except UnicodeError:  # newer than the codec's tables, such as an emoji
        return "xn--" + unicodedata.normalize("NFC", label).encode("punycode").decode("ascii")
