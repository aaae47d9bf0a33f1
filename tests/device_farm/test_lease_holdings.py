"""Which leases a worker answers for, whatever happens to its jobs and connections."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from device_farm.jobs import Failed, LeaseResult
from device_farm.worker.holdings import Holdings

TOKENS = st.integers(1, 6)


def test_a_new_worker_holds_nothing():
    assert (Holdings().tokens, Holdings().results) == ((), ())


def test_a_lease_is_held_until_its_result_is_acknowledged():
    running = Holdings().started(7)
    ended = running.ended(7, Failed("oh"))
    assert (running.tokens, running.results) == ((7,), ())
    assert (ended.tokens, ended.results) == ((7,), (LeaseResult(7, Failed("oh")),))
    assert ended.dropped(7) == Holdings()


class Leases(RuleBasedStateMachine):
    """Against a plain model: the one that runs, and a list of what ended since, in any order of events."""

    def __init__(self) -> None:
        super().__init__()
        self.holdings = Holdings()
        self.running: list[int] = []
        self.ended: list[int] = []

    @rule(token=TOKENS)
    def start(self, token: int) -> None:
        if token not in self.holdings.tokens:
            self.holdings = self.holdings.started(token)
            self.running = [token]

    @rule(token=TOKENS)
    def end(self, token: int) -> None:
        self.holdings = self.holdings.ended(token, Failed(str(token)))
        if token in self.running:
            self.running.remove(token)
            self.ended.append(token)

    @rule(token=TOKENS)
    def drop(self, token: int) -> None:
        self.holdings = self.holdings.dropped(token)
        for held in (self.running, self.ended):
            if token in held:
                held.remove(token)

    @invariant()
    def what_is_held_is_what_runs_and_what_ended(self) -> None:
        assert self.holdings.tokens == tuple(sorted(self.running + self.ended))
        results = tuple(LeaseResult(token, Failed(str(token))) for token in sorted(self.ended))
        assert self.holdings.results == results


TestLeases = Leases.TestCase
