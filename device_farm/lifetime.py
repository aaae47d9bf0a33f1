"""How the farm's long-running programs start, say that they are ready, and end."""

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any

PARENT_POLL_SECONDS = 0.5


async def run_until_stopped(program: Coroutine[Any, Any, None], parent_pid: int | None) -> None:
    """Runs ``program`` until it ends, SIGTERM or SIGINT arrives, or the parent process is gone.

    The program is then cancelled and may clean up. The parent is watched by its process id rather than with
    PR_SET_PDEATHSIG, because that signal comes when the parent's *thread* ends, and a farm may be started
    from a short-lived thread.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    running = asyncio.create_task(program)
    endings: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait())]
    if parent_pid is not None:
        endings.append(asyncio.create_task(_parent_gone(parent_pid)))
    await asyncio.wait([running, *endings], return_when=asyncio.FIRST_COMPLETED)
    for task in (running, *endings):
        task.cancel()
    try:
        await running
    except asyncio.CancelledError:
        return


async def _parent_gone(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        await asyncio.sleep(PARENT_POLL_SECONDS)


def announce(ready_fd: int | None, text: str) -> None:
    """Writes one line to the file descriptor that the starting process reads, if it gave one."""
    if ready_fd is not None:
        with os.fdopen(ready_fd, "w", encoding="utf-8") as pipe:
            pipe.write(text + "\n")
