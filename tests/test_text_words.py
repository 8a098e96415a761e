"""Words of any script, without entities."""

import time

import pytest

from embedding_assets.text.words import LONGEST_WORD, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("@ann #jax $TWTR https://t.co/x", []),
        ("!!! ... --- \ufffd\ufffd ©™", []),
        ("Hello, World", ["hello", "world"]),
        ("Don’t don't DON`T", ["don't"] * 3),
        ("'quoted' ‘words’ rock'n'roll", ["quoted", "words", "rock'n'roll"]),
        ("R&amp;B &lt;3 &amp;amp;", ["r", "b", "3", "amp"]),
        ("7.5 1,000 end.Nope U.S.A.", ["7.5", "1,000", "end", "nope", "u", "s", "a"]),
        ("snake_case __init__", ["snake", "case", "init"]),
        ("Привет, МИР! А321", ["привет", "мир", "а321"]),
        ("İstanbul ŞEHİR", ["istanbul", "şehir"]),
        ("cafe\u0301 caf\u00e9", ["caf\u00e9", "caf\u00e9"]),
        ("महात्मा गांधी हिन्दी", ["महात्मा", "गांधी", "हिन्दी"]),
        ("العَرَبِيَّة السياسة", ["العَرَبِيَّة", "السياسة"]),
        ("می\u200cخواهم سلام\u200c", ["می\u200cخواهم", "سلام"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("今天天气很好", ["今天", "天气", "很好"]),
        ("カタカナ日本語です", ["カタカナ", "日本語", "です"]),
        ("สวัสดีครับ", ["สวัสดี", "ครับ"]),
        ("ພາສາລາວ", ["ພາສາ", "ລາວ"]),
        ("ខ្ញុំស្រលាញ់", ["ខ្ញុំ", "ស្រលាញ់"]),
        ("မြန်မာစကား", ["မြန်မာ", "စကား"]),
        ("abc東京xyz今天", ["abc", "東京", "xyz", "今天"]),
        ("hi😀😀 ok", ["hi", "😀", "😀", "ok"]),
        ("I ❤️ you ❤", ["i", "❤️", "you", "❤"]),
        ("👩\u200d🚀 👨\u200d👩\u200d👧\u200d👦", ["👩\u200d🚀", "👨\u200d👩\u200d👧\u200d👦"]),
        ("👍🏽👍", ["👍🏽", "👍"]),
        ("🇷🇴🇫🇷", ["🇷🇴", "🇫🇷"]),
        ("1️⃣ of 2", ["1️⃣", "of", "2"]),
        ("see http://a.com/x, ok?", ["see", "ok"]),
        ("@user/list-name is great", ["is", "great"]),
        ("soft\u00adhyphen", ["softhyphen"]),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


def test_a_word_is_cut_to_what_the_registry_takes_as_a_key():
    for long in ("x" * 1000, "😀\u200d" * 300 + "😀", "ж" * 1000):
        assert all(len(word) <= LONGEST_WORD and len(word.encode()) <= 256 for word in words(long))


@pytest.mark.parametrize("unit", ["a", "'", "a'", "1.", "😀\u200d", "🇷", "今", "กา", "\u0301", "&amp;", "ه\u200c", "<"])
def test_hostile_text_takes_linear_time(unit):
    def seconds(repeats):
        text = unit * repeats
        return min(_timed(text) for _ in range(3))

    # Quadratic time would make it 16 times as long; the constant absorbs the clock's noise.
    assert seconds(16_000) < 9 * seconds(4_000) + 0.02


def _timed(text):
    start = time.thread_time()
    words(text)
    return time.thread_time() - start
