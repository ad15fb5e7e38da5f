"""What is asked of the model, as data: what it depends on, and the request that it becomes.

One class per kind of question. The service treats them alike: a key from what the answer depends
on, and a request for the engine when nobody has the answer yet.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from PIL import Image

from model_core.config import ExitConfig
from model_core.policies import ExitSite
from model_core.request import EMBEDDING_TASK, TAGS_TASK


class PredictorLike(Protocol):
    """What a question needs of ``model_core.predictor.Predictor``."""

    def request(
        self,
        task: str,
        photo: Image.Image,
        exits: ExitConfig,
        hypothesis: str | None = None,
        premise: str | None = None,
        max_new_tokens: int | None = None,
        num_beams: int = 1,
    ) -> Any: ...

    def embedding_request(self, content: Image.Image | str, exits: ExitConfig) -> Any: ...

    def tag_request(self, photo: Image.Image, exits: ExitConfig) -> Any: ...


@dataclass(frozen=True)
class Photo:
    """A photo and the digest of its pixels.

    Attributes:
        source: The decoded photo, or what decodes it when it is needed.
        digest: Of the pixels.
    """

    source: Image.Image | Callable[[], Image.Image]
    digest: str

    @cached_property
    def image(self) -> Image.Image:
        """The decoded photo: decoded once, however many settings ask about it."""
        return self.source() if callable(self.source) else self.source


class Question(ABC):
    """One question; texts are normalised."""

    @property
    @abstractmethod
    def task(self) -> str:
        """What presets and answers call it."""

    @property
    @abstractmethod
    def pixels(self) -> str | None:
        """Digest of the photo; None without one."""

    @property
    def texts(self) -> Mapping[str, str | None]:
        """Texts of the caller by field."""
        return {}

    @property
    def decoding(self) -> Mapping[str, int]:
        """How the answer is decoded; empty where it is not."""
        return {}

    @property
    def has_early_tokens(self) -> bool:
        """True where a decoded token is final, and may be shown before the answer is there."""
        return False

    @property
    @abstractmethod
    def sites(self) -> tuple[ExitSite, ...]:
        """Where a policy can change the answer."""

    @abstractmethod
    def prepare(self, predictor: PredictorLike, exits: ExitConfig) -> Any:
        """The request for the engine.

        Raises:
            InputError: The model cannot answer this.
        """


@dataclass(frozen=True)
class DecodedQuestion(Question):
    """A question about a photo that is answered in words."""

    name: str
    photo: Photo
    hypothesis: str | None
    premise: str | None
    max_new_tokens: int
    num_beams: int

    @property
    def task(self) -> str:
        return self.name

    @property
    def pixels(self) -> str | None:
        return self.photo.digest

    @property
    def texts(self) -> Mapping[str, str | None]:
        return {"hypothesis": self.hypothesis, "premise": self.premise}

    @property
    def decoding(self) -> Mapping[str, int]:
        return {"num_beams": self.num_beams, "max_new_tokens": self.max_new_tokens}

    @property
    def has_early_tokens(self) -> bool:
        return self.num_beams == 1

    @property
    def sites(self) -> tuple[ExitSite, ...]:
        return tuple(ExitSite)

    def prepare(self, predictor: PredictorLike, exits: ExitConfig) -> Any:
        return predictor.request(
            self.name,
            self.photo.image,
            exits,
            hypothesis=self.hypothesis,
            premise=self.premise,
            max_new_tokens=self.max_new_tokens,
            num_beams=self.num_beams,
        )


@dataclass(frozen=True)
class EmbeddingQuestion(Question):
    """The unit vector of a photo or of a sentence."""

    content: Photo | str

    @property
    def task(self) -> str:
        return EMBEDDING_TASK

    @property
    def pixels(self) -> str | None:
        return None if isinstance(self.content, str) else self.content.digest

    @property
    def texts(self) -> Mapping[str, str | None]:
        return {"text": self.content} if isinstance(self.content, str) else {}

    @property
    def sites(self) -> tuple[ExitSite, ...]:
        return (ExitSite.TEXT if isinstance(self.content, str) else ExitSite.IMAGE,)

    def prepare(self, predictor: PredictorLike, exits: ExitConfig) -> Any:
        content = self.content if isinstance(self.content, str) else self.content.image
        return predictor.embedding_request(content, exits)


@dataclass(frozen=True)
class TagsQuestion(Question):
    """Which of the model's words a photo shows."""

    photo: Photo

    @property
    def task(self) -> str:
        return TAGS_TASK

    @property
    def pixels(self) -> str | None:
        return self.photo.digest

    @property
    def sites(self) -> tuple[ExitSite, ...]:
        return (ExitSite.IMAGE,)

    def prepare(self, predictor: PredictorLike, exits: ExitConfig) -> Any:
        return predictor.tag_request(self.photo.image, exits).as_request()
