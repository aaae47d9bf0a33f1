"""The tables that are printed: rows of text from results."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from .campaign import Result
from .statistics import Interval, median_curve, median_share, paired_difference

Row = tuple[str, ...]
Rows = Sequence[Row]

Case = tuple[str, str, int]
"""Landscape, noise and seed: what a pair has in common."""

OVERALL = "all"


@dataclass(frozen=True)
class Group:
    """Results that are told together, by method and case."""

    name: str
    results: Mapping[str, Mapping[Case, Result]]

    def medians(self, methods: Sequence[str]) -> Row:
        """The median share of the optimum that each method reached."""
        return tuple(self._median(method) for method in methods)

    def _median(self, method: str) -> str:
        results = self.results.get(method, {})
        return f"{median(result.curve.final for result in results.values()):.3f}" if results else "-"

    def pairs(self, one: str, other: str) -> list[tuple[Result, Result]]:
        """What both methods did, case by case."""
        first, second = self.results.get(one, {}), self.results.get(other, {})
        return [(first[case], second[case]) for case in sorted(first) if case in second]


def groups_of(results: Sequence[Result]) -> list[Group]:
    """One group for each landscape and noise, one for each landscape, and one of all."""
    by_name: dict[str, dict[str, dict[Case, Result]]] = defaultdict(lambda: defaultdict(dict))
    for result in results:
        task = result.task
        for name in (f"{task.landscape}, {task.noise}", task.landscape, OVERALL):
            by_name[name][task.method][task.landscape, task.noise, task.seed] = result
    names = sorted(by_name, key=lambda name: (name == OVERALL, ", " not in name, name))
    return [Group(name, by_name[name]) for name in names]


def comparison(groups: Sequence[Group], ours: str, theirs: str, methods: Sequence[str]) -> Rows:
    """Median shares of the optimum, how far ``ours`` is above ``theirs``, and the GPU time until it is."""
    head: Row = (
        "problem",
        *methods,
        "of medians",
        "paired, 95 %",
        "GPU time, median run",
        "GPU time, median curve",
    )
    return [
        head,
        *((group.name, *group.medians(methods), *_against(group, ours, theirs)) for group in groups),
    ]


def _against(group: Group, ours: str, theirs: str) -> Row:
    pairs = group.pairs(ours, theirs)
    if not pairs:
        return ("-",) * 4
    mine = [one.curve for one, _ in pairs]
    rival = [other.curve for _, other in pairs]
    medians = median(c.final for c in mine) / median(c.final for c in rival) - 1
    difference = paired_difference([c.final for c in mine], [c.final for c in rival])
    runs = median_share([one.reached(other.final) for one, other in zip(mine, rival, strict=True)])
    middle = median_curve(mine).reached(median_curve(rival).final)
    return (_percent(medians), _interval(difference), _share(runs), _share(middle))


def ablation(groups: Sequence[Group], ours: str, variants: Sequence[str]) -> Rows:
    """How far each variant is above (or below) ``ours``, pair by pair."""
    head: Row = ("problem", f"{ours}, median", *variants)
    rows = [
        (group.name, *group.medians([ours]), *(_over(group, v, ours) for v in variants)) for group in groups
    ]
    return [head, *rows]


def _over(group: Group, variant: str, ours: str) -> str:
    pairs = group.pairs(variant, ours)
    if not pairs:
        return "-"
    return _interval(paired_difference([a.curve.final for a, _ in pairs], [b.curve.final for _, b in pairs]))


def admission(groups: Sequence[Group], ours: str, variants: Sequence[str]) -> Rows:
    """What admission saved, what it cost, and how often it turned the best candidate away."""
    head: Row = ("problem", "setting", "rejected", "GPU time saved", "best rejected", "score, 95 %")
    return [
        head,
        *(
            (group.name, v, *_admission(group, v), _over(group, v, ours))
            for group in groups
            for v in variants
        ),
    ]


def _admission(group: Group, variant: str) -> Row:
    results = tuple(group.results.get(variant, {}).values())
    if not results:
        return ("-",) * 3
    rejected = fmean(result.rejections.count / result.proposed for result in results)
    saved = fmean(result.rejections.saved for result in results)
    lost = fmean(result.rejections.lost_best for result in results)
    return (f"{100 * rejected:.1f} %", f"{100 * saved:.1f} %", f"{100 * lost:.1f} %")


def effort(groups: Sequence[Group], methods: Sequence[str]) -> Rows:
    """How much each method did with the same budget, over all problems."""
    head: Row = (
        "method",
        "runs",
        "proposed",
        "in full",
        "budget spent",
        "virtual hours",
        "CPU seconds a run",
    )
    group = next(group for group in groups if group.name == OVERALL)
    return [head, *(_effort(method, tuple(group.results.get(method, {}).values())) for method in methods)]


def _effort(method: str, results: Sequence[Result]) -> Row:
    if not results:
        return (method, "0", *("-",) * 5)
    return (
        method,
        str(len(results)),
        f"{fmean(r.proposed for r in results):.0f}",
        f"{fmean(r.full for r in results):.0f}",
        f"{100 * fmean(r.granted for r in results):.1f} %",
        f"{fmean(r.elapsed_s for r in results) / 3600:.1f}",
        f"{fmean(r.cpu_s for r in results):.1f}",
    )


def _percent(share: float) -> str:
    return f"{100 * share:+.1f} %"


def _interval(interval: Interval) -> str:
    return f"{_percent(interval.estimate)} ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})"


def _share(share: float | None) -> str:
    return "never" if share is None or math.isinf(share) else f"{100 * share:.0f} %"
