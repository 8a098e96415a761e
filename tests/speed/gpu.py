"""`python -m tests.speed.gpu [--json] [--row NAME] [--small]`: every trainer on the accelerator that jax finds.

Each row is one trainer on one synthetic table: seconds, how many times the speed of this machine's CPU, operations and
bytes a second over the chip's limits (see `gpu_costs`), and the quality that was reached. The CPU does the same work on
a smaller table, and operations a second are compared. A row trains twice: the first time shows what compiling costs.

Without an accelerator the small rows run on the CPU. Needs only jax, optax, numpy, scipy and this repository:

    pip install "jax[cuda13]" optax scipy
    python -m tests.speed.gpu --json
"""

import argparse
import dataclasses
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from embedding_assets.records import PairTable, Progress, TrainResult
from embedding_assets.trainers.als import Als
from embedding_assets.trainers.checks import Precision
from embedding_assets.trainers.devices import bfloat16_error, choose_precision, device_name, pick_device
from embedding_assets.trainers.held_out import HeldOut
from embedding_assets.trainers.matrix import as_matrix
from embedding_assets.trainers.sgns import Sgns
from embedding_assets.trainers.svd import Svd
from tests.speed.gpu_costs import Cost, als_cost, chip_of, sgns_cost, svd_cost
from tests.speed.gpu_tables import power_law_table

Trainer = Sgns | Svd | Als
#: Pairs that the objective is measured on, at most.
JUDGED_PAIRS = 500_000


class Size(NamedTuple):
    """Of a table: ids of its two sides, and pairs."""

    rows: int
    columns: int
    pairs: int


class Row(NamedTuple):
    """One line.

    Attributes:
        trainer: its settings.
        size: of the table on the accelerator.
        on_cpu: of the table on the CPU; the same, where the CPU can do it in a minute.
    """

    trainer: Trainer
    size: Size
    on_cpu: Size


# 512 rows of a tile are too little work to keep an accelerator busy; a vector is still moved some 25 to 250 times
WIDE_TILES = Sgns(epochs=2, negatives="exact", tile=4096)
ACCELERATED = dataclasses.replace(WIDE_TILES, precision="auto")
SVD, ALS = Svd(dim=64, weights="raw"), Als(dim=64, epochs=3, solver="cg")
GRAPH_1M = Size(100_000, 20_000, 1_000_000)
WORDS_8K = Size(8_192, 8_192, 1_000_000)

ROWS = {
    "sgns-100k": Row(ACCELERATED, Size(100_000, 100_000, 10_000_000), WORDS_8K),
    "sgns-100k-float32": Row(
        dataclasses.replace(WIDE_TILES, precision="float32"), Size(100_000, 100_000, 10_000_000), WORDS_8K
    ),
    "sgns-1m": Row(ACCELERATED, Size(1_000_000, 1_000_000, 50_000_000), WORDS_8K),
    "svd-10m": Row(SVD, Size(250_000, 50_000, 10_000_000), GRAPH_1M),
    "svd-100m": Row(SVD, Size(1_000_000, 200_000, 100_000_000), GRAPH_1M),
    "als-10m": Row(ALS, Size(250_000, 50_000, 10_000_000), GRAPH_1M),
    "als-100m": Row(ALS, Size(1_000_000, 200_000, 100_000_000), GRAPH_1M),
}
TINY = Size(2_000, 1_000, 40_000)
SMALL_ROWS = {
    "sgns-small": Row(Sgns(dim=32, epochs=2, negatives="exact"), TINY, TINY),
    "sgns-small-bfloat16": Row(Sgns(dim=32, epochs=2, negatives="exact", precision="bfloat16"), TINY, TINY),
    "svd-small": Row(Svd(dim=32, weights="raw"), TINY, TINY),
    "als-small": Row(Als(dim=32, epochs=2, solver="cg"), TINY, TINY),
}


