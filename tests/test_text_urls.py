"""URLs by the twitter-text rules, and the site that a URL leads to.

The texts are those of twitter-text's conformance suite (`extract.yml`), where it has one for the behaviour.
"""

import pytest

from embedding_assets.text.tweets import domain, extract
from embedding_assets.text.urls import _scan, find_urls

URLS = [
    ("http://t.co/abc,foo.com bar.com", ["http://t.co/abc", "bar.com"]),
    ("http://example.com", ["http://example.com"]),
    ("http://ああ.com", ["http://ああ.com"]),
    ("http://あ-あ.com", ["http://あ-あ.com"]),
    ("text http://foobar.com/#", ["http://foobar.com/#"]),
    (
        "text http://google.com/#search?q=iphone%20-filter%3Alinks",
        ["http://google.com/#search?q=iphone%20-filter%3Alinks"],
    ),
    ("text http://somehost.com:3000", ["http://somehost.com:3000"]),
    ("text http://xo.com/~matthew+%ff-,.;x", ["http://xo.com/~matthew+%ff-,.;x"]),
    ("text http://en.wikipedia.org/wiki/Primer_(film)", ["http://en.wikipedia.org/wiki/Primer_(film)"]),
    ("text http://✪df.ws/ejp", ["http://✪df.ws/ejp"]),
    ("test http://example.comだよね.comtest/hogehoge", ["http://example.com"]),
    ("text http://chilp.it/?77e8fd", ["http://chilp.it/?77e8fd"]),
    (
        "text http://msdn.microsoft.com/ja-jp/library/system.net.httpwebrequest(v=VS.100).aspx",
        ["http://msdn.microsoft.com/ja-jp/library/system.net.httpwebrequest(v=VS.100).aspx"],
    ),
    (
        "text https://www.youtube.com/watch?v=LOxOAuDHzaw&list=PLPoq910Q9jXhuH6pit_KwIsck9fEz_9U-",
        ["https://www.youtube.com/watch?v=LOxOAuDHzaw&list=PLPoq910Q9jXhuH6pit_KwIsck9fEz_9U-"],
    ),
    ("text http://no-tld", []),
    ("text http://tld-too-short.x", []),
    ("(http://twitter.com", ["http://twitter.com"]),
    ("text http://word-and-a-number-8-ftw.domain.com/", ["http://word-and-a-number-8-ftw.domain.com/"]),
    ("text http://domain.com-that-you-should-have-put-a-space-after", []),
    ("text http://foo.com?#foo text", ["http://foo.com?#foo"]),
    ("foo.com foo.net foo.org foo.edu foo.gov", ["foo.com", "foo.net", "foo.org", "foo.edu", "foo.gov"]),
    (
        "foo.baz foo.co.jp www.xxxxxxx.baz www.foo.co.uk wwwww.xxxxxxx foo.comm foo.somecom foo.govedu foo.jp",
        ["foo.co.jp", "www.foo.co.uk", "foo.jp"],
    ),
    ("t.co/abcde bit.ly/abcde", ["t.co/abcde", "bit.ly/abcde"]),
    ("Go to http://example.com/a+ or http://example.com/a-", ["http://example.com/a+", "http://example.com/a-"]),
    ("Go to http://example.com/view/slug-url-?foo=bar", ["http://example.com/view/slug-url-?foo=bar"]),
    (
        "Go to https://en.m.wikipedia.org/wiki/Hatfield–McCoy_feud please",
        ["https://en.m.wikipedia.org/wiki/Hatfield–McCoy_feud"],
    ),
    ("@user Try http:// example.com/path", ["example.com/path"]),
    (
        "これは日本語です。example.com/path/index.html中国語example.com/path한국",
        ["example.com/path/index.html", "example.com/path"],
    ),
    (
        "twitter.comこれは日本語です。example.com中国語t.co/abcde한국twitter.com example2.comテストtwitter.com/abcde",
        ["twitter.com", "example.com", "t.co/abcde", "twitter.com", "example2.com", "twitter.com/abcde"],
    ),
    (
        "http://twitter.com/これは日本語です。example.com中国語http://t.co/abcde한국"
        "twitter.comテストexample2.comテストhttp://twitter.com/abcde",
        [
            "http://twitter.com/",
            "example.com",
            "http://t.co/abcde",
            "twitter.com",
            "example2.com",
            "http://twitter.com/abcde",
        ],
    ),
    ("Go to http://twitter.com/Русские_слова", ["http://twitter.com/Русские_слова"]),
    ("twitter.jp日本語it.so中国語foo.jp it.so foo.jp", ["twitter.jp", "it.so", "foo.jp", "it.so", "foo.jp"]),
    ("Hello http://xn--はじめよう.com/index.html", []),
    ("text http://domain-dash_2314352345_dfasd.foo-cow_4352.com", []),
    ("Email me at name.al-lastname@foo.com or name.al+lastname@foo.com", []),
    ("Find my page at name.al-lastname.com", ["name.al-lastname.com"]),
    ("MLB.tv vine.co twitch.tv t.co", ["MLB.tv", "vine.co", "twitch.tv", "t.co"]),
    ("@user Try http://\u00a0example.com/path", ["example.com/path"]),
    ("test http://sub_domain-dash.twitter.com", ["http://sub_domain-dash.twitter.com"]),
    ("test http://a.b.cd", ["http://a.b.cd"]),
    ("test http://a_b.c-d.com", ["http://a_b.c-d.com"]),
    ("test http://a-b.c.com", ["http://a-b.c.com"]),
    (
        "http://www.bestbuy.com/site/Currie+Technologies+-+Ezip+400+Scooter/9885188.p?id=1218189013070&skuId=9885188",
        ["http://www.bestbuy.com/site/Currie+Technologies+-+Ezip+400+Scooter/9885188.p?id=1218189013070&skuId=9885188"],
    ),
    ("test http://-leadingdash.twitter.com", []),
    ("test http://leadingdash.-twitter.com", []),
    ("test http://trailingdash-.twitter.com", []),
    ("test http://trailingdash.twitter-.com", []),
    ("test http://_leadingunderscore.twitter.com", []),
    ("test http://leadingunderscore._twitter.com", []),
    ("test http://trailingunderscore_.twitter.com", []),
    ("test http://trailingunderscore.twitter_.com", []),
    ("test http://-twitter.com", []),
    ("test http://twitter-.com", []),
    ("test http://twitter_underscore.com", []),
    ("test http://twitter.c_o_m", []),
    ("test http://www.foo.com/foo/path-with-period./", ["http://www.foo.com/foo/path-with-period./"]),
    ("test http://www.foo.org.za/foo/bar/688.1", ["http://www.foo.org.za/foo/bar/688.1"]),
    ("test http://foo.com/bar/123/foo_&_bar/", ["http://foo.com/bar/123/foo_&_bar/"]),
    ("http://www.andersondaradio.no.comunidades.net/ test test", ["http://www.andersondaradio.no.comunidades.net/"]),
    ("test ELPAÍS.com", ["ELPAÍS.com"]),
    ("test http://twitter.com/.", ["http://twitter.com/"]),
    (
        "http://tn.com.ar/show/x?fb_xd_fragment#?=&cb=fe17523f223b7&ackdata text",
        ["http://tn.com.ar/show/x?fb_xd_fragment#?=&cb=fe17523f223b7&ackdata"],
    ),
    ("Test http://example.com/path..........................................", ["http://example.com/path"]),
    ("Test http://example.com/,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,", ["http://example.com/"]),
    ("Test http://example.com/path/!!!!!!!!!!!!!!!!!!!!", ["http://example.com/path/"]),
    ("#test.com @test.com #http://test.com @http://test.com #t.co/abcde @t.co/abcde", []),
    ("I really like http://t.co/pbY2NfTZ's website", ["http://t.co/pbY2NfTZ"]),
    ("Check this site out http://t.co/FNkPfmii- it's great", ["http://t.co/FNkPfmii"]),
    ("According to http://t.co/ulYGBYSo: the internet is cool", ["http://t.co/ulYGBYSo"]),
    (
        "I really like http://t.co/abcdefghijklmnopqrstuvwxyz0123456789",
        ["http://t.co/abcdefghijklmnopqrstuvwxyz0123456789"],
    ),
    ("I really like http://t.co/abcdefghijklmnopqrstuvwxyz012345678901234", []),
    ("example.comてすとですtwitter.みんなです", ["example.com", "twitter.みんな"]),
    (
        "http://twitter.com\nhttp://example.com\nexample.com/path\nit.so\nit.so/abcde",
        ["http://twitter.com", "http://example.com", "example.com/path", "it.so", "it.so/abcde"],
    ),
    ("$http://twitter.com $twitter.com $http://t.co/abcde $t.co/abcde $t.co $TVI.CA $RBS.CA", []),
    ("long.test.tar.bz2 test.tar.bz2 tar.bz2", []),
    ("john.doe.gov@mail.com", []),
    ("john.doe.jp@mail.com", []),
    (
        "http://t.co/pbY2NfTZ's http://t.co/2vYHpAc5; http://t.co/ulYGBYSo: http://t.co/8MkmHU0k+c "
        "http://t.co/TKLp64dY.x http://t.co/8t7G3ddS#a http://t.co/FNkPfmii-",
        [
            "http://t.co/pbY2NfTZ",
            "http://t.co/2vYHpAc5",
            "http://t.co/ulYGBYSo",
            "http://t.co/8MkmHU0k",
            "http://t.co/TKLp64dY",
            "http://t.co/8t7G3ddS",
            "http://t.co/FNkPfmii",
        ],
    ),
    (
        "http://www.foo.com?referer=https://t.co/abcde http://t.co/xyzzy",
        ["http://www.foo.com?referer=https://t.co/abcde", "http://t.co/xyzzy"],
    ),
    ("http://t.co http://t.co", ["http://t.co", "http://t.co"]),
    ("test http://xn--ls8h.XN--ls8h.la/", ["http://xn--ls8h.XN--ls8h.la/"]),
    (
        "test http://foobar.みんな/ http://foobar.中国/ http://foobar.پاکستان/ ",
        ["http://foobar.みんな/", "http://foobar.中国/", "http://foobar.پاکستان/"],
    ),
    ("\u2066\u202atest abcdef.com پاکستان http://twitter.com/\u202c\u2069", ["abcdef.com", "http://twitter.com/"]),
    (
        "This is a test \u2066\u202atwitter.com\u202c\u2069 \u2066\u202ahttp://foobar.پاکستان/\u202c\u2069 قطر",
        ["twitter.com", "http://foobar.پاکستان/"],
    ),
    ("text https://t.co/UqIyJAJTfo?amp=1", ["https://t.co/UqIyJAJTfo?amp=1"]),
    ("text https://t.co/asdfdf?a=b#123", ["https://t.co/asdfdf?a=b#123"]),
    (
        "text http://www.foo.com/bar-path/some.stm?param1=foo;param2=P1|0||P2|0",
        ["http://www.foo.com/bar-path/some.stm?param1=foo;param2=P1|0||P2|0"],
    ),
    ("http://exampleこれは日本語です.com/path/index.html", ["http://exampleこれは日本語です.com/path/index.html"]),
]


