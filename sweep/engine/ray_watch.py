"""Notices within seconds that Ray itself is gone.

Ray's driver process waits a minute for a control store (GCS) that was killed, and then ends itself without a
word. The watch sees it at once, while there is still time to write down how the sweep ended.
"""

import os
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping

import psutil

SERVERS = ("gcs_server", "raylet")
CHECK_S = 2.0
PATIENCE_S = 10.0
"""Seconds for which a server of a cluster that others run may be silent: it may be restarting."""

Place = tuple[str, int]


def local_servers() -> dict[str, int]:
    """Ray's servers that this process started, by name, with their process ids."""
    return {child.name(): child.pid for child in psutil.Process().children() if child.name() in SERVERS}


class RayWatch:
    """Calls ``on_ray_gone`` with the reason, from a thread of its own, once at most and never after `close`.

    Args:
        on_ray_gone: told which server is gone. It must not wait for Ray.
        processes: servers on this machine by name; the end of one is noticed at once.
        places: host and port of servers anywhere by name; one that accepts no connection for ``patience_s`` is
            gone. A host that is merely stopped or overloaded still accepts.
    """

    def __init__(
        self,
        on_ray_gone: Callable[[str], None],
        *,
        processes: Mapping[str, int] | None = None,
        places: Mapping[str, Place] | None = None,
        check_s: float = CHECK_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._on_ray_gone = on_ray_gone
        self._processes = dict(processes or {})
        self._places = dict(places or {})
        self._check_s = check_s
        self._patience_s = patience_s
        self._closing, self._wake = os.pipe()
        self._closed = False
        self._thread = threading.Thread(target=self._watch, name="ray-watch", daemon=True)

    def start(self) -> "RayWatch":
        """Begin; returns itself."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop watching; waits for a call of ``on_ray_gone`` under way, unless made from there."""
        if self._closed:
            return
        self._closed = True
        os.close(self._wake)  # which makes the other end readable
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()
        os.close(self._closing)

    def _watch(self) -> None:
        reason = self._wait()
        if reason is not None:
            self._on_ray_gone(reason)

    def _wait(self) -> str | None:
        """What is gone, once something is; None when closed."""
        poll = select.poll()
        poll.register(self._closing)
        names: dict[int, str] = {}
        for name, pid in self._processes.items():
            try:
                handle = os.pidfd_open(pid)
            except ProcessLookupError:
                return _ended(name, pid)
            names[handle] = name
            poll.register(handle, select.POLLIN)  # readable once the process has ended
        try:
            return self._poll(poll, names)
        finally:
            for handle in names:
                os.close(handle)

    def _poll(self, poll: select.poll, names: Mapping[int, str]) -> str | None:
        seen = dict.fromkeys(self._places, time.monotonic())
        while True:
            ready = {handle for handle, _ in poll.poll(1000 * self._check_s if self._places else None)}
            if self._closing in ready:
                return None
            for handle in ready:
                return _ended(names[handle], self._processes[names[handle]])
            for name, place in self._places.items():
                if _answers(place, self._check_s):
                    seen[name] = time.monotonic()
                elif time.monotonic() - seen[name] >= self._patience_s:
                    return f"{name} at {place[0]}:{place[1]} does not answer any more"


def _ended(name: str, pid: int) -> str:
    return f"Ray's {name} (process {pid}) ended"


def _answers(place: Place, timeout_s: float) -> bool:
    try:
        socket.create_connection(place, timeout_s).close()
    except OSError:
        return False
    return True
