"""A folder of candidates on the leaderboard: by name, and beside the report's rows of the same systems."""

from collections.abc import Iterator
from dataclasses import replace

from report_journals import scored
from report_sweep import final_state, started, trained

from sweep.lifecycle import Event
from sweep.lifecycle.events import TrialProposed
from sweep.report.leaderboard import leaderboard_json, leaderboard_table
from sweep.report.rows import leaderboard_rows
from sweep.report.table1 import published_rows, runtime_correlation


def row(team: str, runtime_ms: float) -> dict[str, object]:
    figures = {"size_mb": 2.9, "si_rmse": 0.2773, "rmse": 3.47, "log10": 0.1103, "rel": 0.2997}
    return {"team": team, **figures, "runtime_ms": runtime_ms, "final_score": 298}


PUBLISHED = {"tcl": row("TCL", 46), "miaigo": row("MiAIgo", 54), "icl": row("ICL", 142)}


def folder() -> Iterator[Event]:
    """Four candidates, one without published figures; icl is fastest here and slowest in the report."""
    first = started()
    yield replace(first, space={**first.space, "published": PUBLISHED})
    systems = (("tcl", 10.0), ("miaigo", 20.0), ("tencent_gy_lab_2021", 15.0), ("icl", 5.0))
    for number, (name, latency_ms) in enumerate(systems):
        for event in trained(number, 4):
            named = (
                replace(event, assignment={"candidate": name}) if isinstance(event, TrialProposed) else event
            )
            yield named
        yield scored(number, 0.3, latency_ms)


EXPECTED = """\
 # candidate            score si-RMSE RMSE LOG10   REL    ms  MB state
─────────────────────────────────────────────────────────────────────────
 1 icl                 2000.0  0.3000 3.50 0.125 0.250  5.00 1.5 complete
 2 tcl                 1000.0  0.3000 3.50 0.125 0.250 10.00 1.5 complete
 3 tencent_gy_lab_2021  666.7  0.3000 3.50 0.125 0.250 15.00 1.5 complete
 4 miaigo               500.0  0.3000 3.50 0.125 0.250 20.00 1.5 complete

For orientation: what the report says of these systems
A Raspberry Pi 4 and other data: NOT comparable with the scores above.
system score si-RMSE RMSE  LOG10    REL  ms  MB
───────────────────────────────────────────────
icl      298  0.2773 3.47 0.1103 0.2997 142 2.9
tcl      298  0.2773 3.47 0.1103 0.2997  46 2.9
miaigo   298  0.2773 3.47 0.1103 0.2997  54 2.9
Order of the runtimes, above and in the report: Spearman correlation -0.50.
"""


def test_candidates_are_named_and_stand_beside_the_reports_rows(show):
    text = show(leaderboard_table(final_state(folder()), width=80))
    assert text.endswith(EXPECTED), text


def test_no_correlation_is_told_of_two_systems():
    state = final_state(folder())
    assert state.started is not None
    published = published_rows(state.started)
    pairs = [(row, published[row.name]) for row in leaderboard_rows(state) if row.name in published]
    assert runtime_correlation(pairs) == -0.5
    assert runtime_correlation(pairs[:2]) is None


def test_the_json_names_the_candidates():
    trials = leaderboard_json(final_state(folder()))["trials"]
    assert [trial["name"] for trial in trials] == ["icl", "tcl", "tencent_gy_lab_2021", "miaigo"]
