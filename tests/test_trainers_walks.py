"""Expected walks against walks that were really drawn, and what is trained on them."""

import numpy as np
import pyarrow as pa
import pytest
from contracts import TrainerContract, planted_table, vocabulary

from embedding_assets.records import PairTable, Vocabulary
from embedding_assets.trainers.errors import InvalidPairTable
from embedding_assets.trainers.sgns import Sgns
from embedding_assets.trainers.walk_sgns import WalkSgns
from embedding_assets.trainers.walks import expected_walks


class TestWalkSgnsContract(TrainerContract):
    trainer = WalkSgns(dim=6, epochs=3, tile=16, reach=2, walks=40, device="cpu")


def graph(edges: dict[tuple[str, str], float]) -> PairTable:
    """Rows and columns in an order of their own, as a window has them."""
    sources, destinations = sorted({a for a, _ in edges}), sorted({b for _, b in edges}, reverse=True)
    rows, columns = (
        Vocabulary(entity="user", keys=pa.array(keys), counts=np.ones(len(keys))) for keys in (sources, destinations)
    )
    return PairTable(
        rows=rows,
        columns=columns,
        row_ids=np.array([sources.index(a) for a, _ in edges], np.int32),
        col_ids=np.array([destinations.index(b) for _, b in edges], np.int32),
        counts=np.array(list(edges.values()), np.float32),
    )


#: Directed, weighted, with an end (`z`), a cycle, and someone whom nobody follows (`e`).
EDGES = {
    ("a", "b"): 3.0,
    ("a", "c"): 1.0,
    ("b", "c"): 2.0,
    ("c", "a"): 1.0,
    ("c", "z"): 1.0,
    ("e", "b"): 1.0,
    ("e", "z"): 4.0,
}


def drawn(edges: dict[tuple[str, str], float], *, reach: int, length: int, walks: int) -> dict[tuple[str, str], float]:
    """The same counts from walks, step by step."""
    rng = np.random.default_rng(3)
    onward: dict[str, tuple[list[str], list[float]]] = {}
    for (source, destination), weight in edges.items():
        onward.setdefault(source, ([], []))
        onward[source][0].append(destination)
        onward[source][1].append(weight)
    found: dict[tuple[str, str], float] = {}
    for start in [*onward] * walks:
        walk = [start]
        while len(walk) < length and walk[-1] in onward:
            names, weights = onward[walk[-1]]
            walk.append(names[rng.choice(len(names), p=np.array(weights) / sum(weights))])
        for at, center in enumerate(walk):
            for far, context in enumerate(walk[at + 1 : at + 1 + reach], start=1):
                found[center, context] = found.get((center, context), 0.0) + (reach - far + 1) / reach
    return found


def as_dict(table: PairTable) -> dict[tuple[str, str], float]:
    rows, columns = table.rows.keys.to_pylist(), table.columns.keys.to_pylist()
    triples = zip(table.row_ids, table.col_ids, table.counts.tolist(), strict=True)
    return {(rows[i], columns[j]): count for i, j, count in triples}


def test_expected_counts_are_what_drawn_walks_come_to():
    walks = 3000
    expected = as_dict(expected_walks(graph(EDGES), reach=3, length=7, walks=walks, smallest=0.0))
    counted = drawn(EDGES, reach=3, length=7, walks=walks)
    assert set(counted) == set(expected)
    for pair, count in expected.items():
        assert counted[pair] == pytest.approx(count, rel=0.06), pair


def test_one_step_far_only_edges_are_counted():
    found = as_dict(expected_walks(graph(EDGES), reach=1, length=2, walks=8, smallest=0.0))
    assert found == pytest.approx(
        {("a", "b"): 6, ("a", "c"): 2, ("b", "c"): 8, ("c", "a"): 4, ("c", "z"): 4, ("e", "b"): 1.6, ("e", "z"): 6.4}
    )


def test_a_ring_is_walked_round():
    ring = graph({(str(i), str((i + 1) % 5)): 1.0 for i in range(5)})
    found = as_dict(expected_walks(ring, reach=2, length=4, walks=10, smallest=0.0))
    # of 4 places 3 have a next one and 2 one after that, which counts half
    expected = {(str(i), str((i + 1) % 5)): 30.0 for i in range(5)}
    expected |= {(str(i), str((i + 2) % 5)): 10.0 for i in range(5)}
    assert found == pytest.approx(expected)


def test_small_counts_go_but_no_edge_does():
    whole = as_dict(expected_walks(graph(EDGES), reach=3, length=7, walks=10, smallest=0.0))
    cut = as_dict(expected_walks(graph(EDGES), reach=3, length=7, walks=10, smallest=5.0))
    assert set(EDGES) <= set(cut) < set(whole)
    assert all(count <= whole[pair] + 1e-4 for pair, count in cut.items())


