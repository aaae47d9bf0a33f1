"""`Comparison` for people."""

from collections.abc import Iterator
from math import log
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sweep.report.compare import Comparison, Finalist, Side
from sweep.report.score_label import ScoreLabel
from sweep.report.text import count, latency, number

_NETWORKS: Final = 10


def comparison_view(comparison: Comparison) -> RenderableType:
    """Identities, the verdict, costs, the best of each, and the networks in common; for at least 80 columns."""
    parts: list[RenderableType] = [
        _identities(comparison),
        Text("* differs"),
        Text(""),
        *_verdict(comparison),
        Text(""),
        _spendings(comparison),
    ]
    if comparison.comparable:
        parts += [Text(""), _milestones(comparison)]
    for side in (comparison.first, comparison.second):
        parts += [Text(""), _top(side, side.score)]
    return Group(*parts, Text(""), *_common(comparison))


def _identities(comparison: Comparison) -> Table:
    table = _table("", comparison.first.name, comparison.second.name, fold=True)
    for part in comparison.identity:
        style = "" if not part.differs else "bold red" if part.decides else "yellow"
        mark = "* " if part.differs else "  "
        table.add_row(Text(mark + part.what), Text(part.first), Text(part.second), style=style)
    return table


def _verdict(comparison: Comparison) -> Iterator[Text]:
    first, second, label = comparison.first, comparison.second, comparison.score
    if not comparison.comparable:
        decisive = [part.what for part in comparison.identity if part.differs and part.decides]
        differ = "differs" if len(decisive) == 1 else "differ"
        yield Text(f"Scores do NOT compare: {', '.join(decisive)} {differ}.", style="bold red")
    elif first.best is None and second.best is None:
        yield Text("Neither has a complete trial yet.", style="bold")
    elif comparison.better is None:
        yield Text(f"Equal best scores: {label.text(first.best)}.", style="bold")
    elif comparison.better == first.name:
        yield from _ahead(comparison, first, second)
    else:
        yield from _ahead(comparison, second, first)


def _ahead(comparison: Comparison, better: Side, other: Side) -> Iterator[Text]:
    text = comparison.score.text
    if better.best is None or other.best is None:
        yield Text(f"{better.name} is ahead: {text(better.best)}; {other.name} has no complete trial yet.")
        return
    style = "bold" if comparison.tie else "bold green"
    yield Text(
        f"{better.name} is ahead: {text(better.best)}, {_margin(better.best, other.best, other)}.",
        style=style,
    )
    if comparison.tie:
        yield Text(
            "A tie: the 95 % intervals of the two latencies leave open which is better.", style="yellow"
        )
    ratio = comparison.median_ratio
    if ratio is not None and not comparison.score.is_own and abs(log(ratio)) >= log(better.best / other.best):
        yield Text(
            f"Networks measured by both differ in latency by as much (factor {ratio:.3f} in the median).",
            style="yellow",
        )


def _margin(best: float, second: float, other: Side) -> str:
    """Ratios mean something of the Final Score; of another score, who knows."""
    if other.score.is_own:
        return f"{other.name} has {other.score.text(second)} ({other.score.name})"
    return f"{best / second - 1:.1%} above {other.name}"


def _spendings(comparison: Comparison) -> Table:
    table = _table("", comparison.first.name, comparison.second.name)
    sides = (comparison.first, comparison.second)
    same = comparison.first.score == comparison.second.score
    table.add_row(
        f"best {comparison.score.name if same else 'score'}", *(side.score.text(side.best) for side in sides)
    )
    table.add_row("epochs", *(str(side.epochs) for side in sides))
    table.add_row("training, s", *(f"{side.training_s:.0f}" for side in sides))
    for state in comparison.first.counts:
        amounts = [side.counts[state] for side in sides]
        if any(amounts):
            table.add_row(f"trials {state}", *map(str, amounts))
    return table


def _milestones(comparison: Comparison) -> Table:
    """At equal cost; 100 % is all that the cheaper of the two has spent."""
    table = _table("best so far, after training", comparison.first.name, comparison.second.name)
    label = comparison.score
    for milestone in comparison.milestones:
        after = f"{milestone.share:4.0%}  {milestone.training_s:.0f} s"
        table.add_row(after, *(label.text(best) for best in (milestone.first, milestone.second)))
    return table


def _top(side: Side, label: ScoreLabel) -> RenderableType:
    if not side.top:
        return Text(f"{side.name}: no complete trial")
    several = any(found.export for found in side.top)
    columns = (label.short, "si-RMSE", "ms", "network", *(("export",) if several else ()))
    table = _table(f"best of {side.name}: trial", *columns)
    for found in side.top:
        table.add_row(*_cells(found, label), *((found.export,) if several else ()))
    return table


def _cells(found: Finalist, label: ScoreLabel) -> tuple[str, ...]:
    figures = (label.text(found.final_score), number(found.si_rmse, 4), latency(found.latency_ms))
    return (str(found.trial), *figures, found.architecture_hash)


def _common(comparison: Comparison) -> Iterator[RenderableType]:
    common = comparison.common
    if not common:
        yield Text("They measured no network in common.")
        return
    first, second = comparison.first.name, comparison.second.name
    table = _table("network, untrained", f"{first}, ms", f"{second}, ms", "ratio", "95 % CI")
    for network in common[:_NETWORKS]:
        overlap = {True: "overlap", False: "apart", None: "-"}[network.intervals_overlap]
        figures = (latency(network.first_ms), latency(network.second_ms), f"{network.ratio:.3f}")
        table.add_row(network.architecture_hash, *figures, overlap)
    yield table
    ratios = [network.ratio for network in common]
    apart = sum(network.intervals_overlap is False for network in common)
    yield Text(
        f"{count(len(common), 'network')} in common: ratio {comparison.median_ratio:.3f} in the median, "
        f"{min(ratios):.3f} to {max(ratios):.3f}; {apart} with intervals apart"
    )


def _table(*columns: str, fold: bool = False) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column(columns[0], no_wrap=True)
    for name in columns[1:]:
        table.add_column(
            name, justify="left" if fold or name in ("network", "export") else "right", overflow="fold"
        )
    return table
