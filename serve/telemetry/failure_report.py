"""What a log may say of an unexpected error: where it came from, never what it says.

The text of an error may quote what a user sent.
"""

import traceback

UNEXPECTED = "the service failed; its log has the cause under this id"


def describe_failure(error: BaseException) -> str:
    """The kind of an error and of its causes, each with the lines it passed."""
    parts = []
    cause: BaseException | None = error
    while cause is not None:
        lines = "".join(traceback.format_list(traceback.extract_tb(cause.__traceback__)))
        parts.append(f"{type(cause).__qualname__} at\n{lines}")
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "from ".join(parts)
