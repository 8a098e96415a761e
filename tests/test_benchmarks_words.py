"""Word similarity and topic purity: planted near the ceiling, shuffled at the floor."""

import numpy as np
import pytest
from benchmark_world import (
    DIM,
    PER_TOPIC,
    TOPIC_OF,
    TOPICS,
    WORDS,
    judge,
    shuffled,
    word_labels,
)

from benchmarks.task import InvalidTaskFile
from registry.judging.align import unit_rows


@pytest.fixture
def judged_file(tmp_path, plain):
    """150 pairs judged by their planted cosine, 10 with unknown words, a comment, a blank line."""
    rng = np.random.default_rng(6)
    unit = unit_rows(plain.numpy())
    rows = rng.integers(0, len(WORDS), size=(150, 2))
    lines = [f"{WORDS[a].upper()}\t{WORDS[b]}\t{unit[a] @ unit[b]:.6f}" for a, b in rows]
    lines += [f"missing{at}\t{WORDS[at]}\t1.5" for at in range(10)]
    path = tmp_path / "planted.tsv"
    path.write_text("# word 1\tword 2\tscore\n\n" + "\n".join(lines) + "\n")
    return path


def test_word_similarity_finds_the_planted_order(plain, judged_file):
    score = judge("word_similarity.v1", plain, files={"word_similarity/planted": judged_file})["spearman_planted"]
    assert score.value > 0.999
    assert abs(score.floor) < 0.1
    assert (score.rows_used, score.rows_left_out) == (150, 10)
    assert (score.details["found"], score.details["pairs"]) == (150, 160)


def test_word_similarity_of_shuffled_vectors_is_at_its_floor(world, plain, judged_file):
    version = world.publish(shuffled(plain.numpy()))
    score = judge("word_similarity.v1", version, files={"word_similarity/planted": judged_file})["spearman_planted"]
    assert score.low <= score.floor <= score.high
    assert abs(score.value) < 0.25


def test_word_similarity_gives_one_score_a_file_and_says_which_have_none(plain, judged_file, tmp_path):
    few = tmp_path / "few.txt"
    few.write_text("\n".join(f"{WORDS[at]}\t{WORDS[at + 1]}\t{at}" for at in range(9)))
    constant = tmp_path / "constant.txt"
    constant.write_text("\n".join(f"{WORDS[at]}\t{WORDS[at + 1]}\t3" for at in range(30)))
    files = {f"word_similarity/{path.stem}": path for path in (few, judged_file, constant)}
    scores = judge("word_similarity.v1", plain, files=files)
    assert set(scores) == {"spearman_constant", "spearman_few", "spearman_planted"}
    assert "9 of 9 pairs in few.txt have vectors; needs at least 10" in scores["spearman_few"].undefined
    assert "have the human score 3" in scores["spearman_constant"].undefined
    assert scores["spearman_planted"].value is not None


def test_word_similarity_of_equal_vectors_and_without_files_is_undefined(world, plain, judged_file):
    flat = world.publish(np.ones((len(WORDS), DIM)))
    score = judge("word_similarity.v1", flat, files={"word_similarity/planted": judged_file})["spearman_planted"]
    assert "have the cosine 1.000000" in score.undefined
    assert "no file" in judge("word_similarity.v1", plain)["spearman"].undefined


@pytest.mark.parametrize(
    ("line", "part"),
    [
        (b"only\ttwo", "expected word1<TAB>word2<TAB>score"),
        (b"a\tb\tmuch", "expected word1<TAB>word2<TAB>score"),
        (b"a\tb\tnan", "finite score"),
        (b"\tb\t1", "needs two words"),
        (b"\xff\tb\t1", "expected word1"),
        (b"a\tb\t1\t2", "expected word1"),
    ],
)
def test_malformed_line_names_file_and_line(plain, tmp_path, line, part):
    path = tmp_path / "pairs.tsv"
    path.write_bytes(b"# comment\na\tb\t1.0\n" + line + b"\n")
    with pytest.raises(InvalidTaskFile, match=f"pairs.tsv:3: .*{part}"):
        judge("word_similarity.v1", plain, files={"word_similarity/x": path})


