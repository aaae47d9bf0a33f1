"""Ray Tune's `Searcher` port: hands out attempts and passes on their results. It decides nothing itself."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from sweep.engine.attempt_spec import AttemptSpec
from sweep.engine.driver import Driver, Idle
from sweep.engine.files import Checkpoints
from sweep.engine.losses import Ending, how_it_ended
from sweep.engine.shipping import Home


class AttemptScheduler(FIFOScheduler):
    """First come, first served; tells the searcher what Ray Tune tells schedulers alone, and stops attempts."""

    def __init__(self, searcher: "AttemptSearcher") -> None:
        super().__init__()
        self._searcher = searcher

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:  # noqa: ARG002  # Ray's signature
        """An epoch that is not the attempt's last; STOP if there is to be no further one."""
        decision: str = self.CONTINUE if self._searcher.on_epoch(trial.trial_id, result) else self.STOP
        return decision

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:  # noqa: ARG002  # Ray's signature
        """Called right before the searcher's `on_trial_complete`."""
        if trial.error_file:
            self._searcher.on_error(trial.trial_id, Path(trial.error_file).read_text("utf-8"))


class AttemptSearcher(Searcher):
    """Each Ray trial is one attempt; the driver says which one is next.

    ``driver_cpu_s`` is the processor time that Ray Tune's loop spent in the driver so far, in seconds.
    ``scheduler`` must be that of the same Tune run.

    Args:
        driver: decides.
        home: for trainers on other machines; None if all trainers are on the driver's machine.
        refresh: called before the driver is asked for an attempt, outside of its lock; may wait for Ray.
    """

    def __init__(
        self, driver: Driver, home: Home | None = None, refresh: Callable[[], object] = lambda: None
    ) -> None:
        super().__init__(metric="si_rmse", mode="min")
        self.driver_cpu_s = 0.0
        self.scheduler = AttemptScheduler(self)
        self._driver = driver
        self._home = home.to_config() if home else None
        self._refresh = refresh
        self._live: dict[str, AttemptSpec] = {}
        self._errors: dict[str, str] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next attempt's config, None for nothing right now, or FINISHED."""
        while True:
            self._refresh()
            answer: AttemptSpec | Idle = Idle.FOREVER
            with self._driver_call():
                answer = self._driver.next_attempt()
            if isinstance(answer, AttemptSpec):
                self._live[trial_id] = answer
                return {**answer.to_config(), "home": self._home}
            if answer is Idle.FOREVER:
                finished: str = Searcher.FINISHED
                return finished
            if self._live:
                return None  # Ray Tune has results to wait for
            self._driver.wait_for_change(timeout_s=0.5)  # it has nothing else to do, and would sleep longer

    def on_epoch(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Pass on an epoch that is not the attempt's last; False if the driver wants no further one."""
        spec = self._live[trial_id]
        self._pass_on(spec, result)
        if self._driver.goes_on(spec):
            return True
        del self._live[trial_id]
        return False

    def on_error(self, trial_id: str, message: str) -> None:
        """What Ray says of the error whose `on_trial_complete` follows."""
        self._errors[trial_id] = message

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """The attempt's last result, or the end of its process without one."""
        message = self._errors.pop(trial_id, "")
        spec = self._live.pop(trial_id, None)
        if spec is None:
            return  # the driver stopped it
        if error or result is None:
            self._on_ending(spec, how_it_ended(message))
        else:
            self._pass_on(spec, result)

    def _on_ending(self, spec: AttemptSpec, ending: Ending) -> None:
        with self._driver_call():
            if ending.lost:
                self._driver.on_lost(spec, ending.reason)
            else:
                self._driver.on_result(spec, {"failure": "crashed", "reason": ending.reason})

    def _pass_on(self, spec: AttemptSpec, result: Mapping[str, Any]) -> None:
        with self._driver_call():
            self._driver.on_result(spec, result)
            if "failure" not in result:
                # The journal knows this epoch's checkpoint now. The one before stays until the next epoch.
                Checkpoints(Path(spec.checkpoint_directory)).forget_before(int(result["epoch"]) - 1)

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
