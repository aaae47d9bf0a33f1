"""A process that runs a sweep as its driver does: it holds the lock and answers requests.

Called as ``holder_child.py DIRECTORY obeys|deaf|waits``.
"""

import sys
import time
from pathlib import Path

from sweep.engine.control import AddTrials, answered, pending
from sweep.lifecycle import Journal
from sweep.lifecycle.events import SweepEnded, TrialsAdded


def main() -> None:
    directory, how = Path(sys.argv[1]), sys.argv[2]
    with Journal(directory) as journal:
        print("holds", flush=True)
        if how == "deaf":
            sys.stdin.read()
        if how == "waits":
            sys.stdin.readline()
        obey(directory, journal)


def obey(directory: Path, journal: Journal) -> None:
    while True:
        for request in pending(directory):
            if isinstance(request, AddTrials):
                journal.append(TrialsAdded(request.trials, request.id))
                answered(directory, request)
            else:
                answered(directory, request)
                journal.append(SweepEnded("stopped", "asked by a request"))
                return
        time.sleep(0.02)  # requests are polled for, here as in the driver


if __name__ == "__main__":
    main()
