import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.errors import Corrupt
from registry.tables import keys as key_index
from registry.tables.keys import KeyIndex, hash_key, hash_keys, index_chunks

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@pytest.fixture
def index(tmp_path):
    def build(keys):
        path = tmp_path / "keys.idx"
        path.write_bytes(b"".join(index_chunks(pa.array(keys, pa.string()))))
        return KeyIndex(path)

    return build


@settings(deadline=None)  # the first example pays for imports
@given(st.lists(texts, min_size=1, max_size=20), st.integers(0, 5))
def test_the_vectorised_hash_equals_the_plain_one(keys, skip):
    array = pa.array(keys, pa.string())[skip:]
    assert hash_keys(array).tolist() == [hash_key(key.as_py().encode()) for key in array]


def test_the_hash_is_fixed_because_files_hold_it():
    assert [hash_key(key) for key in (b"", b"a", b"12345678", b"123456789")] == FIXED


FIXED = [0, 1022280562956728333, 11081442291613720652, 6792050247203978761]


def test_hashes_of_similar_keys_differ():
    keys = pa.array([f"{a}{b}" for a in ("user", "word", "", "resu") for b in range(5000)])
    assert len(np.unique(hash_keys(keys))) == len(keys.unique())


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_every_key_is_found_and_no_other(index, rng, count):
    keys = [f"{'x' * (i % 19)}{i}" for i in range(count)]
    built = index(keys)
    asked = rng.permutation(count)
    wanted = pa.array([keys[i] for i in asked])
    assert built.rows(wanted).tolist() == asked.tolist()
    assert [int(built.rows(wanted[i : i + 1])[0]) for i in range(min(count, 40))] == asked[:40].tolist()
    strangers = pa.array([f"no{i}" for i in range(50)] + ["", "x\0", "é"])
    assert (built.rows(strangers) == -1).all()
    assert (built.rows(strangers[:3]) == -1).all()
    assert built.keys.to_pylist() == keys


@pytest.mark.parametrize("asked", [5, 64])
def test_equal_hashes_cost_time_but_never_a_wrong_answer(index, monkeypatch, asked):
    same = np.uint64(7)
    monkeypatch.setattr(key_index, "hash_keys", lambda keys: np.full(len(keys), same))
    monkeypatch.setattr(key_index, "hash_key", lambda text: 7)
    keys = [f"key{i}" for i in range(asked)]
    built = index(keys)
    assert built.rows(pa.array(keys)).tolist() == list(range(asked))
    assert built.rows(pa.array(["stranger"] * asked)).tolist() == [-1] * asked


def test_a_file_whose_parts_do_not_add_up_is_refused(tmp_path):
    data = b"".join(index_chunks(pa.array(["a", "b"])))
    path = tmp_path / "keys.idx"
    for bad in (data[:-1], data + b"\0", b"x" + data[1:], data[:20], data[:8] + b"\xff" * 16 + data[24:]):
        path.write_bytes(bad)
        with pytest.raises(Corrupt, match=r"keys\.idx"):
            KeyIndex(path)
