"""The finalists' rounds: the best trials' files are measured afresh, in turns on one device."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence

from device_farm.types import FarmError, measurement_to_json
from sweep.engine.files import SweepFiles
from sweep.engine.ledger import Ledger
from sweep.engine.measurer import FINAL
from sweep.engine.steps import Measures
from sweep.judging.score import FINAL_SCORE, Score
from sweep.lifecycle import Trial
from sweep.lifecycle.events import FinalistMeasured
from sweep.lifecycle.exports import records_of, winner_of
from sweep.search.finalists import finalists, next_finalist
from sweep.space import InferenceSetting

_log = logging.getLogger(__name__)


def measure_finalists(
    ledger: Ledger,
    files: SweepFiles,
    measurer: Measures,
    *,
    top: int,
    rounds: int,
    may_go_on: Callable[[], bool],
    score: Score = FINAL_SCORE,
) -> None:
    """Measure in turns until the order is sure, ``rounds`` are used, or ``may_go_on`` says no.

    A farm that fails here costs certainty about the order, not the sweep: it is told in a warning.
    """
    while may_go_on() and (trial := next_finalist(ledger.state, top, rounds, score)) is not None:
        if trial.completion is None:
            raise AssertionError(f"trial {trial.number} is a finalist without being complete")
        device = _common_device(finalists(ledger.state, top))
        tflite = files.root / trial.completion.files["tflite"]
        try:
            measured = measurer.measure(tflite, FINAL, fresh=True, device_id=device, at=_setting(trial))
        except (FarmError, OSError) as error:
            _log.warning(
                "the finalists were not measured to the end, so their order may be unsure: %s", error
            )
            return
        ledger.record(
            FinalistMeasured(
                trial=trial.number,
                round=len(trial.finals) + 1,
                latency_ms=measured.latency_ms,
                measurement=measurement_to_json(measured),
            )
        )


def _setting(trial: Trial) -> InferenceSetting | None:
    """The setting at which the trial's file was the best; None: the target's."""
    winner = winner_of(records_of(trial.completion.exports if trial.completion else ()))
    return None if winner is None else InferenceSetting(winner.threads, winner.delegate)


def _common_device(rivals: Sequence[Trial]) -> str | None:
    """The device on which most of the finalists were measured: two devices of a class still differ a little."""
    counted = Counter(
        str(measurement["device_id"])
        for trial in rivals
        if trial.completion and (measurement := trial.completion.measurement).get("device_id")
    )
    return counted.most_common(1)[0][0] if counted else None