def test_blocks_of_rows_change_nothing(monkeypatch):
    table = planted_table(60)
    whole = expected_walks(table, reach=3, length=9, walks=20, smallest=0.5)
    monkeypatch.setattr("embedding_assets.trainers.walks.ROWS", 7)
    parts = expected_walks(table, reach=3, length=9, walks=20, smallest=0.5)
    np.testing.assert_array_equal(whole.row_ids, parts.row_ids)
    np.testing.assert_array_equal(whole.col_ids, parts.col_ids)
    np.testing.assert_array_equal(whole.counts, parts.counts)


def test_equal_keys_of_two_entities_are_two_ids():
    table = graph(EDGES)
    sites = Vocabulary(entity="site", keys=table.columns.keys, counts=table.columns.counts)
    bipartite = PairTable(
        rows=table.rows, columns=sites, row_ids=table.row_ids, col_ids=table.col_ids, counts=table.counts
    )
    found = as_dict(expected_walks(bipartite, reach=3, length=7, walks=4, smallest=0.0))
    assert set(found) == set(EDGES)


def test_a_hub_without_edges_of_its_own_ends_the_walk():
    star = graph({(str(i), "hub"): 1.0 for i in range(6)} | {("0", "x"): 1.0})
    found = expected_walks(star, reach=4, length=9, walks=2, smallest=0.0)
    assert as_dict(found) == pytest.approx({("0", "hub"): 1, ("0", "x"): 1} | {(str(i), "hub"): 2 for i in range(1, 6)})


def test_friends_of_friends_come_near_only_on_walks():
    """Two rings of 20; each id follows the next three: ids further apart have nobody in common."""
    edges = {
        (f"{ring}{i}", f"{ring}{(i + step) % 20}"): 1.0 for ring in "ab" for i in range(20) for step in range(1, 4)
    }
    far = {}
    for trainer in (Sgns(dim=8, epochs=20, tile=8, device="cpu"), WalkSgns(dim=8, epochs=20, tile=8, device="cpu")):
        table = trainer.fit(graph(edges)).tables[0]
        place = {key: at for at, key in enumerate(table.vocabulary.keys.to_pylist())}
        unit = table.vectors - table.vectors.mean(axis=0)
        unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        seen = [unit[place[f"a{i}"]] @ unit[place[f"a{(i + 5) % 20}"]] for i in range(20)]
        far[type(trainer)] = float(np.mean(seen))
    assert far[WalkSgns] > far[Sgns] + 0.1


def test_walks_are_part_of_the_seconds():
    result = WalkSgns(dim=4, epochs=1, tile=16, device="cpu").fit(planted_table(24, 20))
    assert 0 < result.metrics["walk_seconds"] < result.seconds
    assert result.metrics["walk_pairs"] >= 24


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"reach": 0}, r"WalkSgns\.reach must be at least 1, got 0"),
        ({"reach": 40}, r"WalkSgns\.reach must be below length, 40, got 40"),
        ({"walks": 2.0}, r"WalkSgns\.walks must be an integer, got 2\.0"),
        ({"smallest": -1.0}, r"WalkSgns\.smallest must be at least 0, got -1\.0"),
        ({"smallest": float("nan")}, r"WalkSgns\.smallest must be at least 0, got nan"),
        ({"dim": 0}, r"WalkSgns\.dim must be at least 1, got 0"),
    ],
)
def test_wrong_settings_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        WalkSgns(**setting)


def test_walks_are_exact_longer_than_texts():
    shape = (50_000, 50_000)
    assert (WalkSgns().course(shape, "cpu").negatives, Sgns().course(shape, "cpu").negatives) == ("exact", "mixed")
    assert WalkSgns().course((70_000, 70_000), "cpu").negatives == "mixed"
    assert WalkSgns(negatives="sampled").course(shape, "cpu").negatives == "sampled"


def test_an_edge_of_no_weight_is_refused():
    table = graph(EDGES | {("a", "z"): 0.0})
    with pytest.raises(InvalidPairTable, match=r"counts\[7\] is 0\.0"):
        expected_walks(table, reach=2, length=4, walks=1, smallest=0.0)


def test_rows_without_edges_are_passed_over():
    table = graph(EDGES)
    rows = Vocabulary(entity="user", keys=pa.concat_arrays([table.rows.keys, pa.array(["w"])]), counts=np.ones(5))
    wider = PairTable(
        rows=rows, columns=vocabulary("user", np.ones(4)), row_ids=table.row_ids, col_ids=table.col_ids,
        counts=table.counts,
    )  # fmt: skip
    found = expected_walks(wider, reach=2, length=4, walks=1, smallest=0.0)
    assert 4 not in found.row_ids
    assert np.isfinite(found.counts).all()
