import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from registry_samples import LINEAGE, D, N, make_draft, make_keys, make_vectors

from registry import layout, open_registry
from registry.errors import (
    BadReference,
    InvalidEmbedding,
    InvalidName,
    NotFound,
    RegistryError,
    UnknownEmbedding,
    UnknownKey,
    UnknownVersion,
)


@pytest.fixture
def store(tmp_path):
    return open_registry(tmp_path / "registry")


def folder_of(store, version):
    return Path(store.root) / "word" / version.name / "versions" / version.info.attempt


def test_a_published_version_reads_back_as_it_was_handed_over(store):
    counts = np.arange(N, dtype=np.int64)
    tags = pa.array([["a", "b"], None, []] + [["c"]] * (N - 3))
    context = make_vectors(N, D + 2, seed=1)
    published = store.publish(
        make_draft(
            metric="dot",
            window_weeks=4,
            trainer={"name": "sgns", "dim": np.int64(D), "rate": np.float32(0.5), "betas": (1, 2)},
            training={"loss": [2.0, 1.0], "seconds": 1.5},
            attributes=pa.table({"count": counts, "tags": tags}),
            extra={"context": context, "epochs": np.array([1, 2, 3])},
            lineage=LINEAGE,
            created_by="run-1",
        )
    )
    version = open_registry(store.root)["word/word@v1"]
    assert version.reference == published.reference == "word/word@v1"
    assert (version.entity, version.name, version.number) == ("word", "word", 1)
    assert (version.week, version.dim, version.metric) == ("2026-01-05", D, "dot")
    assert version.space == "run-1:centers"
    assert len(version) == N
    assert version.keys().equals(make_keys())
    np.testing.assert_array_equal(version.numpy(), make_vectors())
    np.testing.assert_array_equal(version.extra("context"), context)
    np.testing.assert_array_equal(version.extra("epochs"), [1, 2, 3])
    assert version.lineage() == LINEAGE
    assert version.manifest.trainer == {"name": "sgns", "dim": D, "rate": 0.5, "betas": [1, 2]}
    assert version.manifest.training == {"loss": [2.0, 1.0], "seconds": 1.5}
    assert (version.manifest.window_weeks, version.manifest.created_by) == (4, "run-1")
    assert version.attributes().column_names == ["key", "count", "tags"]
    np.testing.assert_array_equal(version.attributes()["count"], counts)
    assert version.attributes()["tags"].to_pylist() == tags.to_pylist()


def test_the_table_is_key_vector_and_attributes(store):
    version = store.publish(make_draft(attributes=pa.table({"count": np.arange(N)})))
    table = version.table()
    assert table.column_names == ["key", "vector", "count"]
    assert table.schema.field("vector").type == pa.list_(pa.float32(), D)
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), "f4"), make_vectors())


def test_without_attributes_or_lineage_the_readers_say_so(store):
    version = store.publish(make_draft())
    assert version.attributes().column_names == ["key"]
    assert version.table().num_rows == N
    assert version.lineage() is None
    with pytest.raises(UnknownKey, match="no extra array 'context'; it has none"):
        version.extra("context")


def test_vectors_are_mapped_read_only_on_a_page_of_their_own(store):
    version = store.publish(make_draft(extra={"b": np.ones(3), "a": np.ones(2, np.int8)}))
    with pytest.raises(ValueError, match="read-only"):
        version.numpy()[0, 0] = 1
    data = (folder_of(store, version) / layout.TABLE).read_bytes()
    header_size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + header_size])
    assert (8 + header_size) % 4096 == 0
    assert header["vectors"] == {
        "dtype": "F32",
        "shape": [N, D],
        "data_offsets": [0, 4 * N * D],
    }
    assert data[8 + header_size :][: 4 * N * D] == make_vectors().tobytes()
    ends = sorted(entry["data_offsets"] for entry in header.values())
    assert [end for _, end in ends[:-1]] == [start for start, _ in ends[1:]]  # no gaps
    assert ends[-1][1] == len(data) - 8 - header_size


def test_the_parquet_file_has_small_row_groups_and_plain_vectors(store):
    count = 8193
    version = store.publish(
        make_draft(
            keys=make_keys(count),
            vectors=make_vectors(count, 2),
            attributes=pa.table({"count": np.arange(count) % 3}),
        )
    )
    meta = pq.read_metadata(folder_of(store, version) / layout.VECTORS)
    assert [meta.row_group(i).num_rows for i in range(meta.num_row_groups)] == [8192, 1]
    columns = {meta.row_group(0).column(i).path_in_schema: meta.row_group(0).column(i) for i in range(3)}
    assert not any("DICTIONARY" in e for e in columns["vector.list.element"].encodings)
    assert not any("DICTIONARY" in e for e in columns["key"].encodings)
    assert any("DICTIONARY" in e for e in columns["count"].encodings)
    assert version.table()["vector"][count - 1].as_py() == make_vectors(count, 2)[-1].tolist()


