"""Words of a tweet, in any script; entities such as hashtags and links are taken out first."""

import html
import re
import unicodedata

import regex
from icu4py.breakers import WordBreaker

from embedding_assets.text.tweets import Entities, Located, locate

#: 64 characters are at most 256 bytes of UTF-8, the longest key that the registry takes.
LONGEST_WORD = 64

#: Scripts that write no spaces between words; ICU segments them with its dictionaries.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_INNER = r"(?:'|(?<=\p{N})[.,](?=\p{N}))"
_LETTER = rf"[\p{{L}}\p{{N}}\p{{M}}\u200c\u200d--[{_UNSPACED}]]"
_PICTURE = r"[\p{Extended_Pictographic}--[©®™]][\ufe0e\ufe0f]?\p{Emoji_Modifier}?\ufe0f?"
_TOKEN = regex.compile(
    rf"""(?P<keycap>[0-9\#*]\ufe0f?\u20e3)
    | (?P<word>{_LETTER}++(?:{_INNER}{_LETTER}++)*+)
    | (?P<unspaced>[{_UNSPACED}][{_UNSPACED}\p{{M}}\u30fc\uff70\uff9e\uff9f]*+)
    | (?P<emoji>
        [\U0001F1E6-\U0001F1FF]{{2}}
        | {_PICTURE}(?:[\U000E0020-\U000E007E]++\U000E007F)?(?:\u200d{_PICTURE})*+
      )""",
    regex.VERSION1 | regex.VERBOSE,
)
_HAS_LETTER = regex.compile(r"[\p{L}\p{N}]")
#: Everything that the simple pattern cannot tokenise: marks, unspaced scripts, emoji, joiners.
_NEEDS_FULL = regex.compile(
    rf"[\p{{M}}\u200c\u200d\p{{Extended_Pictographic}}\U0001F1E6-\U0001F1FF{_UNSPACED}--[©®™]]",
    regex.VERSION1,
)
_SIMPLE = re.compile(r"[^\W_]+(?:(?:'|(?<=\d)[.,](?=\d))[^\W_]+)*")
#: Apostrophes as they are typed, and characters that show nothing and would split or double a word.
_FOLD = str.maketrans("’ʼ＇`´", "'''''", "\u00ad\u2060\ufeff\u200e\u200f\u061c")
_FOLDED = re.compile(f"[{''.join(map(chr, _FOLD))}]")


def words(text: str) -> list[str]:
    """The words and emoji of a tweet in order, lower-cased, without its entities.

    >>> words("Don’t miss #jax &amp; 今天天气很好 👍🏽 https://t.co/x @ann")
    ["don't", 'miss', '今天', '天气', '很好', '👍🏽']
    """
    return analyse(text)[0]


def analyse(text: str) -> tuple[list[str], Entities]:
    """The words of a tweet and its entities, both of the text as meant: HTML decoded, in NFC."""
    plain = html.unescape(text) if "&" in text else text
    plain = plain if plain.isascii() else unicodedata.normalize("NFC", plain)
    located = locate(plain)
    return _split(_without(plain, located)), located.entities


def _without(text: str, located: Located) -> str:
    """`text` with a space in the place of each entity."""
    parts: list[str] = []
    end = 0
    for span in sorted(located.spans):
        parts.append(text[end : span.start])
        end = max(end, span.end)
    parts.append(text[end:])
    return " ".join(parts)


def _split(text: str) -> list[str]:
    if text.isascii():
        return [word[:LONGEST_WORD] for word in _SIMPLE.findall(text.lower().replace("`", "'"))]
    # Lower-casing the Turkish capital would leave a dot above the i.
    folded = text.replace("İ", "i").lower()
    if _FOLDED.search(folded):
        folded = folded.translate(_FOLD)
    if _NEEDS_FULL.search(folded) is None:
        return [word[:LONGEST_WORD] for word in _SIMPLE.findall(folded)]
    return _split_any_script(folded)


def _split_any_script(text: str) -> list[str]:
    found: list[str] = []
    for match in _TOKEN.finditer(text):
        if match.lastgroup in ("emoji", "keycap"):
            found.append(match[0][:LONGEST_WORD])
        elif match.lastgroup == "unspaced":
            found += [w[:LONGEST_WORD] for w in WordBreaker(match[0], "root") if _HAS_LETTER.search(w)]
        elif _HAS_LETTER.search(match[0]):
            found.append(match[0].strip("\u200c\u200d")[:LONGEST_WORD])
    return found
