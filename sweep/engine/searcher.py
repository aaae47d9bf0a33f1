"""Ray Tune's `Searcher` port: hands out attempts and passes on their results. It decides nothing itself."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.tune.search import Searcher

from sweep.engine.attempt_spec import AttemptSpec
from sweep.engine.driver import Driver, Idle


class AttemptSearcher(Searcher):
    """Each Ray trial is one attempt; the driver says which one is next.

    ``driver_cpu_s`` is the processor time that Ray Tune's loop spent in the driver so far, in seconds.
    """

    def __init__(self, driver: Driver) -> None:
        super().__init__(metric="si_rmse", mode="min")
        self.driver_cpu_s = 0.0
        self._driver = driver
        self._live: dict[str, AttemptSpec] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next attempt's config, None for nothing right now, or FINISHED."""
        while True:
            answer: AttemptSpec | Idle = Idle.FOREVER
            with self._driver_call():
                answer = self._driver.next_attempt()
            if isinstance(answer, AttemptSpec):
                self._live[trial_id] = answer
                return answer.to_config()
            if answer is Idle.FOREVER:
                finished: str = Searcher.FINISHED
                return finished
            if self._live:
                return None  # Ray Tune has results to wait for
            self._driver.wait_for_change(timeout_s=0.5)  # it has nothing else to do, and would sleep longer

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """An epoch that is not the attempt's last."""
        with self._driver_call():
            self._driver.on_result(self._live[trial_id], result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """The attempt's last result, or its process's loss."""
        spec = self._live.pop(trial_id)
        with self._driver_call():
            self._on_last(spec, None if error else result)

    def _on_last(self, spec: AttemptSpec, result: dict[str, Any] | None) -> None:
        if result is None:
            self._driver.on_lost(
                spec, "the training process ended without a result (killed or out of memory)"
            )
        else:
            self._driver.on_result(spec, result)

    @contextmanager
    def _driver_call(self) -> Iterator[None]:
        """Ray Tune would bury an error of the journal in its own; the sweep ends in order instead."""
        started = time.thread_time()
        try:
            yield
        except OSError as error:
            self._driver.stop("error", f"the journal cannot be written: {error}")
        finally:
            self.driver_cpu_s += time.thread_time() - started

    # Ray Tune's own persistence is not used: the journal is the only truth.

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing to save."""

    def restore_from_dir(self, checkpoint_dir: str) -> None:
        """Nothing to restore."""