def test_absent_file_is_a_typed_error(plain, tmp_path):
    with pytest.raises(InvalidTaskFile, match=r"nowhere\.tsv: no such file"):
        judge("word_similarity.v1", plain, files={"word_similarity/x": tmp_path / "nowhere.tsv"})


def test_word_similarity_reads_the_real_files(real_data, plain):
    files = {
        f"word_similarity/{name}": real_data / "wordsim" / f
        for name, f in [("ws", "wordsim353.tsv"), ("sl", "simlex999.txt")]
    }
    scores = judge("word_similarity.v1", plain, files=files)
    assert (scores["spearman_ws"].rows_left_out, scores["spearman_sl"].rows_left_out) == (353, 999)


def test_topic_purity_is_near_one_on_planted_and_at_the_floor_on_shuffled_vectors(world, plain):
    labels = {"truth_words": word_labels()}
    good = judge("topic_purity.v1", plain, labels=labels)["same_topic"]
    assert good.value > 0.98
    chance = (PER_TOPIC - 1) / (len(WORDS) - 1)
    assert good.details["chance"] == pytest.approx(chance)
    assert good.floor == pytest.approx(chance, abs=0.01)
    assert set(good.details["by_lang"]) == {"en", "ru"}
    bad = judge("topic_purity.v1", world.publish(shuffled(plain.numpy())), labels=labels)["same_topic"]
    assert bad.value == pytest.approx(bad.floor, abs=0.03)


def test_topic_purity_counts_words_that_are_not_in_the_version_or_ambiguous(plain):
    words = [*WORDS, "en_unknown", WORDS[0]]
    labels = {"truth_words": word_labels(words, (*TOPIC_OF.tolist(), 1, TOPICS - 1))}
    score = judge("topic_purity.v1", plain, labels=labels)["same_topic"]
    assert score.rows_used == len(WORDS) - 1
    assert score.rows_left_out == 3  # the unknown word and both rows of the word with two topics


def test_topic_purity_asks_small_topics_only_for_the_words_they_have(plain):
    """Four words a topic: three right neighbours are the ceiling; a lone word asks nothing."""
    rows = np.sort(np.concatenate([np.arange(at, len(WORDS), PER_TOPIC) for at in range(4)]))
    topics = TOPIC_OF[rows].tolist()
    topics[0] = 99
    labels = {"truth_words": word_labels([WORDS[row] for row in rows], topics)}
    score = judge("topic_purity.v1", plain, labels=labels)["same_topic"]
    assert score.rows_used == len(rows) - 1
    assert score.value > 0.9


@pytest.mark.parametrize(
    ("topics", "part"),
    [([0] * len(WORDS), "have one topic"), (range(len(WORDS)), "alone in its topic")],
)
def test_topic_purity_of_degenerate_labels_is_undefined(plain, topics, part):
    score = judge("topic_purity.v1", plain, labels={"truth_words": word_labels(WORDS, topics)})["same_topic"]
    assert score.value is None
    assert part in score.undefined


def test_topic_purity_of_few_words_or_equal_vectors_is_undefined(world, plain):
    few = {"truth_words": word_labels(WORDS[:11], TOPIC_OF[:11])}
    assert "there are 11" in judge("topic_purity.v1", plain, labels=few)["same_topic"].undefined
    none = {"truth_words": word_labels([], [])}
    assert "there are 0" in judge("topic_purity.v1", plain, labels=none)["same_topic"].undefined
    flat = world.publish(np.ones((len(WORDS), DIM)))
    score = judge("topic_purity.v1", flat, labels={"truth_words": word_labels()})["same_topic"]
    assert "point the same way" in score.undefined
