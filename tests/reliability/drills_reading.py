"""R8 to R11, R15 and R21: damaged files, forged manifests, bad questions, hostile names, planted code.

What is asked for in each is a typed error of the registry, before any parser: no crash and no silent answer.
"""

import itertools
import pickle  # noqa: TID251 - to plant what must never be loaded
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from registry_samples import D, N, make_draft, make_keys, make_vectors
from reliability.damage import HOSTILE, READS, damageable, digest_of, folder_of, mutate, rewrite

from registry import Store, Version, layout, open_registry
from registry.errors import (
    BadReference,
    Corrupt,
    InvalidEmbedding,
    InvalidName,
    InvalidQuery,
    NotFound,
    RegistryError,
    UnknownKey,
)

Drilled = tuple[int, list[str]]
Change = Callable[[dict[str, Any], Path], object]
Forgery = tuple[str, Change, Callable[[Version], object]]
CODE = Path(__file__).resolve().parents[2]
PACKAGES = ("registry", "resources", "benchmarks", "embedding_assets")


@contextmanager
def new_store() -> Iterator[Store]:
    """A registry in a folder of its own, below another one that must stay empty beside it."""
    with tempfile.TemporaryDirectory(prefix="drill-") as path:
        yield open_registry(Path(path) / "registry")


def refused(errors: type[Exception] | tuple[type[Exception], ...], work: Callable[[], object]) -> str | None:
    """None where `work` raises one of the errors; else what it did."""
    try:
        answer = work()
    except errors:
        return None
    except Exception as error:  # whatever it is, it is what the drill looks for
        return f"{type(error).__name__}: {error}"
    return f"a silent answer: {answer!r:.200}"


def damaged_indexes(times: int) -> Drilled:
    """R8: the forest and the graph, damaged in every way, are never asked."""
    reads = {
        layout.INDEX: READS[layout.INDEX],
        layout.GRAPH: lambda version: version.neighbors("key3", plan="hnsw"),
    }
    return _damaged(times, reads, graph=True)


def damaged_files(times: int) -> Drilled:
    """R9: Parquet, safetensors, key index, composer, lineage, manifest and log entry."""
    reads = {name: read for name, read in READS.items() if name != layout.INDEX}
    return _damaged(times, {**reads, layout.MANIFEST: len, "00000001.json": len}, graph=False)


def _damaged(times: int, reads: dict[str, Callable[[Version], object]], *, graph: bool) -> Drilled:
    rng, problems = np.random.default_rng(0), []
    with new_store() as store:
        folder = folder_of(store, store.publish(damageable(graph=graph)))
        paths = {name: folder / name for name in reads} | {"00000001.json": folder.parents[1] / "log/00000001.json"}
        for number in range(times):
            name = list(reads)[number % len(reads)]
            whole = paths[name].read_bytes()
            paths[name].write_bytes(mutate(whole, rng))
            problem = refused(Corrupt, lambda name=name: reads[name](open_registry(store.root)["word/word"]))
            problems += [f"{number}, {name}: {problem}"] if problem else []
            problems += [f"{number}, {name}: verify() found nothing"] if open_registry(store.root).verify().ok else []
            paths[name].write_bytes(whole)
        if not store.verify().ok:
            problems.append("the files put back do not verify")
    return times, problems


def contradictions(times: int) -> Drilled:
    """R10: manifests, with right checksums, whose sizes or settings are not those of the files."""
    forgeries = [*_wrong_sizes(), *_wrong_indexes(), *_wrong_fields()][:times]
    problems = []
    for name, change, read in forgeries:
        with new_store() as store:
            opened = rewrite(store, store.publish(damageable(graph=True)), change)
            problem = refused(Corrupt, lambda read=read, opened=opened: read(opened["word/word"]))
            problems += [f"{name}: {problem}"] if problem else []
    return len(forgeries), problems


def _wrong_sizes() -> Iterator[Forgery]:
    sizes = {"dim": (D - 1, D + 1, 0, 10**9), "count": (N - 1, N + 1, 0, 10**9)}
    for field, values in sizes.items():
        for value in values:
            for file in (layout.TABLE, layout.KEYS, layout.VECTORS) if field == "count" else (layout.TABLE,):
                yield f"{field} {value}, {file}", _set(**{field: value}), READS[file]


