"""Questions to the service as the page asks them: words while they arrive, then the answer."""

from collections.abc import Iterable, Iterator

from app.client import Client
from app.setting import Plan, Setting
from app.state import Shown, shown_from
from serve.schemas import (
    AnswerBase,
    CaptionRequest,
    EntailmentRequest,
    StreamedToken,
    TokenEvent,
)

# Words decided so far, in order; joined, their texts are the answer's.
Words = tuple[StreamedToken, ...]


def ask_caption(client: Client, request: CaptionRequest) -> Iterator[Words | Shown]:
    """A caption's words so far, again and again while they are decided, then the whole answer.

    Raises:
        ServiceError: The service refused or failed.
    """
    return collected(client.stream_caption(request))


def ask_label(client: Client, request: EntailmentRequest) -> Iterator[Words | Shown]:
    """The word that stands for the label, then the whole answer.

    Raises:
        ServiceError: The service refused or failed.
    """
    return collected(client.stream_entailment(request))


def ask_setting(
    client: Client, plan: Plan, photo: str, setting: Setting
) -> Iterator[Words | Shown]:
    """What one setting of a plan gives for a photo in base64.

    Raises:
        ServiceError: The service refused or failed.
    """
    if plan.task == "caption":
        request = CaptionRequest(image=photo, policy=setting.policy, num_beams=setting.num_beams)
        return ask_caption(client, request)
    judged = EntailmentRequest(
        image=photo,
        hypothesis=plan.hypothesis,
        premise=plan.premise.strip() or None,
        policy=setting.policy,
    )
    return ask_label(client, judged)


def collected(events: Iterable[TokenEvent | AnswerBase]) -> Iterator[Words | Shown]:
    """All words so far at each event, and the answer at the end."""
    words: Words = ()
    for event in events:
        if isinstance(event, TokenEvent):
            words += tuple(event.tokens)
            yield words
        else:
            yield shown_from(event)
