"""A progress bar for preparing data, readable in a log file too."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Report = Callable[[str, int, int], None]


@contextmanager
def data_progress(console: Console) -> Iterator[Report]:
    """A callback ``(what, done, total)`` that draws a bar per ``what``, or prints a line when one is full."""
    if console.is_terminal:
        with _bars(console) as report:
            yield report
    else:
        yield _lines(console)


@contextmanager
def _bars(console: Console) -> Iterator[Report]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bars = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=total)
            progress.update(bars[what], completed=done, total=total)

        yield report


def _lines(console: Console) -> Report:
    finished: set[str] = set()

    def report(what: str, done: int, total: int) -> None:
        if done >= total and what not in finished:
            finished.add(what)
            console.print(f"{what}: {total} done", highlight=False)

    return report
