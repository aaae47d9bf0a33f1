"""Seconds to export a network, its checks included, in a warm process.

    python benchmarks/export.py

Four candidates drawn from the bundled space; two frames of the demo data for the parity check.
"""

import statistics
import tempfile
import time
from pathlib import Path

import torch

from sweep.data import default_cache, prepare_dataset
from sweep.export import export_network
from sweep.models import build_network
from sweep.space import RandomSuggest, load_space

ROUNDS = 5


def main() -> None:
    """Print a row per candidate: size, operators, largest relative difference, first and median warm time."""
    torch.set_num_threads(1)
    frames = prepare_dataset(None, default_cache(), lambda *_: None).validation.rgb[:2]
    space = load_space("mobilenetv3")
    print(f"{'candidate':<18} {'parameters':>10} {'MMAC':>6} {'operators':>9} {'difference':>11} {'first s':>8} "
          f"{'median s':>8}")  # fmt: skip
    for seed in range(4):
        _, candidate = space.draw(RandomSuggest(seed))
        network = build_network(candidate.architecture)
        seconds = []
        with tempfile.TemporaryDirectory(prefix="depth-sweep-benchmark-") as folder:
            for _ in range(ROUNDS):
                started = time.perf_counter()
                files = export_network(network, Path(folder), frames)
                seconds.append(time.perf_counter() - started)
        print(
            f"{candidate.hash:<18} {files.parameters:>10} {files.multiply_adds / 1e6:>6.0f} "
            f"{sum(files.operators.values()):>9} {files.parity.max_relative:>11.1e} {seconds[0]:>8.2f} "
            f"{statistics.median(seconds[1:]):>8.2f}"
        )


if __name__ == "__main__":
    main()
