"""What people read of trials that were exported to several files."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from report_sweep import admitted, as_records, completed, final_state, proposed, started, trained

from sweep.judging.score import final_score
from sweep.lifecycle import Event, fold
from sweep.lifecycle.events import SweepEnded, SweepStarted, TrialCompleted
from sweep.lifecycle.exports import ExportRecord
from sweep.report.compare import compare, comparison_json
from sweep.report.compare_view import comparison_view
from sweep.report.facts import facts_of
from sweep.report.leaderboard import leaderboard_json, leaderboard_table
from sweep.report.lines import event_line, opening_lines
from sweep.report.summary import summary
from sweep.space.exports import choices
from sweep.tracking.notes import trial_note

TRIED = choices(("fp32", "int8", "uint8"), (1, 4), ("xnnpack",))


def starts(tried=TRIED) -> SweepStarted:
    event = started()
    return replace(event, identity={**event.identity, "export": tried.to_json()})


def record(variant: str, threads: int, si_rmse: float, latency_ms: float, **more) -> ExportRecord:
    return ExportRecord(
        variant,
        "nearest",
        threads,
        "xnnpack",
        tflite=f"trials/0000/final/model_{variant}.tflite",
        size_bytes=1_500_000 if variant == "fp32" else 400_000,
        si_rmse=si_rmse,
        rmse=3.5,
        log10=0.125,
        rel=0.25,
        latency_ms=latency_ms,
        interval_ms=(latency_ms - 0.5, latency_ms + 0.25),
        final_score=final_score(si_rmse, latency_ms),
        **more,
    )


def complete(trial: int, *records: ExportRecord) -> TrialCompleted:
    best = next(found for found in records if found.won)
    event = completed(trial, best.si_rmse, best.latency_ms, best.final_score)
    exports = [found.to_json() for found in records]
    return replace(event, exports=exports, export={"size_bytes": best.size_bytes})


def several() -> Iterator[Event]:
    """Trial 0 is best as int8 at four threads, trial 1 as fp32 at one; 2 is under way."""
    yield starts()
    yield from trained(0, 2, 4)
    yield complete(
        0,
        record("fp32", 1, 0.3, 10.0),
        record("fp32", 4, 0.3, 8.0, reason="breaks size_mb <= 1"),
        record("int8", 1, 0.305, 7.0),
        record("int8", 4, 0.305, 4.0, won=True),
        ExportRecord("uint8", "nearest", 1, "xnnpack", reason="no such form\nof RESIZE"),
        ExportRecord("uint8", "nearest", 4, "xnnpack", reason="no such form\nof RESIZE"),
    )
    yield from trained(1, 2, 4)
    yield complete(1, record("fp32", 1, 0.35, 9.0, won=True), record("int8", 4, 0.5, 9.0))
    yield from admitted(2)
    yield proposed(3)


AT_80 = """\
Sweep demo: trials by Final Score
mobilenetv3 on demo-1; x86_64 Test CPU, tflite-2.14.0, 1 or 4 threads, xnnpack
Latency is measured on this machine, not on a Raspberry Pi 4.
Exported as fp32, int8, uint8; the best of 6 combinations counts.
Data: demo-1 (generated images: a score on them is not the challenge's).
 # trial  score si-RMSE RMSE    ms     95 % CI  MB state        export
───────────────────────────────────────────────────────────────────────
 1     0 2332.6  0.3050 3.50  4.00   3.50-4.25 0.4 complete     int8 4t
 2     1  555.6  0.3500 3.50  9.00   8.50-9.25 1.5 complete     fp32 1t
       2      -       -    - 11.50 11.00-11.75 1.2 admitted 0/4
       3      -       -    -     -           -   - proposed 0/4
Trial 0 as its files at their settings (*: counts):
  fp32 1t   score 1000.0  si-RMSE 0.3000   10.00 ms  1.5 MB
  fp32 4t   score 1250.0  si-RMSE 0.3000    8.00 ms  1.5 MB  breaks size_mb <= 1
  int8 1t   score 1332.9  si-RMSE 0.3050    7.00 ms  0.4 MB
* int8 4t   score 2332.6  si-RMSE 0.3050    4.00 ms  0.4 MB
  uint8 1t  out: no such form of RESIZE
  uint8 4t  out: no such form of RESIZE
"""


def test_the_leaderboard_has_a_column_for_what_counts_and_lists_the_best_trial_s_files(show):
    text = show(leaderboard_table(final_state(several()), width=80))
    assert text.startswith(AT_80)


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize(
    "variants", [("dynamic_int8", "int8_uint8_input"), ("fp32", "int8"), ("uint8", "fp32")]
)
def test_even_the_longest_labels_are_neither_cut_nor_too_wide(show, width, variants):
    tried = choices(variants, (1, 4), ("xnnpack", "none"), ("nearest", "bilinear"))
    long = record(variants[1], 4, 0.3, 10.0, won=True)
    other = replace(
        record(variants[0], 1, 0.4, 100.0), delegate="none", output_upsampling="bilinear", reason="x" * 200
    )
    events = [starts(tried), *trained(0, 2, 4), complete(0, other, long)]
    text = show(leaderboard_table(final_state(events), width=width), width)
    assert max(len(line) for line in text.splitlines()) <= max(width, 0)
    assert "…" not in text
    assert "xnnpack" in text


def test_one_file_that_is_not_float32_needs_no_column(show):
    tried = choices(("int8",), (1,), ("xnnpack",))
    events = [starts(tried), *trained(0, 2, 4), complete(0, record("int8", 1, 0.3, 10.0, won=True))]
    text = show(leaderboard_table(final_state(events), width=80))
    assert "Exported as int8.\n" in text
    assert "export" not in text
    assert "*: counts" not in text


def test_the_json_has_all_combinations_of_every_trial():
    rows = leaderboard_json(final_state(several()))["trials"]
    assert [(row["trial"], row["export"]) for row in rows] == [
        (0, "int8 4t"),
        (1, "fp32 1t"),
        (2, ""),
        (3, ""),
    ]
    assert [len(row["exports"]) for row in rows] == [6, 2, 0, 0]
    assert rows[0]["exports"][3] == record("int8", 4, 0.305, 4.0, won=True).to_json()


def test_the_summary_says_as_what_the_best_is_best():
    lines = summary(final_state([*several(), SweepEnded("finished")]), directory="runs/demo").splitlines()
    assert lines[1] == "Best: trial 0, Final Score 2332.6: si-RMSE 0.3050 at 4.00 ms, as int8 4t."
    assert lines[2] == "Trial 0 as its files at their settings (*: counts):"
    assert [line[0] for line in lines[3:9]] == [" ", " ", " ", "*", " ", " "]


def test_the_log_says_what_is_exported_and_as_what_a_trial_completed():
    assert "Exported as fp32, int8, uint8; the best of 6 combinations counts." in opening_lines(
        facts_of(starts())
    )
    events = list(several())
    place = next(i for i, event in enumerate(events) if isinstance(event, TrialCompleted))
    before = final_state(events[:place])
    after = fold(before, events[place], 0.0)
    assert event_line(before, after, events[place]) == (
        "trial 0   complete    Final Score 2332.6, si-RMSE 0.3050, 4.00 ms as int8 4t, the best so far"
    )
    assert "both of the exported TFLite file (int8 4t)." in trial_note(facts_of(starts()), after.trials[0])


def test_sweeps_that_export_otherwise_compare_if_their_settings_are_the_same(show):
    def sweep(tried) -> list[Event]:
        return [starts(tried), *list(several())[1:]]

    def difference(first, second):
        found = compare(("a", as_records(sweep(first))), ("b", as_records(sweep(second))))
        differing = {part.what: (part.first, part.second) for part in found.identity if part.differs}
        return found, differing

    fp32 = choices(("fp32",), (1, 4), ("xnnpack",))
    found, differing = difference(TRIED, fp32)
    assert differing == {"variants": ("fp32, int8, uint8", "fp32")}
    assert found.comparable
    assert found.common == ()  # their untrained latencies are those of different files
    found, differing = difference(TRIED, choices(TRIED.variants, (1,), ("xnnpack",)))
    assert differing == {"threads": ("1, 4", "1")}
    assert not found.comparable
    assert [network.ratio for network in found.common] == [1.0] * 3
    assert [entry["export"] for entry in comparison_json(found)["first"]["top"]] == ["int8 4t", "fp32 1t"]
    assert "int8 4t" in show(comparison_view(found))
