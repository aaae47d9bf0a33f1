"""Kills whoever writes to a database at a chosen durable step."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, event


class Killed(BaseException):
    """The writer is gone; nothing may catch this but the test."""


@contextmanager
def killed_at_commit(number: int) -> Iterator[list[int]]:
    """Raise `Killed` instead of the commit with this number, from 1 on, of any database of this process.

    Whatever was written since the commit before it is lost, as when the process is killed. Yields a list with one
    entry per commit that counted.
    """
    done: list[int] = []

    def on_commit(connection: Connection) -> None:
        if len(done) + 1 == number:
            connection.connection.rollback()  # as the operating system does for a process that is gone
            raise Killed
        done.append(number)

    event.listen(Engine, "commit", on_commit)
    try:
        yield done
    finally:
        event.remove(Engine, "commit", on_commit)