@pytest.mark.parametrize(("text", "expected"), URLS)
def test_urls(text, expected):
    assert list(extract(text).urls) == expected


def test_a_label_longer_than_dns_allows_is_no_url():
    assert extract("http://" + "あ" * 270 + ".com/path").urls == ()
    assert extract("http://" + "a" * 63 + ".com").urls == ("http://" + "a" * 63 + ".com",)
    assert extract("http://" + "a" * 64 + ".com").urls == ()


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://News.BBC.co.uk/world?x=1", "bbc.co.uk"),
        ("t.co/x", "t.co"),
        ("http://co.uk/", None),
        ("http://user:pw@www.a.com:80/x@b.org", "a.com"),
        ("http://a.com?x=http://b.org", "a.com"),
        ("http://a.b.github.io/", "b.github.io"),
        ("http://пример.рф/x", "xn--e1afmkfd.xn--p1ai"),
        ("http://XN--e1afmkfd.xn--p1ai/x", "xn--e1afmkfd.xn--p1ai"),
        ("http://💩.la/", "xn--ls8h.la"),
        ("http://1.2.3.4/", None),
        ("http://a..com/", None),
        ("http://", None),
        ("", None),
        ("nonsense", None),
    ],
)
def test_domain(url, site):
    assert domain(url) == site


def test_a_url_longer_than_4096_characters_is_no_url():
    assert extract("http://a.com/" + "b" * 4083).urls != ()
    assert extract("http://a.com/" + "b" * 4084).urls == ()


def test_links_alone_between_spaces_are_found_in_their_order():
    text = "x.com https://t.co/aa b.com/y https://t.co/bb's\nhttps://t.co/cc"
    found = ["x.com", "https://t.co/aa", "b.com/y", "https://t.co/bb", "https://t.co/cc"]
    assert [text[start:end] for start, end in find_urls(text)] == found


def test_the_short_way_for_plain_short_links_changes_nothing(rng):
    parts = [
        "https://t.co/aB1",
        "http://t.co/x",
        " ",
        " ",
        "\n",
        ".",
        "a.com",
        "/",
        "?",
        "@",
        "#",
        "あ",
        "é",
        "-",
        "_",
        "t.co/",
        "'",
    ]
    for _ in range(3000):
        text = "".join(rng.choice(parts, size=rng.integers(1, 12))) + "."
        assert find_urls(text) == _scan(text)
