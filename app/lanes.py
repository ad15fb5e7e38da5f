"""Settings run together on one input: how far each is, from the first word to the answer.

Owns the lanes (one per setting) and the threads that fill them; ``comparison`` draws them. A lane
that fails says so and leaves the others alone.
"""

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from app.asking import Words
from app.errors import PageError
from app.setting import Plan, Setting
from app.state import Shown

# Gives what is known of an answer so far, again and again, and the answer last.
Ask = Callable[[Setting], Iterator[Words | Shown]]
Explain = Callable[[Exception], PageError]


@dataclass(frozen=True)
class Lane:
    """How far one setting is.

    Attributes:
        setting: What it runs.
        words: Words that have arrived.
        shown: The answer, when it is there.
        error: What failed, when something did.
    """

    setting: Setting
    words: Words = ()
    shown: Shown | None = None
    error: PageError | None = None

    @property
    def is_finished(self) -> bool:
        """True when nothing more will come."""
        return self.shown is not None or self.error is not None


def run_lanes(plan: Plan, ask: Ask, explain: Explain) -> Iterator[tuple[Lane, ...]]:
    """All lanes, at the start and each time some of them got further, until all have finished.

    Args:
        plan: Whose settings are run.
        ask: Asks for one setting.
        explain: Makes any failure one that can be told.
    """
    lanes = [Lane(setting) for setting in plan.settings]
    yield tuple(lanes)
    news: queue.SimpleQueue[tuple[int, Words | Shown | PageError]] = queue.SimpleQueue()

    def fill(index: int) -> None:
        try:
            for part in ask(plan.settings[index]):
                news.put((index, part))
        except Exception as error:  # noqa: BLE001 - the border of a lane's thread
            news.put((index, explain(error)))

    with ThreadPoolExecutor(len(lanes)) as pool:
        for index in range(len(lanes)):
            pool.submit(fill, index)
        while not all(lane.is_finished for lane in lanes):
            index, part = news.get()
            lanes[index] = advanced(lanes[index], part)
            while not news.empty():  # what came meanwhile is drawn at once
                index, part = news.get()
                lanes[index] = advanced(lanes[index], part)
            yield tuple(lanes)


def advanced(lane: Lane, part: Words | Shown | PageError) -> Lane:
    """The lane with what arrived."""
    if isinstance(part, Shown):
        return replace(lane, shown=part)
    if isinstance(part, PageError):
        return replace(lane, error=part)
    return replace(lane, words=part)
