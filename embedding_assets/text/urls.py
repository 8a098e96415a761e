"""Finds URLs in a tweet by the twitter-text rules, with or without protocol, in linear time.

A *run* is a maximal stretch of characters that a host name may hold, `.`, `-` and `_` included. Each run is cut
into labels once; where a URL may begin and how far its host reaches is then decided label by label.
Source: twitter-text 3.1 and its conformance suite (`extract.yml`: urls).
"""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import publicsuffixlist
import regex

SPACES = "\u0009-\u000d\u0020\u0085\u00a0\u1680\u180e\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_NEVER = "\ufffe\ufeff\uffff"
ACCENTED = (
    "\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0253\u0254\u0256\u0257\u0259\u025b\u0263\u0268\u026f"
    "\u0272\u0289\u028b\u02bb\u0300-\u036f\u1e00-\u1eff"
)
_PATH = rf"[a-zA-Z0-9\u0400-\u04ff!*';:=+,.$/%#\[\]\-\u2013_~@|&{ACCENTED}]"

_RUN = regex.compile(rf"[^!'#%&()*+,\\/:;<=>?@\[\]\^{{|}}~${SPACES}{_DIRECTIONS}{_NEVER}]+")
_PROTOCOL = regex.compile(r"https?://$", regex.IGNORECASE)
_ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_MAY_NOT_PRECEDE = frozenset(_ALNUM + "@＠$#＃" + _NEVER)
#: A host without a protocol is no URL after these, but what looks like one is passed over whole.
_NOT_BEFORE_BARE = frozenset("-_./")
#: A TLD does not end before these: it would be part of a longer word or of an e-mail address.
_TLD_CONTINUES = frozenset(_ALNUM + "@+-")
_ASCII_START = regex.compile(r"xn--[-0-9a-z]+|[a-z0-9]+", regex.IGNORECASE)
_PORT = regex.compile(r":[0-9]+")
# Possessive throughout: what one part has taken is not tried again, so hostile paths cost linear time.
_PATH_REACH = regex.compile(rf"/(?:{_PATH}++|\((?:{_PATH}++\)|{_PATH}*+\({_PATH}++\){_PATH}*+\)))*+")
_PATH_END = regex.compile(rf"[a-zA-Z0-9\u0400-\u04ff+\-=_#/){ACCENTED}]")
_QUERY_REACH = regex.compile(r"\?[a-zA-Z0-9!?*'@();:&=+$/%#\[\]\-_.,~|]*+")
_QUERY_END = regex.compile(r"[a-zA-Z0-9\-_&=#/]")
_TCO = regex.compile(r"https?://t\.co/([a-z0-9]+)", regex.IGNORECASE)
_BARE_LABEL_END = regex.compile(rf"[-a-zA-Z0-9{ACCENTED}]+$")
_BARE_LABEL = regex.compile(rf"[-a-zA-Z0-9{ACCENTED}]+")
_HOST_START = regex.compile(r"(?<![A-Za-z0-9@＠$#＃])[^-_]")
_PLAIN_TCO = re.compile(r"(?<![^ \n])https?://t\.co/[a-zA-Z0-9]{1,40}(?![^ \n])")
_INNER_DOT = re.compile(r"\.[^\s.]")

_LONGEST_LABEL = 63
_LONGEST_URL = 4096
_LONGEST_TCO_SLUG = 40


class Span(NamedTuple):
    """A stretch of the text, `text[start:end]`."""

    start: int
    end: int


@cache
def _top_level_domains() -> tuple[frozenset[str], frozenset[str], int]:
    """Top-level domains in ASCII, the others, and the length of the longest of these.

    Lower-cased, from ICANN's part of the bundled public suffix list.
    """
    lines = Path(publicsuffixlist.PSLFILE).read_text(encoding="utf-8").splitlines()
    icann = lines[: lines.index("// ===END ICANN DOMAINS===")]
    rules = [line.split()[0] for line in icann if line.strip() and not line.startswith("//")]
    found = {rule.rpartition(".")[2].lower() for rule in rules}
    ascii_domains = frozenset(domain for domain in found if domain.isascii())
    others = frozenset(found - ascii_domains)
    return ascii_domains, others, max(map(len, others))


