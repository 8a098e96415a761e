"""Entities by the twitter-text rules.

The texts are those of twitter-text's conformance suite (`extract.yml`), where it has one for the behaviour.
"""

import time

import pytest

from embedding_assets.text.tweets import Entities, extract

MENTIONS = [
    ("@username reply", ["username"]),
    ("mention @12345", ["12345"]),
    ("の@usernameに到着を待っている", ["username"]),
    ("Current Status: @_@ (cc: @username)", ["username"]),
    ("@aliceìnheiro something something", []),
    ("@username email me @test@example.com", ["username"]),
    ("@http://twitter.com", []),
    ("@username\n@mention", ["username", "mention"]),
    ("RT@username RT:@mention RT @test", ["username", "mention", "test"]),
    ("rT@username rT:@mention rT @test", ["username", "mention", "test"]),
    ("f!@kn", []),
    ("f@@kn", []),
    ("f#@kn", []),
    ("f$@kn", []),
    ("f%@kn", []),
    ("f&@kn", []),
    ("f*@kn", []),
    ("@username/list-name is a great list!", ["username"]),
    ("@username/7list-name", ["username"]),
    ("の@username/list_name-01に到着", ["username"]),
    ("@mention's", ["mention"]),
    ("＠full ok", ["full"]),
    ("@aaaaaaaaaaaaaaaaaaaaaaaaa", ["aaaaaaaaaaaaaaaaaaaa"]),
]

HASHTAGS = [
    ("a #hashtag here", ["hashtag"]),
    ("#1hashtag is", ["1hashtag"]),
    ("On the #16 bus", []),
    ("#0", []),
    (
        "(#hashtag1 )#hashtag2 [#hashtag3 ]#hashtag4 ’#hashtag5’#hashtag6",
        ["hashtag1", "hashtag2", "hashtag3", "hashtag4", "hashtag5", "hashtag6"],
    ),
    ("# 会議中 ハッシュ", []),
    ("#트위터", ["트위터"]),
    ("#ﾣﾦﾰ", ["ﾣﾦﾰ"]),
    ("日本語ハッシュテスト。#日本語ハッシュタグ", ["日本語ハッシュタグ"]),
    ("#日本語ハッシュタグ。", ["日本語ハッシュタグ"]),
    ("＃ｈａｓｈｔａｇ１２３", ["ｈａｓｈｔａｇ１２３"]),
    ("日本語ハッシュタグ#日本語ハッシュタグ", []),
    ("。#サッカー", ["サッカー"]),
    ("#ﾊｯｼｭﾀｸﾞ #ﾊﾟﾋﾟﾌﾟﾍﾟﾎﾟ", ["ﾊｯｼｭﾀｸﾞ", "ﾊﾟﾋﾟﾌﾟﾍﾟﾎﾟ"]),
    ("できましたよー！＃日本語ハッシュタグ。", ["日本語ハッシュタグ"]),
    ("#云々 #学問のすゝめ #いすゞ #各〻 #各〃", ["云々", "学問のすゝめ", "いすゞ", "各〻", "各〃"]),
    ("#メ～テレ ハ", ["メ～テレ"]),
    ("#メ〜テレ", ["メ〜テレ"]),
    ("#Ateş #qrşt #ştu #ş", ["Ateş", "qrşt", "ştu", "ş"]),
    ("#İn #ın", ["İn", "ın"]),
    (
        "#hashtag: #hashtag; #hashtag, #hashtag. #hashtag! #hashtag?",
        ["hashtag", "hashtag", "hashtag", "hashtag", "hashtag", "hashtag"],
    ),
    (
        ":#hashtag ;#hashtag ,#hashtag .#hashtag !#hashtag ?#hashtag",
        ["hashtag", "hashtag", "hashtag", "hashtag", "hashtag", "hashtag"],
    ),
    ("#hashtag\ntest\n#hashtag2\ntest\n#hashtag3\n", ["hashtag", "hashtag2", "hashtag3"]),
    ("#http://twitter.com #https://twitter.com", []),
    ("http://twitter.com/#hashtag twitter.com/#hashtag", []),
    ("#Azərbaycanca #mûǁae #Čeština #Ċaoiṁín", ["Azərbaycanca", "mûǁae", "Čeština", "Ċaoiṁín"]),
    (
        "#برنامه_نویسی  #رییس_جمهور  #رئيس_الوزراء, #ثبت_نام. #لس_آنجلس",
        ["برنامه_نویسی", "رییس_جمهور", "رئيس_الوزراء", "ثبت_نام", "لس_آنجلس"],
    ),
    ("#עַל־יְדֵי #וכו׳ #מ״כ", ["עַל־יְדֵי", "וכו׳", "מ״כ"]),
    ("#ผู้เริ่ม #การเมือง", ["ผู้เริ่ม", "การเมือง"]),
    ("#ශ්\u200dරීලංකා", ["ශ්\u200dරීලංකා"]),
    ("#می\u200cخواهم", ["می\u200cخواهم"]),
    ("#۳۴۵هشتگ #هشتگ۶۷۸ #ســـلام_عليكم_٤٠٦", ["۳۴۵هشتگ", "هشتگ۶۷۸", "ســـلام_عليكم_٤٠٦"]),
    ("#महात्मा #महात्मा_१२३४ #१२३४ गांधी", ["महात्मा", "महात्मा_१२३४"]),
    ("#བོད་སྐད་ #བོད་སྐད", ["བོད་སྐད་", "བོད་སྐད"]),
    ("#មហាត្មះគន្ធី #မြင့်မြတ်သော #ຊີວະສາດ", ["មហាត្មះគន្ធី", "မြင့်မြတ်သော", "ຊີວະສາດ"]),
    ("#il·lusió", ["il·lusió"]),
    ("#_ #1_2 #122 #〃", []),
    ("#𠀡", ["𠀡"]),
    ("#𖼄𖽑", ["𖼄𖽑"]),
    ("#A𐒠", ["A𐒠"]),
    ("a ✌#hashtag", ["hashtag"]),
    ("a ✌\ufe0e#hashtag here", ["hashtag"]),
    ("a ✌\ufe0f#hashtag here", ["hashtag"]),
    ("a ✌🏿#hashtag here", ["hashtag"]),
    ("a ✌🏿\ufe0f#hashtag here", ["hashtag"]),
    ("a 👨\u200d👩\u200d👧#hashtag here", ["hashtag"]),
    ("a #\ufe0f⃣ b", []),
    ("#a#b", []),
    ("&#x27;", []),
]

