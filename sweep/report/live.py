"""The live view of a running sweep: a table on a terminal, one line per event everywhere else."""

import threading
import time
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Final

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from sweep.lifecycle import Record, SweepState
from sweep.report.facts import SweepFacts
from sweep.report.lines import event_line, opening_lines, progress_line
from sweep.report.screen import screen

_SILENCE_S: Final = 60.0
_REFRESHES_PER_SECOND: Final = 4.0


class LiveView:
    """Shows a sweep while it runs. All methods may be called from any thread."""

    def __init__(
        self,
        console: Console,
        facts: SweepFacts,
        *,
        started_at: float,
        state: SweepState | None = None,
        now: Callable[[], float] = time.time,
        timezone: tzinfo | None = None,
    ) -> None:
        """Start showing; on a terminal the view stays at its bottom until `close`.

        Args:
            console: where to; a table on a terminal, plain lines on anything else.
            facts: of the sweep, with the limits of this run.
            started_at: when this run started, in seconds since the epoch.
            state: what is known already; that of a sweep which is resumed.
            now: the clock, in seconds since the epoch.
            timezone: of the lines' timestamps; None for local time.
        """
        self._console = console
        self._facts = facts
        self._started_at = started_at
        self._now = now
        self._timezone = timezone
        self._state = state or SweepState()
        self._last_line_at = started_at
        self._lock = threading.Lock()
        self._live: Live | None = None
        if console.is_terminal and not console.is_dumb_terminal:
            self._live = Live(
                console=console, get_renderable=self._render, refresh_per_second=_REFRESHES_PER_SECOND
            )
            self._live.start()
        else:
            for line in opening_lines(facts):
                self._print(started_at, line)

    def update(self, state: SweepState, record: Record) -> None:
        """Show one more record; ``state`` is the sweep's state after it."""
        with self._lock:
            before, self._state = self._state, state
            line = event_line(before, state, record.event) if self._live is None else None
            if line is not None:
                self._print(record.time, line)

    def tick(self) -> None:
        """Call it now and then: a log file gets a line when nothing has happened for a minute."""
        with self._lock:
            now = self._now()
            if self._live is None and now - self._last_line_at >= _SILENCE_S:
                self._print(now, progress_line(self._facts, self._state, now - self._started_at))

    def close(self) -> None:
        """Show the last state and let go of the terminal; more calls do nothing."""
        if self._live is not None:
            self._live.stop()

    def _render(self) -> RenderableType:
        return screen(self._facts, self._state, self._now() - self._started_at, self._console.height)

    def _print(self, at: float, line: str) -> None:
        stamp = datetime.fromtimestamp(at, self._timezone).strftime("%Y-%m-%d %H:%M:%S")
        self._console.print(Text(f"{stamp}  {line}"), soft_wrap=True)
        self._last_line_at = at