def find_urls(text: str) -> list[Span]:
    """Where the URLs of `text` lie, left to right.

    >>> [text[a:b] for text in ["see t.co/x, foo.baz"] for a, b in find_urls(text)]
    ['t.co/x']
    """
    if "." not in text:
        return []
    found: list[Span] = []
    if "://t.co/" in text:
        # Nearly all links of real tweets: alone between spaces, so blanking them changes nothing else.
        found = [Span(*match.span()) for match in _PLAIN_TCO.finditer(text)]
        text = _PLAIN_TCO.sub(lambda match: " " * len(match[0]), text)
    if _INNER_DOT.search(text):
        found += _scan(text)
        found.sort()
    return found


def _scan(text: str) -> list[Span]:
    found: list[Span] = []
    end = 0
    for run in _RUN.finditer(text):
        if run.end() > end and text.find(".", run.start(), run.end()) != -1:
            end = _scan_run(text, run.start(), run.end(), end, found)
    return found


def _scan_run(text: str, start: int, stop: int, after: int, found: list[Span]) -> int:
    """Append the URLs that begin in one run behind `after`; the end of what has been consumed."""
    labels = _labels(text, start, stop)
    protocol = _protocol_start(text, start, after)
    if protocol is not None and labels[0].host_end != -1:
        after = _take_with_protocol(text, protocol, Span(start, labels[0].host_end), found)
    for i, label in enumerate(labels[:-1]):
        if label.end > after and (labels[i + 1].host_end != -1 or labels[i + 1].tld_end != -1):
            after = _take_bare(text, label, labels[i + 1], after, found)
    return after


class _Label(NamedTuple):
    """A part of a run between dots.

    `tld_end`: where a top-level domain that begins the label ends; -1 where none does.
    `host_end`: where the longest host that begins with the label ends; -1 where none does.
    """

    start: int
    end: int
    tld_end: int
    host_end: int


def _labels(text: str, start: int, stop: int) -> list[_Label]:
    labels: list[_Label] = []
    end = stop
    following: _Label | None = None
    while end >= start:
        begin = text.rfind(".", start, end) + 1 or start
        host_end = _host_end(text, begin, end, following)
        following = _Label(begin, end, _tld_end(text, begin, end, len(text)), host_end)
        labels.append(following)
        end = begin - 1
    labels.reverse()
    return labels


def _host_end(text: str, start: int, end: int, following: _Label | None) -> int:
    """Where the longest host ends whose first label is `text[start:end]`; -1 where there is none."""
    if following is None or start == end or text[start] in "-_" or text[end - 1] in "-_":
        return -1
    if following.host_end != -1:
        return following.host_end
    # The label before the top-level domain is a registered name: no underscores.
    return following.tld_end if text.find("_", start, end) == -1 else -1


def _tld_end(text: str, start: int, end: int, limit: int) -> int:
    """Where the top-level domain at the start of a label ends; -1 where the label begins with none."""
    ascii_domains, others, longest = _top_level_domains()
    begin = _ASCII_START.match(text, start, end)
    if begin:
        name, stop = begin[0].lower(), begin.end()
        if name.startswith("xn--"):
            return stop
        known = name in ascii_domains
        return stop if known and (stop == limit or text[stop] not in _TLD_CONTINUES) else -1
    for stop in range(min(end, start + longest), start, -1):
        if text[start:stop].lower() in others and (stop == limit or text[stop] not in _TLD_CONTINUES):
            return stop
    return -1


def _protocol_start(text: str, host: int, after: int) -> int | None:
    """Where the `http(s)://` before `host` begins; None where it may not begin a URL."""
    if not text.startswith("://", host - 3) or host < 7:
        return None
    begin = _PROTOCOL.search(text, max(host - 8, 0), host)
    if begin is None or not _may_begin(text, begin.start(), after):
        return None
    return begin.start()


def _may_begin(text: str, start: int, after: int) -> bool:
    """Whether a URL may begin at `start`: what stands before it must not be part of a URL."""
    return start == 0 or (start > after and text[start - 1] not in _MAY_NOT_PRECEDE)


def _take_with_protocol(text: str, start: int, host: Span, found: list[Span]) -> int:
    """Append the URL that begins at `start`, if it is valid; the end of what it took."""
    end = stop = _url_end(text, host.end)[1]
    short = _TCO.match(text, start, end)
    if short:  # nothing but a query follows the slug of a short link
        stop = _query_end(text, short.end())
    slug_fits = short is None or len(short[1]) <= _LONGEST_TCO_SLUG
    if slug_fits and _is_valid(text[host.start : host.end], stop - start):
        found.append(Span(start, stop))
    return max(end, stop)