def _wrong_indexes() -> Iterator[Forgery]:
    for width in (D - 1, D + 1, 1, 4 * D):
        for space in ("angular", "euclidean"):
            yield f"index {width} {space}", _set_index(width=width, space=space), READS[layout.INDEX]
            yield f"graph {width} {space}", _set_index(width=width, space=space), _ask_graph
    yield "index of another space", _set_index(space="euclidean"), READS[layout.INDEX]


def _wrong_fields() -> Iterator[Forgery]:
    for field in ("dim", "count", "metric", "space", "files", "index", "week", "schema", "trainer"):
        yield f"no {field}", lambda manifest, _, field=field: manifest.pop(field), len
    for name in ("../../../secret", "/etc/passwd", "a/b", "..", ".", "x\0y", "extra.bin"):
        yield f"names {name!r}", _name_file(name), len
    for name in READS:
        yield f"does not name {name}", lambda manifest, _, name=name: manifest["files"].pop(name), len
    yield "a graph without its file", lambda manifest, _: manifest["files"].pop(layout.GRAPH), len
    yield "a file without its graph", _set(graph=None), len


def _set(**fields: object) -> Change:
    return lambda manifest, _: manifest.update(fields)


def _set_index(**fields: object) -> Change:
    return lambda manifest, _: manifest["index"].update(fields)


def _name_file(name: str) -> Change:
    return lambda manifest, _: manifest["files"].update({name: manifest["files"][layout.KEYS]})


def _ask_graph(version: Version) -> object:
    return version.neighbors("key3", plan="hnsw")


def bad_questions(times: int) -> Drilled:
    """R11: questions without a meaningful answer, each wrong in one random way."""
    rng, problems = np.random.default_rng(0), []
    with new_store() as store:
        version = store.publish(damageable())
        for number in range(times):
            name, work = _bad_question(version, rng)
            problem = refused((InvalidQuery, UnknownKey), work)
            problems += [f"{number}, {name}: {problem}"] if problem else []
    return times, problems


def _bad_question(version: Version, rng: np.random.Generator) -> tuple[str, Callable[[], object]]:
    count, at = int(rng.integers(1, 90)), rng.integers(0, D)
    vectors = rng.normal(size=(count, D)).astype(np.float32)
    broken = vectors.copy()
    broken[rng.integers(0, count), at] = rng.choice([np.nan, np.inf, -np.inf, 3e38])
    width = int(rng.choice([0, *range(1, D), *range(D + 1, 3 * D)]))
    stranger = rng.bytes(int(rng.integers(0, 300))).decode("latin-1") + "?"
    strange = [str(key) for key in rng.permutation(version.keys().to_pylist())[:count]] + [stranger]
    plan = str(rng.choice(["auto", "exact", "annoy"]))
    questions: dict[str, Callable[[], object]] = {
        "not finite": lambda: version.neighbors(broken, k=3, plan=plan),
        "width": lambda: version.neighbors(np.ones((count, width)), k=3, plan=plan),
        "axes": lambda: version.neighbors(np.ones((count, 1, D)), k=3, plan=plan),
        "k too small": lambda: version.neighbors(vectors, k=-int(rng.integers(0, 99)), plan=plan),
        "k too large": lambda: version.neighbors(vectors, k=N + 1 + int(rng.integers(0, 99)), plan=plan),
        "k over own": lambda: version.neighbors("key3", k=N, plan=plan),
        "k over filter": lambda: version.neighbors(vectors, k=4, where="count < 3", plan=plan),
        "k is no number": lambda: version.neighbors(vectors, k=rng.choice([1.0, np.nan]), plan=plan),
        "unknown key": lambda: version.neighbors(strange, k=3, plan=plan),
        "unknown lookup": lambda: version.lookup(strange),
        "numbers as keys": lambda: version.lookup(rng.integers(0, 9, count)),
        "recall": lambda: version.neighbors(vectors, recall=float(rng.choice([0, -1, 1.5, np.nan]))),
        "metric": lambda: version.neighbors(vectors, metric=stranger),
        "filter": lambda: version.neighbors(vectors, k=1, where=f"count < {stranger} ("),
    }
    name = str(rng.choice(list(questions)))
    return name, questions[name]


