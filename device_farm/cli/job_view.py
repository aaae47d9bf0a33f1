"""Jobs: the last ones as a table, one with its whole story."""

from rich.console import Group, RenderableType
from rich.text import Text

from device_farm.cli.console import key_table, plain_table
from device_farm.cli.wording import age, milliseconds, moment, short_id
from device_farm.jobs import describe
from device_farm.types import JobRecord

UNFINISHED = ("queued", "running")


def job_table(records: tuple[JobRecord, ...], now: float) -> RenderableType:
    """The newest first; of messages the first line. ``now`` and the jobs' times: seconds since the epoch."""
    if not records:
        return Text("No job was submitted to this farm yet.")
    table = plain_table("ID", "AGE", "STATE", "MODEL", "RESULT", "TARGET")
    for column in table.columns[:4]:
        column.no_wrap = True
    for record in records:
        table.add_row(
            short_id(record.job_id),
            age(now - record.submitted_at),
            Text(record.state, style=_style(record)),
            short_id(record.model_sha256),
            _result(record).partition("\n")[0],
            describe(record.target),
        )
    return table


def job_story(record: JobRecord) -> RenderableType:
    """What was asked, how it ended, and everything that happened in between."""
    priority = [("priority", str(record.priority))] if record.priority else []
    result = _result(record)
    rows: list[tuple[str, RenderableType]] = [
        ("job", record.job_id),
        ("state", Text(record.state, style=_style(record))),
        *([("result", result)] if result else []),
        ("model", f"sha256 {record.model_sha256}"),
        ("target", describe(record.target)),
        *priority,
        ("submitted", moment(record.submitted_at)),
    ]
    if not record.story:
        return key_table(rows)
    return Group(key_table(rows), Text(""), _story(record))


def _story(record: JobRecord) -> RenderableType:
    table = plain_table()
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold")
    for entry in record.story:
        table.add_row(moment(entry.at), f"{entry.at - record.submitted_at:+.3f} s", entry.text)
    return table


def _result(record: JobRecord) -> str:
    return record.message.strip() if record.latency_ms is None else milliseconds(record.latency_ms)


def _style(record: JobRecord) -> str:
    if record.state in UNFINISHED:
        return "cyan"
    return "red" if record.latency_ms is None else "green"
