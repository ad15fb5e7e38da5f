"""The result cache: what makes two requests the same, how an answer is stored, and never failing.

A key covers everything the answer depends on. Where a parameter cannot matter it is left out, so
that the full-depth answer is found however it was asked for. Values are JSON with a format version,
under a digest; what cannot be read is a miss, and so is a server that does not answer.
"""

import hashlib
import json
import logging
import unicodedata
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from PIL import Image
from pydantic import Field, ValidationError
from redis.exceptions import RedisError

from model_core.config import CatchUp, ExitConfig
from model_core.policies import ExitSite, NeverPolicy
from model_core.types import Answer
from serve import schemas
from serve.cache.backends import CacheBackend, MemoryBackend, RedisBackend
from serve.cache.breaker import BreakerState, CircuitBreaker
from serve.cache.entry import DamagedEntryError, open_entry, seal_entry
from serve.cache.metrics import CacheCounts, CacheEvent
from serve.rules import WireModel
from serve.settings import ServeSettings

logger = logging.getLogger(__name__)

FORMAT_VERSION = 2
MAX_ENTRY_BYTES = 2**20

BackendName = Literal["redis", "embedded", "memory", "off"]
Result = TypeVar("Result")


class CachedAnswer(WireModel):
    """What is kept of an answer; the policy and the ids belong to the request."""

    format_version: Literal[2] = 2
    task: str
    text: str
    probabilities: dict[str, float]
    trace: schemas.ExitTrace
    threshold: float | None = None
    embedding: list[float] = Field(default_factory=list)
    text_parts: list[str] = Field(default_factory=list)
    num_memory_tokens: int = 0

    @property
    def tokens(self) -> list[schemas.StreamedToken]:
        """The answer's tokens, as a stream sends them."""
        return [
            schemas.StreamedToken(text=text, depth=token.depth)
            for text, token in zip(self.text_parts, self.trace.decoder.tokens, strict=True)
        ]

    @classmethod
    def from_answer(cls, answer: Answer) -> "CachedAnswer":
        """The wire form of what the model answered."""
        return cls(
            task=answer.task,
            text=answer.text,
            probabilities=dict(answer.probabilities),
            trace=schemas.ExitTrace.model_validate(answer.trace),
            threshold=answer.threshold,
            embedding=list(answer.embedding),
            text_parts=list(answer.text_parts),
            num_memory_tokens=answer.num_memory_tokens,
        )


@dataclass(frozen=True)
class KeyParts:
    """Everything an answer depends on.

    Attributes:
        model_hash: Of the weights.
        preprocessing_version: Of the photo's way to the model.
        numerics: Type of the numbers the model computes with, and how its weights are kept.
        task: Name of the task.
        pixels: ``hash_pixels`` of the decoded photo; None without one.
        texts: Normalised texts of the caller by field; None where absent.
        decoding: Parameters of the decoding, by name; empty where nothing is decoded.
        exits: The policies in force.
        sites: Those of them that the answer depends on.
    """

    model_hash: str
    preprocessing_version: str
    numerics: str
    task: str
    pixels: str | None
    texts: Mapping[str, str | None]
    decoding: Mapping[str, int]
    exits: ExitConfig
    sites: tuple[ExitSite, ...] = tuple(ExitSite)