def hostile_names(times: int) -> Drilled:
    """R15: names, weeks, references and keys that try to leave their place; nothing outside the root may change."""
    problems = []
    for payload in itertools.islice(hostile_payloads(), times):
        with new_store() as store:
            works = {
                "entity": lambda payload=payload, store=store: store.publish(make_draft(entity=payload)),
                "name": lambda payload=payload, store=store: store.publish(make_draft(name=payload)),
                "week": lambda payload=payload, store=store: store.publish(make_draft(week=payload or "x")),
                "reference": lambda payload=payload, store=store: store[f"{payload}/word"],
                "selector": lambda payload=payload, store=store: store[f"word/word@{payload}"],
            }
            errors = (InvalidName, InvalidEmbedding, BadReference, NotFound)
            found = {name: refused(errors, work) for name, work in works.items()}
            problems += [f"{payload!a:.60} as {name}: {problem}" for name, problem in found.items() if problem]
            problems += _as_key(store, payload)
            beside = [path.name for path in Path(store.root).parent.iterdir() if path.name != "registry"]
            problems += [f"{payload!a:.60} made {beside}"] if beside else []
    return times, problems


def hostile_payloads() -> Iterator[object]:
    """The fixed ones, then wilder ones made of them."""
    yield from HOSTILE
    texts = [text for text in HOSTILE if isinstance(text, str)]
    rng = np.random.default_rng(0)
    while True:
        yield "".join(str(rng.choice(texts)) for _ in range(rng.integers(2, 6))) + "/.."


def _as_key(store: Store, payload: object) -> list[str]:
    """A key is a value: it is kept as it is, or refused where it is empty, too long or has a NUL."""
    if not isinstance(payload, str):
        return []
    allowed = 0 < len(payload.encode()) <= 256 and "\0" not in payload
    draft = make_draft(keys=pa.array([*make_keys().to_pylist()[1:], payload]), vectors=make_vectors())
    if not allowed:
        problem = refused(InvalidEmbedding, lambda: store.publish(draft))
        return [f"{payload!a:.60} as a key: {problem}"] if problem else []
    version = store.publish(draft)
    same = version.keys()[-1].as_py() == payload and (version.lookup(payload) == make_vectors()[-1:]).all()
    return [] if same else [f"{payload!a:.60} did not come back as the key that it was"]


class Planted:
    """Unpickling one makes a file: the mark that code in data was run."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


def planted_code(times: int) -> Drilled:
    """R21: a pickle in the place of every file, checksums right, is never run; nor does our code load one anywhere."""
    tried, problems = 0, [f"{line} can load code" for line in loaders()]
    for _ in range(max(times // len(READS), 1)):
        for name, read in READS.items():
            with new_store() as store:
                tried += 1
                mark = Path(store.root) / "mark"
                _plant(store, name, mark)
                problem = refused(
                    RegistryError, lambda read=read, root=store.root: read(open_registry(root)["word/word"])
                )
                # pyarrow's own refusal of a file that is no Parquet is a clear one too
                problems += [f"{name}: {problem}"] if problem and "ArrowInvalid" not in problem else []
                problems += [f"{name}: planted code was run"] if mark.exists() else []
    return tried, problems


def _plant(store: Store, name: str, mark: Path) -> None:
    def change(manifest: dict, folder: Path) -> None:
        (folder / name).write_bytes(pickle.dumps(Planted(mark)))
        manifest["files"][name] = digest_of(folder / name)

    rewrite(store, store.publish(damageable()), change)


_LOADERS = re.compile(
    r"\b(pickle|cloudpickle|joblib|dill|shelve|marshal)\b\s*(\.|import|$)|^\s*(import|from)\s+(pickle|joblib|dill|shelve|marshal)"
    r"|yaml\.(unsafe_)?load\(|allow_pickle\s*=\s*True|\b(eval|exec)\("
)


def loaders() -> Iterator[str]:
    """Lines of our own code that could run what they load."""
    for package in PACKAGES:
        for path in sorted((CODE / package).rglob("*.py")):
            for number, line in enumerate(path.read_text().splitlines(), start=1):
                if _LOADERS.search(line):
                    yield f"{path.relative_to(CODE)}:{number}: {line.strip()}"


DRILLS = {
    "R8": (damaged_indexes, 500),
    "R9": (damaged_files, 500),
    "R10": (contradictions, 100),
    "R11": (bad_questions, 5000),
    "R15": (hostile_names, 200),
    "R21": (planted_code, 60),
}
