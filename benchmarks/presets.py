"""The challenge's eight systems on one device: sizes and the order of runtimes, beside the report's Table 1.

    python benchmarks/presets.py [--python25 PYTHON] [--sweep NAME_OR_FOLDER] [--rounds 15]

Exports every candidate file of search_spaces/mai2022/ (untrained, with batch normalisation as real frames set
it; with --sweep the trained files of a finished `sweep run search_spaces/mai2022/`), compares each file with its
network, and takes latencies in turn, on one thread, under tflite-runtime and, with --python25, under TensorFlow
2.5.0's TFLite. Prints one table, and for each runtime Spearman's correlation between its order and Table 1's,
which is of a Raspberry Pi 4.
"""

import argparse
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from export_converters import WarmChild, warm_child
from export_figures import Latency, difference, latencies, torch_depth_mm
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from sweep.data import default_cache, prepare_dataset
from sweep.engine.identity import installed_versions
from sweep.export import export_network
from sweep.lifecycle.state import read_state
from sweep.models import build_network
from sweep.models.untrained import settle_batch_norm
from sweep.space.candidate_file import CandidateFile, load_candidate
from sweep.space.problems import SpaceError
from sweep.space.space import CANDIDATE
from sweep.training.checkpoint import read_checkpoint

FOLDER = Path("search_spaces/mai2022")
FRAMES = 2


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--python25", help="a Python that has TensorFlow 2.5.0")
    parser.add_argument("--sweep", help="a finished sweep over the folder, by name or path")
    parser.add_argument("--rounds", type=int, default=15, help="rounds in which latencies are taken in turn")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    frames = prepare_dataset(None, default_cache(), lambda *_: None).validation.rgb[:FRAMES]
    entries = systems(FOLDER)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="depth-sweep-benchmark-")))
        children = [stack.enter_context(warm_child(sys.executable, "latency.py", folder))]
        if arguments.python25:
            children.append(stack.enter_context(warm_child(arguments.python25, "latency.py", folder)))
        files = {
            entry.name: exported(entry, arguments.sweep, frames, folder / entry.name) for entry in entries
        }
        print_table(entries, files, children, arguments.rounds)


def systems(folder: Path) -> tuple[CandidateFile, ...]:
    """The folder's candidate files that carry published figures, fastest there first."""
    found = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            found.append(load_candidate(path))
        except SpaceError:  # a search space
            continue
    return tuple(sorted((e for e in found if e.published), key=published_ms))


def exported(
    entry: CandidateFile, sweep: str | None, frames: NDArray, folder: Path
) -> tuple[Path, float, int]:
    """The float32 file, its largest relative difference to the network, and the network's parameters."""
    torch.manual_seed(0)
    network = build_network(entry.candidate.architecture)
    if sweep is None:
        settle_batch_norm(network, frames)
    else:
        network.load_state_dict(read_checkpoint(checkpoint(sweep, entry), torch.device("cpu"))["network"])
    network.eval()
    expected_mm = torch_depth_mm(network, frames)
    made = export_network(network, folder, frames)
    return made.tflite, difference(made.tflite, frames, expected_mm).largest, made.parameters


def checkpoint(sweep: str, entry: CandidateFile) -> Path:
    """That of the candidate's complete trial."""
    directory = Path(sweep) if Path(sweep, "journal.jsonl").exists() else Path("runs") / sweep
    for trial in read_state(directory).trials.values():
        if trial.assignment.get(CANDIDATE) == entry.name and trial.final_score is not None:
            return directory / str(trial.checkpoint)
    raise SystemExit(f"{directory} has no complete trial of {entry.name}")


def print_table(
    entries: Sequence[CandidateFile],
    files: Mapping[str, tuple[Path, float, int]],
    children: Sequence[WarmChild],
    rounds: int,
) -> None:
    """A row for each system, and the correlations."""
    versions = installed_versions()
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, ", end="")
    print(", ".join(f"{name} {versions[name]}" for name in ("torch", "tflite-runtime") if name in versions))
    paths = [files[entry.name][0] for entry in entries]
    times = {
        child.runtime: latencies(child, paths, dict.fromkeys(paths, paths[0]), rounds) for child in children
    }
    heading = "".join(f" {f'ms, {runtime}':>22} {'rank':>4}" for runtime in times)
    print(
        f"{'system':<20} {'M params':>8} {'MB':>5} {'Table 1':>7} {'off':>5} {'parity':>8}{heading} {'Pi 4 ms':>8}"
    )
    ranks = {
        runtime: rankdata([milliseconds(found[path]) for path in paths]) for runtime, found in times.items()
    }
    for place, entry in enumerate(entries):
        path, parity, parameters = files[entry.name]
        assert entry.published is not None
        size = path.stat().st_size / 1e6
        off = size / entry.published.size_mb - 1
        row = f"{entry.name:<20} {parameters / 1e6:>8.2f} {size:>5.2f} {entry.published.size_mb:>7} {off:>+5.0%}"
        cells = "".join(
            f" {milliseconds(found[path]):>22.2f} {ranks[runtime][place]:>4.0f}"
            for runtime, found in times.items()
        )
        print(f"{row} {parity:>8.1e}{cells} {published_ms(entry):>8g}")
    for runtime, found in times.items():
        here = [milliseconds(found[path]) for path in paths]
        correlation = spearmanr(here, [published_ms(entry) for entry in entries]).statistic
        print(f"Spearman correlation with Table 1's order, {runtime}: {correlation:.2f}")


def milliseconds(latency: Latency | str) -> float:
    """Raises RuntimeError for a file that the runtime cannot run."""
    if isinstance(latency, str):
        raise RuntimeError(latency)
    return latency.ms


def published_ms(entry: CandidateFile) -> float:
    """Runtime on a Raspberry Pi 4 in Table 1."""
    assert entry.published is not None
    return entry.published.runtime_ms


if __name__ == "__main__":
    main()