def normalise_text(text: str) -> str:
    """Composed characters, single spaces: the form in which a text is compared and computed."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def hash_pixels(photo: Image.Image) -> str:
    """A digest of what the model sees: mode, size and decoded bytes; the file does not matter."""
    digest = hashlib.sha256(f"{photo.mode} {photo.width}x{photo.height} ".encode())
    digest.update(photo.tobytes())
    return digest.hexdigest()


def cache_key(parts: KeyParts) -> str:
    """The name under which the answer is kept."""
    values = {
        "format": FORMAT_VERSION,
        "model": parts.model_hash,
        "preprocessing": parts.preprocessing_version,
        "numerics": parts.numerics,
        "task": parts.task,
        "pixels": parts.pixels,
        "texts": dict(parts.texts),
        "decoding": dict(parts.decoding),
        "exits": _relevant_exits(parts.exits, parts.sites),
    }
    text = json.dumps(values, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return f"offramp:{FORMAT_VERSION}:{hashlib.sha256(text.encode()).hexdigest()}"


def _relevant_exits(exits: ExitConfig, sites: Sequence[ExitSite]) -> dict[str, Any]:
    """The policies without what cannot change the answer; empty at full depth."""
    relevant: dict[str, Any] = {}
    for site in sites:
        policy = getattr(exits, site.value)
        if not isinstance(policy, NeverPolicy):
            relevant[site.value] = policy.model_dump(mode="json")
    if ExitSite.DECODER.value in relevant:
        relevant["catch_up"] = CatchUp(exits.catch_up).value
        relevant["lookahead"] = exits.lookahead
    return relevant


class ResultCache:
    """Answers by key; every failure of the backend is a miss, logged once until it is over."""

    def __init__(
        self,
        backend: CacheBackend | None,
        name: BackendName,
        max_entry_bytes: int = MAX_ENTRY_BYTES,
    ) -> None:
        self.counts: CacheCounts = CacheCounts()
        self._backend = backend
        self._name: BackendName = name
        self._max_entry_bytes = max_entry_bytes
        self._breaker = CircuitBreaker()

    @classmethod
    def from_settings(cls, settings: ServeSettings) -> "ResultCache":
        """The cache the settings ask for; it connects on first use."""
        if not settings.cache:
            return cls(None, "off")
        url = settings.read_redis_url()
        if url is not None:
            return cls(RedisBackend(url, settings.cache_ttl_s), settings.cache_backend_name)
        memory = MemoryBackend(
            settings.memory_cache_entries, settings.cache_ttl_s, settings.memory_cache_bytes
        )
        return cls(memory, "memory")

    @property
    def name(self) -> BackendName:
        """Which backend this is."""
        return self._name

    @property
    def is_on(self) -> bool:
        """False when every request is computed."""
        return self._backend is not None

    @property
    def is_up(self) -> bool:
        """False since the backend last failed."""
        return self._breaker.state is BreakerState.CLOSED

    @property
    def breaker_state(self) -> BreakerState:
        """Whether the backend is asked."""
        return self._breaker.state

    async def get(self, key: str) -> CachedAnswer | None:
        """The answer kept under ``key``; None when there is none, or none that can be read."""
        answer = await self.peek(key)
        if self.is_on:
            self.counts[CacheEvent.MISS if answer is None else CacheEvent.HIT] += 1
        return answer

    async def peek(self, key: str) -> CachedAnswer | None:
        """As ``get``, but neither a hit nor a miss: for who waits for an answer to be kept."""
        entry = await self._try(lambda backend: backend.get(key), None)
        return None if entry is None else self._open(key, entry)

    async def set(self, key: str, answer: CachedAnswer) -> None:
        """Keeps an answer, if the backend is there and the answer is not too large."""
        entry = seal_entry(key, answer.model_dump_json().encode())
        if len(entry) > self._max_entry_bytes:
            self.counts[CacheEvent.TOO_LARGE] += 1
            return

        async def store(backend: CacheBackend) -> bool:
            await backend.set(key, entry)
            return True

        if await self._try(store, False):
            self.counts[CacheEvent.STORED] += 1

    async def lock(self, key: str, token: str, seconds: float) -> bool:
        """True when the caller should compute: the lock is its own, or there is no backend."""
        return await self._try(lambda backend: backend.lock(key, token, seconds), True)

    async def unlock(self, key: str, token: str) -> None:
        """Lets others compute, if the lock is still the caller's."""
        await self._try(lambda backend: backend.unlock(key, token), None)

    async def check(self) -> bool:
        """Asks the backend whether it is there; True when it is, or when there is none."""
        if self._backend is None:
            return True
        try:
            await self._backend.ping()
        except (RedisError, OSError) as error:
            self._note_failure(error)
            return False
        self._note_success()
        return True

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._backend is not None:
            try:
                await self._backend.aclose()
            except (RedisError, OSError) as error:
                logger.debug("closing the result cache failed: %s", type(error).__name__)

    async def _try(
        self, call: Callable[[CacheBackend], Awaitable[Result]], otherwise: Result
    ) -> Result:
        """What the backend says, or ``otherwise`` when there is none or it does not answer."""
        if self._backend is None:
            return otherwise
        if not self._breaker.allows():
            self.counts[CacheEvent.SKIPPED] += 1
            return otherwise
        try:
            result = await call(self._backend)
        except (RedisError, OSError) as error:
            self._note_failure(error)
            return otherwise
        self._note_success()
        return result

    def _note_failure(self, error: Exception) -> None:
        if self.is_up:
            logger.warning(
                "result cache (%s) is down, computing every answer: %s", self._name, error
            )
        self.counts[CacheEvent.ERROR] += 1
        self._breaker.failed()

    def _note_success(self) -> None:
        if not self.is_up:
            logger.info("result cache (%s) is up again", self._name)
        self._breaker.succeeded()

    def _open(self, key: str, entry: bytes) -> CachedAnswer | None:
        try:
            return CachedAnswer.model_validate_json(open_entry(key, entry))
        except (DamagedEntryError, ValidationError):
            self.counts[CacheEvent.CORRUPTED] += 1
            logger.warning("an entry of the result cache cannot be read; computing the answer")
            return None
