"""What is broken when: a replica each minute, Redis gone twice, slow once, and silent once."""

from dataclasses import dataclass
from enum import StrEnum

KILL_OFFSET_S = 30.0
REDIS_DOWN_S = 5.0
PHASE_SHARE = 0.1  # of the soak: how long Redis is slow, and how long silent


class Change(StrEnum):
    """What happens to the service."""

    KILL = "replica killed"
    REDIS_DOWN = "Redis killed"
    REDIS_UP = "Redis started"
    REDIS_SLOW = "Redis slow"
    REDIS_SILENT = "Redis silent"
    REDIS_WELL = "Redis well"


@dataclass(frozen=True)
class Event:
    """A change at a time of the soak."""

    at_s: float
    what: Change


def timetable(seconds: float, has_proxy: bool = False) -> list[Event]:
    """Events by time.

    A replica is killed in the middle of each minute, Redis is gone at a third and at two of the
    time, and behind a proxy it is slow from a sixth on and silent from five sixths on.
    """
    events = [
        Event(KILL_OFFSET_S + 60.0 * minute, Change.KILL) for minute in range(int(seconds // 60))
    ]
    for share in (1 / 3, 2 / 3):
        events.append(Event(seconds * share, Change.REDIS_DOWN))
        events.append(Event(seconds * share + REDIS_DOWN_S, Change.REDIS_UP))
    if has_proxy:
        for share, what in ((1 / 6, Change.REDIS_SLOW), (5 / 6, Change.REDIS_SILENT)):
            events.append(Event(seconds * share, what))
            events.append(Event(seconds * (share + PHASE_SHARE), Change.REDIS_WELL))
    return sorted(events, key=lambda event: event.at_s)
