"""What the synthetic Twitter writes: topics, moved words, phrases, scripts and hashtags are where they were planted."""

import re
from collections import Counter, defaultdict

import numpy as np
import pytest
from synthetic_rows import DEMO, rows, texts, week_at

from embedding_assets.sources.schema import week_bounds
from embedding_assets.sources.synthetic.lexicon import FRESH_WEEKS, lexicon
from embedding_assets.sources.synthetic.tweets import week_tweets
from embedding_assets.text.words import analyse

# --- words -------------------------------------------------------------------------------------------


def test_a_word_belongs_to_one_topic_of_one_meaning():
    for index in (0, 4):
        table = rows("truth_words", index)
        topics = defaultdict(set)
        for word, topic in zip(table["word"].to_pylist(), table["topic"].to_pylist(), strict=True):
            topics[word].add(topic)
        assert all(len(found) == 1 for found in topics.values())
        pairs = list(zip(table["word"].to_pylist(), table["lang"].to_pylist(), strict=True))
        assert len(pairs) == len(set(pairs))
    function = {word for language in lexicon().languages for word in language.function}
    assert not function & set(topics)


def test_vocabulary_turns_over_slowly():
    words = {index: set(rows("truth_words", index)["word"].to_pylist()) for index in (0, 1, FRESH_WEEKS)}
    kept_a_week, kept_a_life = (len(words[0] & words[i]) / len(words[0]) for i in (1, FRESH_WEEKS))
    assert 0.95 < kept_a_week < 1
    assert 0.7 < kept_a_life < 0.9


@pytest.mark.parametrize("index", [0, 3, 4, 7])
def test_moved_words_are_used_by_their_topic_of_the_week_alone(index):
    names = [topic.name for topic in lexicon().topics]
    topic_of_tweet = week_tweets(DEMO, index).topic
    for row in rows("truth_moved_words").to_pylist():
        has_moved = row["moved_at"] <= week_bounds(week_at(index))[0]
        expected = row["to_topic"] if has_moved else row["from_topic"]
        assert row["from_topic"] != row["to_topic"]
        assert has_moved == (index >= DEMO.move_week_index)
        pattern = re.compile(rf"(?<![\w#@/-]){row['word']}(?![\w-])")
        found = (i for i, text in enumerate(texts(index)) if row["word"] in text and pattern.search(text))
        used = Counter(topic_of_tweet[i] for i in found)
        assert {names[topic] for topic in used} == {expected}
        assert used.total() >= 20


def test_moved_words_keep_the_company_of_their_topic():
    for index, column in ((2, "from_topic"), (6, "to_topic")):
        topic_of = dict(zip(*(rows("truth_words", index)[c].to_pylist() for c in ("word", "topic")), strict=True))
        assert all(topic_of[row["word"]] == row[column] for row in rows("truth_moved_words").to_pylist())
        for row in rows("truth_moved_words").to_pylist():
            company = Counter()
            for text in texts(index):
                words = text.split()
                if row["word"] in words:
                    company.update(topic_of[w] for w in words if w in topic_of and w != row["word"])
            assert company[row[column]] / company.total() > 0.85


def test_phrases_are_adjacent_and_of_many_authors():
    users = rows("tweets")["user_id"].to_pylist()
    english = {phrase for topic in lexicon().topics for phrase in topic.phrases["en"]}
    for phrase in rows("truth_phrases")["phrase"].to_pylist():
        authors = {users[i] for i, text in enumerate(texts(0)) if phrase in text}
        assert len(authors) >= (20 if phrase in english else 8), phrase
        assert len(phrase.split()) in (2, 3)


def test_spam_is_loud_but_of_few_authors():
    is_bot = dict(zip(*(rows("truth_users")[c].to_pylist() for c in ("user_id", "is_bot")), strict=True))
    users = rows("tweets")["user_id"].to_pylist()
    share = np.mean([is_bot[user] for user in users])
    assert share == pytest.approx(5 * DEMO.bot_share, abs=1e-3)
    authors, times = defaultdict(set), Counter()
    for user, text in zip(users, texts(0), strict=True):
        if is_bot[user]:
            phrase = " ".join(text.split()[:3])
            authors[phrase].add(user)
            times[phrase] += 1
    assert max(len(found) for found in authors.values()) <= 3
    assert min(times.values()) > 10
    assert not any(
        phrase in text for phrase in times for text in (texts(0)[i] for i, u in enumerate(users) if not is_bot[u])
    )