CASHTAGS = [
    ("$TEST $Stock   $symbol", ["TEST", "Stock", "symbol"]),
    ("$TEST.T $test.tt $Stock_X $symbol_ab", ["TEST.T", "test.tt", "Stock_X", "symbol_ab"]),
    ("$123 $test123 $TE123ST", []),
    ("$123 $123.45 $3334:23 $000000@23 $2323_32 $2323-24", []),
    ("$test123 $TE123ST $0000-3423", []),
    (
        "We're valid $ABC $ABC:AA $ABC-A $AB:ABCD $001122:AA $001122:AA $AB:001122",
        ["ABC", "ABC:AA", "ABC-A", "AB:ABCD", "001122:AA", "001122:AA", "AB:001122"],
    ),
    ("Stocks are up $VOW:GR, $2010:HK - $6758:JP", ["VOW:GR", "2010:HK", "6758:JP"]),
    ("$ストック $株", []),
    ("$ $. $- $@ $! $() $+", []),
    ("$TEST. $TEST_", ["TEST", "TEST"]),
    ("$OK$NG$BAD text$NO .$NG $$NG", ["OK"]),
    ("$CashtagMustBeLessThanSixCharacter", []),
    ("Buy $AAPL: now", ["AAPL"]),
]


@pytest.mark.parametrize(("text", "expected"), MENTIONS)
def test_mentions(text, expected):
    assert list(extract(text).mentions) == expected


@pytest.mark.parametrize(("text", "expected"), HASHTAGS)
def test_hashtags(text, expected):
    assert list(extract(text).hashtags) == expected


@pytest.mark.parametrize(("text", "expected"), CASHTAGS)
def test_cashtags(text, expected):
    assert list(extract(text).cashtags) == expected


def test_all_entities_of_one_tweet():
    assert extract("RT @ann: #jax $TWTR http://a.com/@bob/#c @dee") == Entities(
        mentions=("ann", "dee"), hashtags=("jax",), cashtags=("TWTR",), urls=("http://a.com/@bob/#c",)
    )
    assert extract("") == Entities((), (), (), ())


@pytest.mark.parametrize("before", ["", "@", "#1", "http://a.com/("])
@pytest.mark.parametrize(
    "unit",
    [
        "@",
        "#",
        "$",
        ".",
        "a.",
        "a_b.",
        "-a.",
        "あ.",
        "あ.com-.",
        "a.com/",
        "a.com/,",
        "a.com?,",
        "(",
        "http://",
        "#a",
        "@a ",
    ],
)
def test_hostile_text_takes_linear_time(before, unit):
    def seconds(repeats):
        text = before + unit * repeats
        return min(_timed(text) for _ in range(2))

    # Quadratic time would make it 16 times as long; the constant absorbs the clock's noise.
    assert seconds(8_000) < 9 * seconds(2_000) + 0.02


def _timed(text):
    start = time.perf_counter()
    extract(text)
    return time.perf_counter() - start


def test_100_000_hostile_characters_are_read():
    for unit in ("@", "."):
        assert extract(unit * 100_000) == Entities((), (), (), ())
