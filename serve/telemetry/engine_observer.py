"""What the engine tells of itself while it runs: an observer, and the times of one request.

The engine calls these from its own thread and knows nothing of who listens. Times are seconds of
``time.monotonic``.
"""

from dataclasses import dataclass


class EngineObserver:
    """Hears what the engine does; this one keeps nothing. What overrides it must be quick."""

    def note_wait(self, wait_s: float) -> None:
        """A request left the queue after ``wait_s``."""

    def note_encoder_batch(self, num_requests: int, duration_s: float) -> None:
        """Requests were encoded together and have their slots."""

    def note_step(self, num_rows: int, duration_s: float) -> None:
        """One decoding step ran; ``num_rows`` slots were occupied in it."""


@dataclass
class Timeline:
    """When one request reached each stage; None while it has not.

    Attributes:
        submitted_s: It was put into the queue.
        admitted_s: It left the queue, and its encoder batch began.
        encoded_s: It has its slots.
        finished_s: Its answer is there.
    """

    submitted_s: float | None = None
    admitted_s: float | None = None
    encoded_s: float | None = None
    finished_s: float | None = None
