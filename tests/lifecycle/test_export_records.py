"""What the journal keeps of a trial's files, and journals from before it kept any of it."""

import json
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sweep.lifecycle import Journal, TrialState, read_state
from sweep.lifecycle.events import TrialAdmitted, TrialCompleted, from_json, to_json
from sweep.lifecycle.exports import ExportRecord, labels, records_of, winner_of
from sweep.lifecycle.journal import JOURNAL_NAME

numbers = st.none() | st.floats(0, 1e6)
records = st.builds(
    ExportRecord,
    variant=st.sampled_from(["fp32", "int8", "uint8"]),
    output_upsampling=st.sampled_from(["nearest", "bilinear"]),
    threads=st.integers(1, 8),
    delegate=st.sampled_from(["none", "xnnpack"]),
    won=st.booleans(),
    reason=st.text(max_size=10),
    tflite=st.none() | st.text(max_size=10),
    size_bytes=st.none() | st.integers(0, 10**9),
    si_rmse=numbers,
    rmse=numbers,
    log10=numbers,
    rel=numbers,
    latency_ms=numbers,
    interval_ms=st.none() | st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)),
    final_score=numbers,
)
BEFORE = """\
{"sequence":0,"time":1.0,"event":"SweepStarted","name":"s","sweep_id":"i","identity":{"max_epochs":1},\
"space":{},"settings":{},"versions":{}}
{"sequence":1,"time":2.0,"event":"TrialProposed","trial":0,"assignment":{},"candidate":{},"candidate_hash":"c",\
"architecture_hash":"a","origin":"sampler","seed":null}
{"sequence":2,"time":3.0,"event":"TrialAdmitted","trial":0,"latency_ms":4.0,"measurement":{},\
"export":{"size_bytes":2000000},"shared_with":null}
{"sequence":3,"time":4.0,"event":"AttemptStarted","trial":0,"attempt":1,"from_epoch":0,"to_epoch":1,"checkpoint":null}
{"sequence":4,"time":5.0,"event":"EpochTrained","trial":0,"attempt":1,"epoch":1,"train_loss":1.0,"si_rmse":0.3,\
"partial_score":9.0,"learning_rate":0.1,"seconds":1.0,"checkpoint":"e1"}
{"sequence":5,"time":6.0,"event":"AttemptEnded","trial":0,"attempt":1,"outcome":"reached","reason":""}
{"sequence":6,"time":7.0,"event":"TrialCompleted","trial":0,"metrics":{"si_rmse":0.3},"latency_ms":4.0,\
"final_score":9.0,"measurement":{},"export":{"size_bytes":2000000},"judgement":{},"files":{"tflite":"m"},\
"flags":[],"test":null}
"""
"""As version 0.5 wrote it."""


@given(st.lists(records, max_size=4))
def test_records_survive_the_way_through_a_journal_s_line(found: list[ExportRecord]) -> None:
    exports = [record.to_json() for record in found]
    for event in (
        TrialAdmitted(0, 1.0, {}, {}, exports=exports),
        TrialCompleted(0, {}, 1.0, 1.0, {}, {}, {}, {}, exports=exports),
    ):
        read = from_json(json.loads(json.dumps(to_json(event))))
        assert read == event
        assert records_of(read.exports) == tuple(found)


def test_a_key_that_this_version_does_not_know_is_passed_over() -> None:
    known = ExportRecord("fp32", "nearest", 1, "xnnpack")
    assert records_of([{**known.to_json(), "watts": 3.5}]) == (known,)


def test_a_journal_from_before_there_were_variants_reads_as_one_file_at_one_setting(tmp_path: Path) -> None:
    (tmp_path / JOURNAL_NAME).write_text(BEFORE)
    trial = read_state(tmp_path).trials[0]
    assert trial.state is TrialState.COMPLETE
    assert trial.completion is not None
    assert (trial.completion.exports, trial.admission_exports) == ((), ())
    assert trial.size_mb == 2.0
    with Journal(tmp_path) as journal:
        assert len(journal.records) == 7


def test_a_label_says_only_what_tells_the_records_apart() -> None:
    plain = ExportRecord("fp32", "nearest", 1, "xnnpack")
    int8, four, bare = (
        replace(plain, variant="int8"),
        replace(plain, threads=4),
        replace(plain, delegate="none"),
    )
    assert labels([]) == ()
    assert labels([int8]) == ("int8",)
    assert labels([plain, int8]) == ("fp32", "int8")
    assert labels([plain, four]) == ("1t", "4t")
    assert labels([plain, bare]) == ("xnnpack", "no-delegate")
    assert labels([int8, replace(four, output_upsampling="bilinear")]) == (
        "int8 1t nearest",
        "fp32 4t bilinear",
    )


def test_the_winner_is_who_won() -> None:
    plain = ExportRecord("fp32", "nearest", 1, "xnnpack")
    won = replace(plain, variant="int8", won=True)
    assert winner_of([plain, won]) == won
    assert winner_of([plain]) is None
