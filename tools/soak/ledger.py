"""The account of a soak: what became of every request, and what of it is the service's fault."""

from collections import Counter
from enum import StrEnum

from serve.load.client import NO_ANSWER, TIMEOUT, Reply
from serve.load.latencies import Latencies
from tools.soak.questions import Asked, answer_in

# A request sent to a replica that is dead already, before anybody noticed.
UNNOTICED_S = 2.0


class Fate(StrEnum):
    """What became of a request."""

    RIGHT = "right answer"
    WRONG = "wrong answer"
    REFUSED = "refused after every retry (429)"
    FAILED = "failed after every retry"
    LATE = "deadline passed (504)"
    HUNG = "no answer in time"
    LEFT = "caller left"
    MALFORMED = "malformed, refused with 4xx"
    MALFORMED_TAKEN = "malformed, not refused with 4xx"


FAULTS = (Fate.WRONG, Fate.FAILED, Fate.LATE, Fate.HUNG, Fate.MALFORMED_TAKEN)


class Ledger:
    """Counts fates, and 5xx that no kill explains."""

    def __init__(self) -> None:
        self.fates: Counter[Fate] = Counter()
        self.failures: Counter[str] = Counter()
        self.retried = 0
        self.unexplained: list[float] = []
        self.kills: list[float] = []
        self._answered_s: list[float] = []

    @property
    def latencies(self) -> Latencies | None:
        """Of right answers, every retry included."""
        return Latencies.of(self._answered_s)

    def note_kill(self, at_s: float) -> None:
        """A replica was killed."""
        self.kills.append(at_s)

    def note_left(self) -> None:
        """A caller left before the answer."""
        self.fates[Fate.LEFT] += 1

    def note(self, asked: Asked, reply: Reply, from_s: float, to_s: float) -> None:
        """A request ended, after being under way from one time to another."""
        fate = fate_of(asked, reply)
        self.fates[fate] += 1
        if fate is Fate.RIGHT:
            self._answered_s.append(to_s - from_s)
        elif fate is Fate.FAILED:
            self.failures[" then ".join(map(str, [*reply.statuses, *reply.errors]))] += 1
        if any(status >= 500 or status == NO_ANSWER for status in reply.statuses):
            self.retried += len(reply.statuses) > 1
            if not self._is_explained(from_s, to_s):
                self.unexplained.append(from_s)

    def _is_explained(self, from_s: float, to_s: float) -> bool:
        return any(from_s - UNNOTICED_S <= kill <= to_s for kill in self.kills)

    @property
    def faults(self) -> list[str]:
        """What the service did wrong; empty is what one wants."""
        found = [f"{self.fates[fate]} x {fate}" for fate in FAULTS if self.fates[fate]]
        found += [f"{num} x failed with {what}" for what, num in self.failures.most_common()]
        if self.unexplained:
            times = ", ".join(f"{time:.0f}" for time in self.unexplained[:5])
            found.append(f"{len(self.unexplained)} x 5xx without a kill (at {times} s)")
        return found


def fate_of(asked: Asked, reply: Reply) -> Fate:
    """What one reply means for one request; who waited in vain once has hung, retry or not."""
    if TIMEOUT in reply.errors:
        return Fate.HUNG
    if asked.answer is None:
        return Fate.MALFORMED if 400 <= reply.status < 500 else Fate.MALFORMED_TAKEN
    if reply.status == 200:
        return Fate.RIGHT if answer_in(reply.body) == asked.answer else Fate.WRONG
    return {429: Fate.REFUSED, 504: Fate.LATE}.get(reply.status, Fate.FAILED)