class Speed(NamedTuple):
    """Of one fit on one device.

    Attributes:
        seconds: training alone.
        prepare_seconds: of checking, start and layout, most of it on the host.
        compile_seconds: of the first fit.
        cost: of the training.
        pairs: of the table.
        result: what came out, finite.
    """

    seconds: float
    prepare_seconds: float
    compile_seconds: float
    cost: Cost
    pairs: int
    result: TrainResult


def main() -> int:
    """Run the rows and print tables or, with `--json`, one object a line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.speed.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--small", action="store_true", help="tables of 40,000 pairs: seconds, also on a CPU")
    parser.add_argument("--row", action="append", help="only this row; may be repeated")
    chosen = parser.parse_args()
    found = pick_device("auto")
    small = chosen.small or found.platform == "cpu"
    rows = SMALL_ROWS if small else ROWS
    if unknown := sorted(set(chosen.row or ()) - set(rows)):
        parser.error(f"no row {', '.join(unknown)}; on {device_name(found)} there is {', '.join(rows)}")
    if found.platform == "cpu":
        print("jax finds no accelerator: the small rows run on the CPU", file=sys.stderr)
    for line in lines({name: rows[name] for name in chosen.row or rows}):
        print(json.dumps(line) if chosen.json else as_text(line), flush=True)
    return 0


def lines(rows: dict[str, Row]) -> Iterator[dict[str, Any]]:
    """One a row; tables and the CPU's runs are made once for all rows that share them."""
    tables: dict[Size, PairTable] = {}
    by_cpu: dict[tuple[Trainer, Size], Speed] = {}
    for name, row in rows.items():
        for size in set(tables) - {row.size, row.on_cpu}:
            del tables[size]  # the largest would not fit beside each other
        for size in {row.size, row.on_cpu} - set(tables):
            tables[size] = power_law_table(*size)
        on_cpu = settings_on_cpu(row.trainer)
        if (on_cpu, row.on_cpu) not in by_cpu:
            by_cpu[on_cpu, row.on_cpu] = run(on_cpu, tables[row.on_cpu])
        yield line_of(name, row, tables[row.size], by_cpu[on_cpu, row.on_cpu])


def settings_on_cpu(trainer: Trainer) -> Trainer:
    """The same work as a CPU does it best."""
    if isinstance(trainer, Sgns):
        return dataclasses.replace(trainer, device="cpu", precision="float32", tile=min(trainer.tile, 512))
    return dataclasses.replace(trainer, device="cpu")


def line_of(name: str, row: Row, table: PairTable, cpu: Speed) -> dict[str, Any]:
    """Run one row on the device that `auto` takes."""
    device = pick_device("auto")
    ours = run(row.trainer, table)
    precision = precision_of(row.trainer)
    chip = chip_of(device.device_kind)
    per_second, moved = ours.cost.flops / ours.seconds, ours.cost.bytes / ours.seconds
    peak = chip.peak(precision) if chip else None
    memory = (device.memory_stats() or {}).get("peak_bytes_in_use")
    return {
        "row": name,
        "device": device_name(device),
        "precision": precision,
        "bfloat16_error": round(bfloat16_error(device), 5),
        "pairs": len(table),
        "seconds": round(ours.seconds, 4),
        "prepare_seconds": round(ours.prepare_seconds, 4),
        "compile_seconds": round(ours.compile_seconds, 4),
        "times_cpu": round(per_second / (cpu.cost.flops / cpu.seconds), 3),
        "cpu": {"device": cpu.result.device, "pairs": cpu.pairs, "seconds": round(cpu.seconds, 4)},
        "flops": per_second,
        "flops_share": None if peak is None else round(per_second / peak, 4),
        "bytes": moved,
        "bytes_share": None if chip is None else round(moved / chip.bandwidth, 4),
        "device_bytes": memory,
        "quality": quality(row.trainer, table, ours.result),
    }


def precision_of(trainer: Trainer) -> Precision:
    """Of the trainer's products; those of SVD and ALS are always float32."""
    return choose_precision(trainer.precision, pick_device(trainer.device)) if isinstance(trainer, Sgns) else "float32"


