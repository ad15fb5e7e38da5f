"""What is broken when: a replica each minute, Redis twice."""

from dataclasses import dataclass

KILL_OFFSET_S = 30.0
REDIS_DOWN_S = 5.0


@dataclass(frozen=True)
class Event:
    """Something that happens at a time of the soak: ``kill``, ``redis down`` or ``redis up``."""

    at_s: float
    what: str


def timetable(seconds: float) -> list[Event]:
    """Events by time: a kill in the middle of each minute, Redis gone at a third and at two."""
    kills = [Event(KILL_OFFSET_S + 60.0 * minute, "kill") for minute in range(int(seconds // 60))]
    outages = []
    for share in (1 / 3, 2 / 3):
        down_s = seconds * share
        outages += [Event(down_s, "redis down"), Event(down_s + REDIS_DOWN_S, "redis up")]
    return sorted(kills + outages, key=lambda event: event.at_s)