def test_strided_vectors_and_sliced_keys_are_published_as_they_look(store):
    wide, keys = make_vectors(N + 3, 2 * D), make_keys(N + 3)
    version = store.publish(make_draft(keys=keys[3:], vectors=np.asfortranarray(wide)[3:, ::2]))
    assert version.keys().to_pylist() == keys.to_pylist()[3:]
    np.testing.assert_array_equal(version.lookup(keys.to_pylist()[3:]), wide[3:, ::2])
    np.testing.assert_array_equal(version.lookup(keys[5:7]), wide[5:7, ::2])


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
def test_the_same_draft_gives_the_same_bytes(store, metric):
    drafts = [make_draft(metric=metric, extra={"b": np.ones(2), "a": np.ones(2)}) for _ in range(2)]
    first, second = (store.publish(draft) for draft in drafts)
    assert first.number != second.number
    assert first.manifest.files == second.manifest.files
    assert first.manifest.index == second.manifest.index


def test_numbers_are_won_in_order_and_nothing_else_is_left_in_the_folders(store, tmp_path):
    for _ in range(3):
        store.publish(make_draft())
    base = tmp_path / "registry" / "word" / "word"
    assert sorted(path.name for path in (base / "log").iterdir()) == [f"{number:08d}.json" for number in (1, 2, 3)]
    versions = store.versions("word/word")
    assert sorted(path.name for path in (base / "versions").iterdir()) == sorted(info.attempt for info in versions)
    assert [info.number for info in versions] == [1, 2, 3]
    times = [info.published_at for info in versions]
    assert times == sorted(times)


def test_a_retry_by_the_same_run_gets_the_version_that_exists(store, tmp_path):
    first = store.publish(make_draft(created_by="run-1"))
    again = store.publish(make_draft(created_by="run-1", vectors=make_vectors(seed=9)))
    assert again.reference == first.reference
    np.testing.assert_array_equal(again.numpy(), make_vectors())
    assert store.publish(make_draft(created_by="run-2")).number == 2
    assert store.publish(make_draft(created_by="run-1", week="2026-01-12")).number == 3
    assert len(list((tmp_path / "registry/word/word/versions").iterdir())) == 3


def test_latest_is_the_newest_week_and_within_it_the_last_number(store):
    weeks = ["2026-01-12", "2026-01-19", "2026-01-05", "2026-01-19", "2026-01-12", None]
    for seed, week in enumerate(weeks):
        store.publish(make_draft(week=week, vectors=make_vectors(seed=seed)))
    assert store["word/word"].number == 4
    assert store["word/word@latest"].number == 4
    assert store["word/word@2026-01-12"].number == 5
    assert store["word/word@2026-01-05"].number == 3
    assert store["word/word@v6"].week is None
    np.testing.assert_array_equal(store["word/word@v3"].numpy(), make_vectors(seed=2))


def test_a_store_sees_what_others_publish_after_it_was_opened(store):
    other = open_registry(store.root)
    assert other.names() == []
    assert len(other) == 0
    store.publish(make_draft())
    assert other.names() == ["word/word"]
    assert "word/word@v1" in other
    assert "word/word@v2" not in other
    store.publish(make_draft())
    assert "word/word@v2" in other
    assert other["word/word"].number == 2


def test_names_are_listed_by_entity(store):
    for entity, name in [("word", "b"), ("user", "x"), ("word", "a")]:
        store.publish(make_draft(entity=entity, name=name))
    assert store.names() == list(store) == ["user/x", "word/a", "word/b"]
    assert store.names("word") == ["word/a", "word/b"]
    assert store.names("site") == []


def test_opening_creates_nothing(tmp_path):
    store = open_registry(tmp_path / "no" / "such")
    assert store.names() == []
    assert store.verify().ok
    with pytest.raises(UnknownEmbedding, match="none yet"):
        store["word/word"]
    assert not (tmp_path / "no").exists()


def test_a_root_that_is_a_file_or_a_url_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidName, match="is a file"):
        open_registry(tmp_path / "file")
    with pytest.raises(InvalidName, match="'ftp' is not known to"):
        open_registry("ftp://bucket/registry")


def test_unknown_references_say_what_there_is(store):
    store.publish(make_draft())
    store.publish(make_draft(week="2026-01-12"))
    with pytest.raises(UnknownEmbedding, match=r"did you mean word/word\?"):
        store["word/wrod"]
    with pytest.raises(UnknownVersion, match="no v9; it has v1 to v2"):
        store["word/word@v9"]
    with pytest.raises(UnknownVersion, match="2026-01-19; it has 2 weeks, 2026-01-05 to 2026-01-12"):
        store["word/word@2026-01-19"]
    with pytest.raises(UnknownEmbedding):
        store.versions("user/word")
    with pytest.raises(UnknownEmbedding):
        store["user/word@v1"]


NO_REFERENCES = """
|word|word/word@|word/word@v0|word/word@v01|word/word@V1|a/b/c|word/word@2026-13-01|word/word@20260105
word/word@latest |word/word@v1@v2|word/word@v-1|word/word@v99999999999|word/word@@latest|/word/word
""".replace("\n", "|").split("|")


