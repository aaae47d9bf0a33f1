"""The project's search against its rivals, on simulated problems and at equal GPU time.

    python benchmarks/search.py [--seeds 30] [--jobs 2] [--out runs.jsonl] [--ablate] [--admission]

A network of a NAS-Bench-201 cell and its training recipe are searched for the highest Final Score, with four
GPUs and three boards in virtual time. Latencies are real measurements of a Raspberry Pi 4; learning curves are
formulas: four landscapes under three noise regimes (see `search_simulation`), each seed an instance of its own.
The project's search is the real one: driver, ledger, planner and proposer; only the work and the clock are
simulated. Rivals are stock Ray Tune (`OptunaSearch` and ASHA), plain Optuna (TPE and successive halving, the
best of Optuna's pruners here), a Gaussian process on full trainings, and random search.

Everybody spends the same GPU-seconds. What is told is the true score, as a share of the best in the whole space,
of the candidate that the method's own leaderboard puts first. Differences are paired: both methods saw the same
problem and, for equal candidates, the same noise. With ``--out`` a campaign that was broken off goes on.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from farm_process import machine, print_table
from search_simulation import tables
from search_simulation.campaign import Result, Task, run_all
from search_simulation.configurations import ABLATIONS, ADMISSION, RIVALS, all_methods
from search_simulation.landscapes import LANDSCAPES
from search_simulation.problems import NOISES

OURS = "ours"
STOCK = "stock"


def main() -> None:
    """Run what is asked for and print the tables."""
    options = _options()
    tasks = list(_tasks(options))
    started = time.perf_counter()
    results: list[Result] = []
    for result in run_all(tasks, options.jobs, options.out):
        results.append(result)
        if len(results) % 100 == 0:
            print(f"{len(results)} of {len(tasks)} runs, {time.perf_counter() - started:.0f} s", flush=True)
    print(f"\n{machine()}; {len(results)} runs in {time.perf_counter() - started:.0f} s\n")
    report(results, options)


def report(results: Sequence[Result], options: argparse.Namespace) -> None:
    """Print the tables."""
    groups = tables.groups_of(results)
    print_table(tables.comparison(groups, OURS, STOCK, options.methods))
    print()
    if options.ablate:
        print_table(tables.ablation(groups, OURS, tuple(ABLATIONS)))
        print()
    if options.admission:
        print_table(tables.admission(groups, OURS, tuple(ADMISSION)))
        print()
    print_table(tables.effort(groups, _methods(options)))


def _tasks(options: argparse.Namespace) -> Iterator[Task]:
    """All problems of a seed before the next seed, so that a campaign broken off tells of all of them."""
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for landscape in LANDSCAPES:
            for noise in NOISES:
                if options.problems and not {landscape, noise, f"{landscape}-{noise}"} & set(
                    options.problems
                ):
                    continue
                for method in _methods(options):
                    if method != "gp" or seed < options.first_seed + options.gp_seeds:
                        yield Task(landscape, noise, seed, method)


def _methods(options: argparse.Namespace) -> tuple[str, ...]:
    chosen = [*options.methods]
    chosen += ABLATIONS if options.ablate else ()
    chosen += ADMISSION if options.admission else ()
    return tuple(dict.fromkeys(chosen))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=30, help="instances of each problem (30)")
    parser.add_argument("--first-seed", type=int, default=0, help="tune on 100000 and up; figures start at 0")
    parser.add_argument("--gp-seeds", type=int, default=10, help="likewise for gp, which is slow (10)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument(
        "--problems",
        nargs="+",
        choices=[*LANDSCAPES, *NOISES, *(f"{land}-{noise}" for land in LANDSCAPES for noise in NOISES)],
        help="landscapes, noise regimes, or both; absent: all twelve",
    )
    parser.add_argument("--methods", nargs="+", choices=sorted(all_methods()), default=[OURS, *RIVALS])
    parser.add_argument("--ablate", action="store_true", help="also ours with one part exchanged")
    parser.add_argument("--admission", action="store_true", help="also ours with admission by latency")
    parser.add_argument("--out", type=Path, help="JSON lines to add results to, and to go on from")
    return parser.parse_args()


if __name__ == "__main__":
    main()
