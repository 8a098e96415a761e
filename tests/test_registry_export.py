import hashlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from registry_samples import D, N, make_draft, make_keys, make_vectors

from registry import open_registry
from registry.compose import jax_bag
from registry.compose.export import load_bag
from registry.compose.jax_bag import load_jax_bag
from registry.errors import Corrupt, InvalidName, InvalidQuery, MissingExtra, TargetExists
from registry.logs.documents import dump
from registry.records import ComposerSpec
from registry.storage.local import Disk
from registry.tables.tensors import map_tensors

COUNTS = pa.table({"count": np.arange(1, N + 1)})
BAGS = [{"key3": 2.0, "key7": 1.0, "nokey": 0.5}, {}, {"nokey": 1.0}, {"木key12": 1e-3, "key11": 5.0, "key15": 0.0}]
SPECS = [
    ComposerSpec(),
    ComposerSpec(combine="sum", missing="mean"),
    ComposerSpec(weighting="idf", missing="zero", normalize="l2"),
    ComposerSpec(weighting="column", missing="mean"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return open_registry(tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="module")
def version(store):
    return store.publish(make_draft(attributes=COUNTS))


@pytest.fixture(scope="module")
def versions(store):
    drafts = (make_draft(name=f"spec{i}", composer=spec, attributes=COUNTS) for i, spec in enumerate(SPECS))
    return [store.publish(draft) for draft in drafts]


@pytest.mark.parametrize("number", range(len(SPECS)))
def test_a_bag_composes_like_its_source_without_the_registry(versions, number, tmp_path):
    path = tmp_path / "bag.safetensors"
    assert versions[number].export(path) == [path]
    loaded, source = load_bag(path).compose(BAGS), versions[number].compose(BAGS)
    np.testing.assert_array_equal(loaded.vectors, source.vectors)
    np.testing.assert_array_equal(loaded.coverage, source.coverage)
    assert (loaded.unknown, loaded.space, loaded.reference) == (source.unknown, source.space, source.reference)
    assert load_bag(path).spec == SPECS[number]


def test_a_bag_is_plain_safetensors(version, tmp_path):
    [path] = version.export(tmp_path / "bag.safetensors")
    tensors = map_tensors(path)
    np.testing.assert_array_equal(tensors["vectors"], make_vectors())
    text, offsets = tensors["key_text"].tobytes(), tensors["key_offsets"]
    assert [text[a:b].decode() for a, b in itertools.pairwise(offsets)] == make_keys().to_pylist()


def test_every_altered_byte_of_a_bag_is_noticed(version, tmp_path, rng):
    [path] = version.export(tmp_path / "bag.safetensors")
    whole = path.read_bytes()
    header = 8 + len(whole[8 : 8 + int.from_bytes(whole[:8], "little")].rstrip())
    used = [*range(header), *range(8 + int.from_bytes(whole[:8], "little"), len(whole))]  # not the padding
    for at in rng.choice(used, 150, replace=False):
        altered = bytearray(whole)
        altered[at] ^= 1 << rng.integers(8)
        path.write_bytes(altered)
        with pytest.raises(Corrupt, match=r"bag\.safetensors"):
            load_bag(path)
    for size in (0, 5, 4096, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(Corrupt):
            load_bag(path)


def test_the_parquet_export_is_the_table(version, tmp_path):
    [path] = version.export(tmp_path / "words.parquet")
    assert pq.read_table(path).equals(version.table())


def test_word2vec_text_is_what_gensim_reads(store, tmp_path):
    gensim = pytest.importorskip("gensim.models")
    keys = ["the", "木", "a\tb", "é\u3000x", "#tag", *[f"k{i}" for i in range(5000)]]
    vectors = make_vectors(len(keys)) * np.float32(1e-3)
    vectors[0] = [0, -0.0, 1e-30, 3e15, 1 / 3]
    [path] = store.publish(make_draft(name="text", keys=pa.array(keys), vectors=vectors)).export(tmp_path / "w2v.txt")
    read = gensim.KeyedVectors.load_word2vec_format(path, binary=False)
    assert read.index_to_key == keys
    np.testing.assert_array_equal(read.vectors, vectors)
    assert path.read_bytes().startswith(f"{len(keys)} {D}\nthe 0 -0 1e-30 3e+15 0.333".encode())


def test_word2vec_text_refuses_keys_that_it_would_tear(store, tmp_path):
    keys = pa.array(["new york", "line\nbreak", "fine", *[f"k{i}" for i in range(N - 3)]])
    version = store.publish(make_draft(name="phrases", keys=keys))
    with pytest.raises(InvalidQuery, match=f"2 of {N} keys hold a space or a line break, first 'new york'"):
        version.export(tmp_path / "w2v.txt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x.safetensors", "x.txt", "x.parquet"])
def test_nothing_is_overwritten_unless_asked(store, version, name, tmp_path):
    plain = store.publish(make_draft(name="plain", keys=pa.array([f"k{i}" for i in range(N)])))
    path = tmp_path / name
    path.write_text("mine")
    with pytest.raises(TargetExists, match=f"{name} exists; choose another path, or pass overwrite=True"):
        plain.export(path)
    assert path.read_text() == "mine"
    plain.export(path, overwrite=True)
    assert path.stat().st_size > 500
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_failed_export_leaves_nothing_behind(version, tmp_path, monkeypatch):
    path = tmp_path / "x.parquet"
    path.write_text("mine")

    def full(self, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Disk, "sync", full)
    with pytest.raises(OSError, match="No space left"):
        version.export(path, overwrite=True)
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("path", "file_format", "message"),
    [
        ("x.csv", None, r"suffix '.csv' is unknown; use one of .safetensors \(safetensors\), .txt \(word2vec\)"),
        ("x", None, "suffix '' is unknown"),
        ("x.txt", "csv", "format 'csv' is unknown"),
        ("no/x.txt", None, "no/x.txt' lies in no local folder that exists"),
        ("", "parquet", "is a folder; give the path of a file"),
        ("s3://bucket/x.txt", None, "s3://bucket/x.txt' lies in no local folder"),
    ],
)
def test_an_export_that_cannot_be_is_refused(version, path, file_format, message, tmp_path):
    with pytest.raises(InvalidName, match=message):
        version.export(path if "://" in path else tmp_path / path, file_format)


def test_the_format_may_be_said_instead_of_the_suffix(version, tmp_path):
    [path] = version.export(tmp_path / "table.data", "parquet")
    assert pq.read_metadata(path).num_rows == N


@pytest.mark.parametrize("number", range(len(SPECS)))
def test_the_jax_artefact_composes_like_its_source(versions, number, tmp_path):
    pytest.importorskip("flatbuffers")
    artefact, bag = tmp_path / "model.jaxexp", tmp_path / "model.safetensors"
    assert versions[number].export(artefact) == [bag, artefact]
    assert artefact.stat().st_size < 40_000  # the table is an argument, not a constant
    assert str(Path(jax_bag.__file__).parent).encode() not in artefact.read_bytes()
    loaded = load_jax_bag(artefact)
    assert not loaded.rebuilt
    for bags in (BAGS, BAGS[:1], []):
        ours, source = loaded.compose(bags), versions[number].compose(bags)
        np.testing.assert_allclose(ours.vectors, source.vectors, atol=1e-6)
        np.testing.assert_allclose(ours.coverage, source.coverage, atol=1e-6)
        assert ours.unknown == source.unknown


@pytest.fixture
def artefact(version, tmp_path):
    pytest.importorskip("flatbuffers")
    return version.export(tmp_path / "model.jaxexp")[1]


def test_the_artefact_masks_ids_that_no_table_has(artefact):
    loaded = load_jax_bag(artefact)
    rows = np.array([[3, N, -1, 10**6]], np.int32)
    vectors, coverage = loaded.exported.call(loaded.parameters, rows, np.ones((1, 4), np.float32))
    np.testing.assert_allclose(vectors, make_vectors()[3:4], rtol=1e-6)
    assert float(coverage[0]) == 0.25


@pytest.mark.parametrize("damage", ["missing", "flipped", "empty", "of another release"])
def test_an_artefact_that_does_not_load_is_rebuilt(artefact, version, damage):
    whole = artefact.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 4
    expired = b"\x04" + bytes(99)  # well sealed, but nothing that this jax can read
    seal = hashlib.sha256(expired + dump(ComposerSpec())).digest()
    data = {"flipped": flipped, "empty": b"", "of another release": expired + seal}
    artefact.unlink()
    if damage != "missing":
        artefact.write_bytes(data[damage])
    rebuilt = load_jax_bag(artefact)
    assert rebuilt.rebuilt
    np.testing.assert_allclose(rebuilt.compose(BAGS).vectors, version.compose(BAGS).vectors, atol=1e-6)
    assert artefact.read_bytes() == whole
    assert not load_jax_bag(artefact).rebuilt


def test_jax_alone_reads_the_artefact(artefact):
    from jax import export

    exported = export.deserialize(bytearray(artefact.read_bytes()))
    assert [str(shape.shape) for shape in exported.in_avals][-2:] == ["(b, l)", "(b, l)"]


def test_an_artefact_without_its_table_is_corrupt(artefact):
    artefact.with_suffix(".safetensors").unlink()
    with pytest.raises(Corrupt, match=r"model\.safetensors is missing"):
        load_jax_bag(artefact)


def test_neither_file_of_an_artefact_is_overwritten(artefact, version):
    artefact.unlink()
    with pytest.raises(TargetExists, match=r"model\.safetensors exists"):
        version.export(artefact)
    assert len(version.export(artefact, overwrite=True)) == 2


def test_a_missing_library_names_its_extra(version, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'embedding-assets\[export\]'"):
        version.export(tmp_path / "model.jaxexp")
    assert list(tmp_path.iterdir()) == []


def test_a_bag_loads_without_jax(version, tmp_path):
    version.export(tmp_path / "bag.safetensors")
    code = (
        "import sys; from registry.compose.export import load_bag;"
        "print(load_bag('bag.safetensors').compose([['key3']]).vectors.shape, 'jax' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.split(") ") == ["(1, 5", "False\n"]


def test_an_artefact_beside_the_table_of_another_spec_is_rebuilt(artefact, versions):
    versions[1].export(artefact.with_suffix(".safetensors"), overwrite=True)
    loaded = load_jax_bag(artefact)
    assert loaded.rebuilt
    np.testing.assert_allclose(loaded.compose(BAGS).vectors, versions[1].compose(BAGS).vectors, atol=1e-6)
    assert not load_jax_bag(artefact).rebuilt


@pytest.mark.parametrize("number", range(len(SPECS)))
@pytest.mark.parametrize("weight", [1e-50, 1e39])
def test_jax_takes_the_weights_that_float32_has_not(versions, number, weight, tmp_path):
    pytest.importorskip("flatbuffers")
    loaded = load_jax_bag(versions[number].export(tmp_path / "model.jaxexp")[1])
    bags = [{"key3": weight, "key7": 3 * weight, "nokey": weight}, {"key3": 1.0}]
    if SPECS[number].combine == "sum" and weight > 1:
        for composer in (loaded, versions[number]):
            with pytest.raises(InvalidQuery, match="bag 0: its vector is too long for float32"):
                composer.compose(bags)
        return
    ours, source = loaded.compose(bags), versions[number].compose(bags)
    np.testing.assert_allclose(ours.vectors, source.vectors, atol=1e-6)
    np.testing.assert_allclose(ours.coverage, source.coverage, atol=1e-6)


def test_an_artefact_does_not_overwrite_its_own_table(version, tmp_path):
    with pytest.raises(InvalidName, match=r"call the artefact x\.jaxexp"):
        version.export(tmp_path / "x.safetensors", "jaxexp", overwrite=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header["vectors"].update(shape=[D, N]),
        lambda header: header["vectors"].update(dtype="I32"),
        lambda header: header["vectors"].update(shape=[2**70]),
        lambda header: header["__metadata__"].update(bag=5),
        lambda header: header["__metadata__"].update(bag="\ud800"),
        lambda header: header["__metadata__"].update(bag='{"record": {"a": NaN}, "sha256": "x"}'),
        lambda header: header["__metadata__"].update(bag='{"record": {"a": "\\ud800"}, "sha256": "x"}'),
    ],
)
def test_a_bag_with_an_edited_header_is_corrupt(version, change, tmp_path):
    [path] = version.export(tmp_path / "bag.safetensors")
    whole = path.read_bytes()
    end = 8 + int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8:end])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + whole[end:])
    with pytest.raises(Corrupt, match=r"bag\.safetensors"):
        load_bag(path)
