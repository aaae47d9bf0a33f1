"""Table 1 of the challenge's report, for orientation: all of it, or the rows of the systems that a sweep ran.

Ours and theirs are never mixed: theirs are of the challenge's hidden test set and a Raspberry Pi 4.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text
from scipy.stats import spearmanr

from sweep.judging.score import TABLE_1, PublishedResult
from sweep.lifecycle.events import SweepStarted
from sweep.report.rows import LeaderboardRow
from sweep.report.text import number

_FEWEST: Final = 3  # the rank correlation of two says nothing


def published_rows(started: SweepStarted) -> dict[str, PublishedResult]:
    """What reports say of the candidates of a folder, by the candidate's name; empty for a search."""
    rows = started.space.get("published", {})
    return {name: PublishedResult(**row) for name, row in rows.items()}


def table_1(started: SweepStarted, rows: Sequence[LeaderboardRow], gap: int) -> Iterator[RenderableType]:
    """The report's rows of the sweep's candidates, in the sweep's order; of a search, all of Table 1.

    Laid out with ``gap`` further spaces between columns.
    """
    published = published_rows(started)
    ours = [(row.name, published[row.name]) for row in rows if row.name in published]
    subject = "what the report says of these systems" if ours else "Table 1 of the Mobile AI 2022 challenge"
    yield Text(f"\nFor orientation: {subject}", style="bold")
    yield Text("A Raspberry Pi 4 and other data: NOT comparable with the scores above.")
    yield _table(gap, "system", ours) if ours else _table(gap, "team", [(row.team, row) for row in TABLE_1])
    correlation = runtime_correlation([(row, published[row.name]) for row in rows if row.name in published])
    if correlation is not None:
        yield Text(f"Order of the runtimes, above and in the report: Spearman correlation {correlation:.2f}.")


def runtime_correlation(pairs: Iterable[tuple[LeaderboardRow, PublishedResult]]) -> float | None:
    """Spearman's rank correlation of complete trials' runtimes with the report's; None for fewer than three."""
    runtimes = [
        (ours.runtime_ms, theirs.runtime_ms) for ours, theirs in pairs if ours.final_score is not None
    ]
    if len(runtimes) < _FEWEST:
        return None
    return float(spearmanr(*zip(*runtimes, strict=True)).statistic)


def _table(gap: int, heading: str, rows: Iterable[tuple[str, PublishedResult]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, gap, 0, 0), pad_edge=False, show_edge=False)
    table.add_column(heading, no_wrap=True)
    for name in ("score", "si-RMSE", "RMSE", "LOG10", "REL", "ms", "MB"):
        table.add_column(name, no_wrap=True, justify="right")
    for name, row in rows:
        table.add_row(
            name,
            f"{row.final_score:g}",
            number(row.si_rmse, 4),
            number(row.rmse, 2),
            number(row.log10, 4),
            number(row.rel, 4),
            f"{row.runtime_ms:g}",
            number(row.size_mb, 1),
        )
    return table
