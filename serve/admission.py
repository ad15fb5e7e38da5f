"""How much the encoder may do between two decoding steps.

Encoding a photo costs as much as several steps. Whoever is being decoded waits for it, so a flood
of arrivals is let in a few at a time: so many requests at most, and no more than fit into a time at
what encoding one has cost of late.
"""

MEMORY_FRACTION = 0.8


class AdmissionBudget:
    """The number of requests to admit before the next step; at least one, so that none starves."""

    def __init__(self, max_requests: int, max_s: float) -> None:
        """Limits between two steps: ``max_requests``, and ``max_s`` of encoder work."""
        self._max_requests = max_requests
        self._max_s = max_s
        self._mean_s: float | None = None

    def num_requests(self, is_decoding: bool) -> int:
        """Most requests to admit now; the time limit holds only while somebody is decoded."""
        if not is_decoding or not self._mean_s:
            return self._max_requests
        return max(1, min(self._max_requests, int(self._max_s / self._mean_s)))

    def note(self, num_requests: int, duration_s: float) -> None:
        """Takes what encoding a batch cost into the moving mean per request."""
        each_s = duration_s / num_requests
        if self._mean_s is None:
            self._mean_s = each_s
        else:
            self._mean_s = MEMORY_FRACTION * self._mean_s + (1 - MEMORY_FRACTION) * each_s
