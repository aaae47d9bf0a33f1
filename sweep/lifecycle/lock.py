"""Who holds a sweep's directory: the flock that `Journal` takes, seen from outside.

The kernel frees it when its process dies, however it dies, so "is it running" has one honest answer.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweep.lifecycle.journal import LOCK_NAME

_HELD = (errno.EWOULDBLOCK, errno.EACCES)


def is_running(directory: Path) -> bool:
    """True if a process holds the lock of the sweep in ``directory``; nothing is created or written.

    The look itself holds a shared lock for some microseconds.

    Raises:
        OSError: the lock cannot be looked at, for want of permissions, say.
    """
    return is_locked(directory / LOCK_NAME)


def is_locked(path: Path) -> bool:
    """True if a process holds a `flock` of the file at ``path``; False also if there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


@contextmanager
def held(directory: Path) -> Iterator[bool]:
    """Keep every other process from running the sweep in ``directory``; False if one runs it now."""
    descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        yield _try_lock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise
    return True
