"""What can go wrong between a visitor and an answer.

PageError               message for the person at the page, request id where there is one
├── ServiceError        the service refused, failed, or did not answer
└── InputError          what was entered cannot be sent: no photo, odd thresholds, a foreign file
"""


class PageError(Exception):
    """A failure that can be told to the visitor.

    Attributes:
        message: What went wrong and what to do, in a sentence.
        request_id: The service's id of the request; None when it never got that far.
    """

    def __init__(self, message: str, request_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.request_id = request_id


class ServiceError(PageError):
    """A call to the service failed."""


class InputError(PageError):
    """What was entered cannot be sent or opened."""