def test_all_languages_are_written_in_their_scripts():
    tweets = rows("tweets")
    by_language = defaultdict(list)
    for lang, text in zip(tweets["lang"].to_pylist(), tweets["text"].to_pylist(), strict=True):
        by_language[lang].append(text)
    shares = {lang: len(found) / tweets.num_rows for lang, found in by_language.items()}
    assert 0.45 < shares["en"] < 0.65
    assert 0.01 < shares[None] < 0.05
    assert min(shares[row.name] for row in lexicon().languages) > 0.03
    scripts = {"ru": "[а-яё]", "ar": "[ء-ي]", "ja": "[ぁ-ヿ]", "th": "[ก-๛]", "ko": "[가-힣]", "hi": "[ऀ-ॿ]"}
    for lang, letters in scripts.items():
        assert np.mean([bool(re.search(letters, text)) for text in by_language[lang]]) > 0.99
    everything = "\n".join(tweets["text"].to_pylist())
    for sign in ("&amp;", "https://", " #", "@u0", " $", "🎬", "👩‍💻"):
        assert sign in everything


@pytest.mark.parametrize("lang", ["ja", "th"])
def test_words_without_spaces_are_found_again(lang):
    known = {r["word"] for r in rows("truth_words").to_pylist() if r["lang"] == lang}
    written = found = 0
    chosen = [tweet["text"] for tweet in rows("tweets").to_pylist() if tweet["lang"] == lang][:150]
    for text in chosen:
        words, _ = analyse(text)
        found += sum(word in known for word in words)
        body = max((part for part in text.split() if part[0] not in "#@"), key=len)
        written += len(body) > 12
    assert written > 20  # there are long runs without a space
    assert found / len(chosen) > 3.5


# --- trends ------------------------------------------------------------------------------------------


def test_trending_hashtags_are_used_while_they_live_and_never_else():
    weeks = range(10)
    used = [set(analyse_hashtags(texts(index))) for index in weeks]
    trends = [tag for tag in rows("truth_hashtags", 9).to_pylist() if tag["born_at"]]
    for tag in trends:
        alive = [tag["born_at"] <= week_bounds(week_at(index))[0] < tag["died_at"] for index in weeks]
        assert [tag["hashtag"] in used[index] for index in weeks] == alive, tag
    assert len(trends) > 50
    assert sum(tag["died_at"] <= week_bounds(week_at(9))[0] for tag in trends) > 20
    evergreen = {tag["hashtag"] for tag in rows("truth_hashtags", 9).to_pylist() if not tag["born_at"]}
    known = evergreen | {tag["hashtag"] for tag in trends}
    assert set().union(*used) <= known
    english = {tag for topic in lexicon().topics for tag in topic.hashtags}
    assert english <= evergreen
    assert len(english & used[0] & used[9]) / len(english) > 0.9
    assert len(evergreen & used[0]) / len(evergreen) > 0.5  # some languages are small


def analyse_hashtags(tweets):
    return [word[1:] for text in tweets for word in text.split() if word.startswith("#")]


def test_hashtags_of_a_week_do_not_know_the_future():
    assert all(
        tag["born_at"] is None or tag["born_at"] <= week_bounds(week_at(2))[0]
        for tag in rows("truth_hashtags", 2).to_pylist()
    )


def test_topics_gain_and_lose_popularity():
    shares = [np.bincount(week_tweets(DEMO, i).topic + 1, minlength=13)[1:] / 6000 for i in (0, 1, 30)]
    assert np.abs(shares[2] - shares[0]).sum() > 1.5 * np.abs(shares[1] - shares[0]).sum()
    assert min(shares[2]) > 0.01