def _take_bare(text: str, label: _Label, following: _Label, after: int, found: list[Span]) -> int:
    """Append the URLs without protocol whose host begins in `label`; the end of what they took."""
    start = _bare_start(text, label, following, after)
    if start is None:
        return after
    host = Span(start, following.host_end if following.host_end != -1 else following.tld_end)
    path, end = _url_end(text, host.end)
    before_is_fine = start == 0 or text[start - 1] not in _NOT_BEFORE_BARE
    if before_is_fine and _is_valid(text[host.start : host.end], end - start + len("https://")):
        domains = _bare_domains(text, host)
        if domains and path:
            domains[-1] = Span(domains[-1].start, end)
        found.extend(domains)
    return end


def _bare_start(text: str, label: _Label, following: _Label, after: int) -> int | None:
    """The first place in `label` where a host without protocol begins; None where there is none."""
    start = label.start
    if not _may_begin(text, start, after) or text[start] in "-_":
        begin = _HOST_START.search(text, max(start, after + 1), label.end)
        start = begin.start() if begin else label.end
    if _host_end(text, start, label.end, following) != -1:
        return start
    # Only an underscore can be in the way: the host then begins behind the last one.
    underscore = text.rfind("_", start, label.end)
    begin = _HOST_START.search(text, max(underscore, after) + 1, label.end)
    if begin is None or underscore == -1:
        return None
    return begin.start() if _host_end(text, begin.start(), label.end, following) != -1 else None


def _bare_domains(text: str, host: Span) -> list[Span]:
    """The Latin domains inside a host: text in other scripts has no spaces to set them off."""
    domains: list[Span] = []
    labels = _labels(text, host.start, host.end)
    i, after = 0, host.start
    while i < len(labels) - 1:
        begin = _BARE_LABEL_END.search(text, max(labels[i].start, after), labels[i].end)
        end, i = _bare_reach(text, labels, i, host.end) if begin else (-1, i + 1)
        if begin and end != -1:
            domains.append(Span(begin.start(), end))
            after = end
    return domains


def _bare_reach(text: str, labels: list[_Label], i: int, limit: int) -> tuple[int, int]:
    """The end of the longest domain whose first dot follows label `i`, and the label to go on with."""
    end, last = -1, i
    for j in range(i + 1, len(labels)):
        stop = _tld_end(text, labels[j].start, labels[j].end, limit)
        if stop != -1:
            end, last = stop, j
        if not _BARE_LABEL.fullmatch(text, labels[j].start, labels[j].end):
            return end, last if end != -1 else j
    return end, last if end != -1 else len(labels)


def _url_end(text: str, host_end: int) -> tuple[bool, int]:
    """Whether a path follows the host, and where port, path and query end."""
    port = _PORT.match(text, host_end)
    path_start = port.end() if port else host_end
    reach = _PATH_REACH.match(text, path_start)
    end = _trim(text, path_start + 1, reach.end(), _PATH_END) if reach else path_start
    return reach is not None, _query_end(text, end)


def _query_end(text: str, start: int) -> int:
    reach = _QUERY_REACH.match(text, start)
    if reach is None:
        return start
    end = _trim(text, start + 1, reach.end(), _QUERY_END)
    return end if end > start + 1 else start


def _trim(text: str, start: int, end: int, last: regex.Pattern[str]) -> int:
    """`end` moved left, not below `start`, until the character before it is a `last` one."""
    while end > start and not last.match(text, end - 1):
        end -= 1
    return end


def _is_valid(host: str, length: int) -> bool:
    """Whether every label fits DNS and the URL the limit of twitter-text, in characters."""
    if length > _LONGEST_URL or (host.startswith("xn--") and not host.isascii()):
        return False
    return all(_dns_length(label) <= _LONGEST_LABEL for label in host.split("."))


def _dns_length(label: str) -> int:
    # Punycode takes at least one character for each one, and quadratic time: measure only what can fit.
    if label.isascii() or len(label) > _LONGEST_LABEL:
        return len(label)
    return len("xn--") + len(label.encode("punycode"))