def run(trainer: Trainer, table: PairTable) -> Speed:
    """Train twice, the second time with everything compiled.

    Raises:
        ValueError: a vector or a loss is not finite.
    """
    first = fit(trainer, table)
    result = fit(trainer, table)
    check_finite(result)
    prepared = result.metrics["prepare_seconds"]
    return Speed(
        seconds=result.seconds - result.compile_seconds - prepared,
        prepare_seconds=prepared,
        compile_seconds=first.compile_seconds,
        cost=cost_of(trainer, table, len(result.loss_curve)),
        pairs=len(table),
        result=result,
    )


def fit(trainer: Trainer, table: PairTable) -> TrainResult:
    """What `trainer.fit` does, without the terminal's bar and its library."""

    def silent(report: Progress) -> None:
        del report

    name = type(trainer).__name__.lower()
    work: Callable[..., TrainResult] = importlib.import_module(f"embedding_assets.trainers.{name}_fit").fit
    return work(trainer, table, None, None, silent)


def check_finite(result: TrainResult) -> None:
    """Raises ValueError unless all vectors and losses are finite."""
    for side, table in enumerate(result.tables):
        if broken := np.count_nonzero(~np.isfinite(table.vectors).all(axis=1)):
            raise ValueError(f"{broken} of {len(table.vectors)} vectors of side {side} are not finite")
    if not np.isfinite(result.loss_curve).all():
        raise ValueError(f"losses are not finite: {result.loss_curve}")


def cost_of(trainer: Trainer, table: PairTable, epochs: int) -> Cost:
    """Of the training alone."""
    if isinstance(trainer, Sgns):
        return sgns_cost(trainer, table.shape, len(table), epochs)
    if isinstance(trainer, Svd):
        return svd_cost(trainer, table.shape, len(table))
    return als_cost(trainer, table.shape, len(table))


def quality(trainer: Trainer, table: PairTable, result: TrainResult) -> dict[str, float]:
    """What the vectors are worth: SGNS's objective, SVD's lost energy, ALS's loss."""
    if isinstance(trainer, Sgns):
        return {"objective": round(sgns_objective(trainer, table, result), 5)}
    if isinstance(trainer, Svd):
        return {"lost_energy": round(result.metrics["lost_energy"], 5)}
    return {"first_loss": round(result.loss_curve[0], 5), "last_loss": round(result.loss_curve[-1], 5)}


def sgns_objective(trainer: Sgns, table: PairTable, result: TrainResult) -> float:
    """Mean over drawn pairs and centers, in float32 on the host, whatever precision trained; higher is better."""
    from embedding_assets.trainers.sgns_fit import noise_chances

    counts = as_matrix(table)
    rng = np.random.default_rng(0)
    drawn = np.sort(rng.choice(len(table), min(JUDGED_PAIRS, len(table)), replace=False))
    places = table.row_ids[drawn], table.col_ids[drawn]
    judged = sp.csr_array((table.counts[drawn], places), shape=table.shape)
    noise = trainer.k * noise_chances(counts, trainer.noise_exponent, table.columns.counts)
    return -HeldOut(judged, noise, rng).loss(*(side.vectors for side in result.tables))


def as_text(line: dict[str, Any]) -> str:
    """A line for people."""

    def share(of: float | None) -> str:
        return "n/a" if of is None else f"{of:.1%}"

    cpu, found = line["cpu"], ", ".join(f"{name} {value}" for name, value in line["quality"].items())
    return "\n".join(
        [
            f"{line['row']}: {line['pairs']:,} pairs on {line['device']}, {line['precision']}",
            f"  {line['seconds']:.3f} s training, {line['prepare_seconds']:.2f} s before it, "
            f"{line['compile_seconds']:.1f} s compiling at first",
            f"  {line['times_cpu']:.2f} times {cpu['device']} ({cpu['pairs']:,} pairs in {cpu['seconds']:.3f} s)",
            f"  {line['flops'] / 1e12:.3f} TFLOP/s ({share(line['flops_share'])} of the chip), "
            f"{line['bytes'] / 1e9:.1f} GB/s ({share(line['bytes_share'])})",
            f"  {found}",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
