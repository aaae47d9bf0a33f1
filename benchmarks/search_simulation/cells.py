"""NAS-Bench-201's 15,625 cells (Dong & Yang, ICLR 2020): structure, and latency on a Raspberry Pi 4.

A cell has six edges between four nodes, each with one of five operations. It is numbered in base five, the first
edge first. Latencies of 1,000 cells are real measurements; the others' follow from a linear model on the
operations that the board executes, times a real residual of a measured cell of about the same latency.
"""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

OPERATIONS: Final = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NONE, SKIP, CONV_1X1, CONV_3X3, POOL = range(5)
EDGES: Final = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""Each edge's nodes, in the order of NAS-Bench-201's strings; node 0 is the input, node 3 the output."""

MEASUREMENTS: Final = Path(__file__).with_name("pi4_latencies.csv")
SIMILAR: Final = 50
"""How many measured cells of the nearest modelled latency lend their residual to one without a measurement."""


@dataclass(frozen=True)
class Cells:
    """All cells; every array is indexed by the cell's number.

    Attributes:
        operations: (15625, 6), the operation of each edge.
        live: (15625, 6), the operation of each edge through which something flows from input to output, else 0.
        works: whether anything flows at all; a cell without is no network.
        depth: most convolutions in a row, 0 to 3.
        latency_ms: batch 1 on the board, 0 where nothing flows.
        modelled_ms: latency without the residual: how much there is to compute.
    """

    operations: NDArray[np.int64]
    live: NDArray[np.int64]
    works: NDArray[np.bool_]
    depth: NDArray[np.int64]
    latency_ms: NDArray[np.float64]
    modelled_ms: NDArray[np.float64]

    @property
    def median_epoch_s(self) -> float:
        """GPU-seconds of one epoch of a median network."""
        return epoch_seconds(float(np.median(self.modelled_ms[self.works])))


def epoch_seconds(modelled_ms: float) -> float:
    """GPU-seconds of one epoch: a fixed part, and one by how much there is to compute."""
    return 15.0 + 1.5 * modelled_ms


def number_of(operations: tuple[str, ...]) -> int:
    """The cell's number; ``operations`` are the names of the six edges' operations."""
    number = 0
    for name in operations:
        number = number * len(OPERATIONS) + OPERATIONS.index(name)
    return number


@cache
def load_cells() -> Cells:
    """The table of all cells; the same in every process."""
    numbers = np.arange(len(OPERATIONS) ** len(EDGES))
    operations = np.stack([numbers // 5 ** (5 - edge) % 5 for edge in range(6)], axis=1)
    reached, used = _reached(operations), _used(operations)
    live = np.stack(
        [operations[:, e] * reached[:, a] * used[:, b] for e, (a, b) in enumerate(EDGES)],
        axis=1,
    )
    works = reached[:, 3]
    executed = np.stack([operations[:, e] * used[:, b] for e, (_, b) in enumerate(EDGES)], axis=1)
    measured = read_measurements()
    modelled_ms = _fit(executed, works, measured)
    latency_ms = np.where(works, modelled_ms * _residuals(modelled_ms, works, measured), 0.0)
    for cell, measured_ms in measured.items():
        latency_ms[cell] = measured_ms if works[cell] else 0.0
    return Cells(operations, live, works, _depth(live), latency_ms, modelled_ms)


@cache
def read_measurements() -> dict[int, float]:
    """The real latencies in milliseconds, by cell."""
    with MEASUREMENTS.open() as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return {int(row["cell"], 5): float(row["latency_ms"]) for row in rows}


def _reached(operations: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(cells, 4): whether the input reaches each node."""
    reached = np.zeros((len(operations), 4), bool)
    reached[:, 0] = True
    for edge, (start, end) in enumerate(EDGES):  # ordered by end, and every edge leads to a higher node
        reached[:, end] |= reached[:, start] & (operations[:, edge] != NONE)
    return reached


def _used(operations: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(cells, 4): whether each node's value reaches the output; what does not is never executed."""
    used = np.zeros((len(operations), 4), bool)
    used[:, 3] = True
    for edge, (start, end) in reversed(tuple(enumerate(EDGES))):
        used[:, start] |= used[:, end] & (operations[:, edge] != NONE)
    return used


def _depth(live: NDArray[np.int64]) -> NDArray[np.int64]:
    """Most convolutions on a way from input to output."""
    depth = np.full((len(live), 4), -9)
    depth[:, 0] = 0
    for edge, (start, end) in enumerate(EDGES):
        step = depth[:, start] + np.isin(live[:, edge], (CONV_1X1, CONV_3X3))
        depth[:, end] = np.maximum(depth[:, end], np.where(live[:, edge] != NONE, step, -9))
    return np.maximum(depth[:, 3], 0)


def _fit(
    executed: NDArray[np.int64], works: NDArray[np.bool_], measured: dict[int, float]
) -> NDArray[np.float64]:
    """Least squares of relative errors on how often each operation is executed."""
    counts = np.stack([np.ones(len(executed)), *((executed == op).sum(1) for op in range(1, 5))], axis=1)
    known = np.array([cell for cell in measured if works[cell]])
    target = np.array([measured[int(cell)] for cell in known])
    weights, *_ = np.linalg.lstsq(counts[known] / target[:, None], np.ones(len(known)), rcond=None)
    return np.asarray(counts @ weights, dtype=np.float64)


def _residuals(
    modelled_ms: NDArray[np.float64], works: NDArray[np.bool_], measured: dict[int, float]
) -> NDArray[np.float64]:
    """Measured over modelled latency of a similar cell, drawn once and for all."""
    known = np.array(sorted((cell for cell in measured if works[cell]), key=lambda cell: modelled_ms[cell]))
    ratios = np.array([measured[int(cell)] for cell in known]) / modelled_ms[known]
    position = np.searchsorted(modelled_ms[known], modelled_ms) - SIMILAR // 2
    first = np.clip(position, 0, len(known) - SIMILAR)
    drawn = np.random.default_rng(201).integers(0, SIMILAR, len(modelled_ms))
    return np.asarray(ratios[first + drawn], dtype=np.float64)
