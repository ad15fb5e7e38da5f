"""Captions in the form of OpenAI's chat completions: its requests, answers and chunks.

The model captions photos with one instruction of its own. So of the messages only the photo is
read: texts, and whatever would change how words are drawn, are taken and change nothing, and the
answer names them under ``offramp.ignored``. What a client would notice missing (tools, several
choices, log-probabilities) is refused.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from serve import schemas
from serve.errors import InvalidInputError, describe_value
from serve.policies.preset_order import RankedPreset

BASE_MODEL = "offramp"
SEPARATOR = ":"
MAX_MESSAGES = 64
MAX_NAMES = 32


class ChatModel(BaseModel):
    """Base of the models here: fields that are not known are left to later versions."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class TextPart(ChatModel):
    """Words of a message; taken, and not read."""

    type: Literal["text"]
    text: str


class ImageUrl(ChatModel):
    """A photo as a data URL; addresses are not fetched."""

    url: str = Field(
        description="`data:image/jpeg;base64,...`", json_schema_extra={"pattern": "^data:image/"}
    )
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(ChatModel):
    """A photo in a message."""

    type: Literal["image_url"]
    image_url: ImageUrl


class ChatMessage(ChatModel):
    """One message; the photo is looked for in all of them."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Annotated[TextPart | ImagePart, Field(discriminator="type")]]


class StreamOptions(ChatModel):
    """What a stream tells besides."""

    include_usage: bool = False


class TextFormat(ChatModel):
    """The one form of answers there is."""

    type: Literal["text"]


class ChatRequest(BaseModel):
    """A photo to describe, as a conversation. Fields that are not listed change nothing."""

    model_config = ConfigDict(extra="allow", frozen=True)

    model: str = Field(
        description="`offramp` or the model's own name, and after a colon the preset: "
        "`offramp:fast`; the service's default without one."
    )
    messages: list[ChatMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: int | None = Field(
        default=None, ge=1, description="More than the model's own limit changes nothing."
    )
    max_tokens: int | None = Field(default=None, ge=1, description="Its older name.")
    min_quality: RankedPreset | None = Field(
        default=None, description="Not of OpenAI's form: as in `/v1/caption`."
    )
    timeout_s: float | None = Field(default=None, gt=0, description="Likewise.")
    n: Literal[1] | None = None
    logprobs: Literal[False] | None = None
    response_format: TextFormat | None = None
    stop: None = None
    tools: None = None

    @property
    def photo_url(self) -> str:
        """The data URL of the one photo.

        Raises:
            InvalidInputError: There is none or more than one, or it is not a data URL.
        """
        urls = [part.image_url.url for part in self._parts() if isinstance(part, ImagePart)]
        if len(urls) != 1:
            raise InvalidInputError(
                f"messages: hold {len(urls)} parts of type image_url; a caption is of exactly one"
            )
        if not urls[0].startswith("data:"):
            raise InvalidInputError(
                f"image_url: {describe_value(urls[0])} is not fetched; "
                "send the photo itself as data:image/jpeg;base64,..."
            )
        return urls[0]

    @property
    def limit(self) -> int | None:
        """Most tokens to answer with; None when the request leaves it open."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def ignored(self) -> list[str]:
        """What the request says and the answer does not depend on."""
        texts = ["messages.text"] if any(self._texts()) else []
        names = [describe_value(name)[1:-1] for name in sorted(self.model_extra or ())]
        return texts + names[:MAX_NAMES]

    def _texts(self) -> Iterator[str]:
        yield from (one.content for one in self.messages if isinstance(one.content, str))
        yield from (part.text for part in self._parts() if isinstance(part, TextPart))

    def _parts(self) -> Iterator[TextPart | ImagePart]:
        for message in self.messages:
            if not isinstance(message.content, str):
                yield from message.content


class AssistantMessage(ChatModel):
    """The caption."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


FinishReason = Literal["stop", "length"]


class Choice(ChatModel):
    """The one choice."""

    index: Literal[0] = 0
    message: AssistantMessage
    logprobs: None = None
    finish_reason: FinishReason


class Usage(ChatModel):
    """Tokens that were read and written.

    ``prompt_tokens`` are those of the photo and of the model's own instruction, as its decoder
    reads them; ``completion_tokens`` include the end mark.
    """

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatDetail(schemas.AnswerBase):
    """What the answer tells beyond OpenAI's form."""

    ignored: list[str]


class ChatAnswer(ChatModel):
    """A caption as a chat completion."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    offramp: ChatDetail


class Delta(ChatModel):
    """What a chunk adds; nothing else is named."""

    role: Literal["assistant"] | None = None
    content: str | None = None

    @model_serializer(mode="wrap")
    def _what_is_there(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if value is not None}


class ChunkChoice(ChatModel):
    """The one choice, as far as it goes."""

    index: Literal[0] = 0
    delta: Delta
    logprobs: None = None
    finish_reason: FinishReason | None = None


class ChatChunk(ChatModel):
    """A part of a streamed answer; the last with a choice has its reason, and ``offramp``."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
    offramp: ChatDetail | None = None


class ModelCard(ChatModel):
    """A name that ``model`` may have."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: Literal["offramp"] = "offramp"


class ModelList(ChatModel):
    """The names that ``model`` may have (`GET /v1/models`)."""

    object: Literal["list"] = "list"
    data: list[ModelCard]