@pytest.mark.parametrize("text", NO_REFERENCES)
def test_text_that_is_no_reference_is_refused(store, text):
    with pytest.raises(BadReference):
        store[text]


def replaced(array, at, value):
    array = array.copy()
    array[at] = value
    return array


BAD_DRAFTS = {
    "no keys": ({"keys": pa.array([], pa.string()), "vectors": make_vectors(0)}, "keys are empty"),
    "keys of a list": ({"keys": ["a", "b"]}, "keys are list"),
    "a null key": ({"keys": pa.array(["a", None], pa.string())}, "row 1 is null"),
    "an empty key": ({"keys": pa.array(["a", ""])}, "row 1 is empty"),
    "a long key": ({"keys": pa.array(["a", "é" * 129])}, "row 1 has 258 bytes"),
    "a NUL": ({"keys": pa.array(["aa", "b\0"])}, r"'b\\x00' of row 1 contains NUL"),
    "a key twice": (
        {"keys": pa.array(["a", "b", "a"])},
        "'a' appears 2 times, first in rows 0 and 2",
    ),
    "bad UTF-8": ({"keys": pa.array([b"\xff\xfe"]).view(pa.string())}, "not UTF-8"),
    "float64": ({"vectors": make_vectors().astype("f8")}, "float64"),
    "a list": ({"vectors": make_vectors().tolist()}, "vectors are list"),
    "one axis": ({"vectors": make_vectors()[0]}, r"shape \(5,\)"),
    "no width": ({"vectors": make_vectors(N, 0)}, r"shape \(37, 0\)"),
    "too few": ({"vectors": make_vectors(N - 1)}, "37 keys but 36 vectors"),
    "NaN": ({"vectors": replaced(make_vectors(), (3, 4), np.nan)}, r"key3' \(row 3\) holds NaN"),
    "infinity": (
        {"vectors": replaced(make_vectors(), (7, 0), -np.inf)},
        r"row 7\) holds NaN or inf",
    ),
    "too long": ({"vectors": replaced(make_vectors(), (2, 1), 3e38)}, r"row 2\) is too long"),
    "attributes": ({"attributes": pa.table({"count": [1]})}, "attributes have 1 rows for 37 keys"),
    "attribute name": ({"attributes": pa.table({"vector": np.ones(N)})}, "not 'key' or 'vector'"),
    "extra name": ({"extra": {"vectors": np.ones(1)}}, "extra array 'vectors'"),
    "extra path": ({"extra": {"../x": np.ones(1)}}, "extra array '../x'"),
    "extra objects": ({"extra": {"x": np.array([None])}}, "extra array 'x' is object"),
    "extra NaN": (
        {"extra": {"x": np.array([[0, np.nan]])}},
        r"'x' holds NaN or infinity at \(0, 1\)",
    ),
    "metric": ({"metric": "manhattan"}, "metric 'manhattan' is unknown"),
    "week": ({"week": "2026-01-06"}, "week '2026-01-06' is no Monday"),
    "week form": ({"week": "20260105"}, "is no Monday"),
    "window": ({"window_weeks": 0}, "window_weeks is 0"),
    "space": ({"space": ""}, "space '' is empty"),
    "trainer": ({"trainer": {"f": print}}, "trainer cannot be written as JSON"),
    "training": ({"training": {"loss": float("nan")}}, "training cannot be written as JSON"),
}


@pytest.mark.parametrize("case", BAD_DRAFTS)
def test_a_bad_draft_is_refused_before_anything_is_written(store, tmp_path, case):
    changes, message = BAD_DRAFTS[case]
    if "keys" in changes and "vectors" not in changes:
        changes = changes | {"vectors": make_vectors(len(changes["keys"]))}
    with pytest.raises(InvalidEmbedding, match=message):
        store.publish(make_draft(**changes))
    assert not (tmp_path / "registry").exists()


def test_an_attribute_that_parquet_lacks_is_named(store, tmp_path):
    spans = pa.array([(1, 2, 3)] * N, pa.month_day_nano_interval())
    with pytest.raises(InvalidEmbedding, match=r"attributes \(spans: month_day_nano_interval\) cannot be written"):
        store.publish(make_draft(attributes=pa.table({"spans": spans})))
    assert store.names() == []
    assert not list(tmp_path.glob("registry/word/word/versions/*"))


def test_every_error_is_one_of_ours():
    from registry import errors

    tree = [value for value in vars(errors).values() if isinstance(value, type)]
    assert all(issubclass(error, RegistryError) for error in tree)
    assert issubclass(UnknownKey, NotFound)
    listed = {line.split("── ")[1].split()[0] for line in errors.__doc__.splitlines() if "──" in line}
    assert listed | {"RegistryError"} == {error.__name__ for error in tree}
    assert str(UnknownKey("a 'quoted' message")) == "a 'quoted' message"
