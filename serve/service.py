"""The life of a request behind the HTTP surface: photo, key, cache, engine, answer.

It knows no web framework. Requests that are the same at the same time are computed once; a request
that is cancelled frees its slot; a cache that is down is a cache that misses.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from PIL import Image

from model_core.config import ExitConfig, TaskConfig
from model_core.preprocessing import decode_photo
from model_core.request import EMBEDDING_TASK, TAGS_TASK
from serve import questions, schemas
from serve.cache.cache_control import FREE_USE, CacheUse
from serve.cache.flight import SingleFlight
from serve.cache.metrics import CacheEvent, watch_cache
from serve.cache.replica_flight import ReplicaFlight, Shared
from serve.cache.result_cache import (
    CachedAnswer,
    KeyParts,
    ResultCache,
    cache_key,
    hash_pixels,
    normalise_text,
)
from serve.cache.seen_photos import SeenPhotos
from serve.engine import Engine
from serve.errors import DeadlineExceededError, InvalidInputError
from serve.http.drain import Drain
from serve.http.rate_limit import RateLimiter
from serve.policies.book import ChosenPolicy, PolicyBook
from serve.questions import DecodedQuestion, EmbeddingQuestion, Photo, Question, TagsQuestion
from serve.settings import ServeSettings
from serve.steering.audit import AuditSource
from serve.steering.oversight import Oversight
from serve.telemetry.engine_observer import Timeline
from serve.telemetry.metrics import ModelNames, ServiceMetrics
from serve.telemetry.tracing import Tracing
from serve.token_feed import Follow, TokenFeed, follow_nothing

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class ModelInfoLike(ModelNames, Protocol):
    """What the service reports of a model; ``model_core.predictor.ModelInfo`` has it."""

    @property
    def num_encoder_layers(self) -> int: ...
    @property
    def num_decoder_layers(self) -> int: ...
    @property
    def first_exit_depth(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def vocabulary_size(self) -> int: ...
    @property
    def num_parameters(self) -> int: ...
    @property
    def preprocessing_version(self) -> str: ...
    @property
    def tasks(self) -> Mapping[str, TaskConfig]: ...
    @property
    def learned_kinds(self) -> Sequence[str]: ...
    @property
    def embedding_size(self) -> int: ...
    @property
    def tags(self) -> Sequence[str]: ...


class PredictorLike(questions.PredictorLike, Protocol):
    """What the service needs of ``model_core.predictor.Predictor``."""

    @property
    def info(self) -> ModelInfoLike: ...


@dataclass(frozen=True)
class ServedAnswer:
    """An answer, where it came from, and the exits it was asked with."""

    content: CachedAnswer
    cache: schemas.CacheState
    policy: ChosenPolicy


class Service:
    """Answers questions with one model; belongs to one event loop."""

    def __init__(
        self,
        predictor: PredictorLike,
        engine: Engine,
        cache: ResultCache,
        settings: ServeSettings,
        tracing: Tracing | None = None,
    ) -> None:
        self.info = predictor.info
        self.engine = engine
        self.cache = cache
        self.settings = settings
        self.metrics = ServiceMetrics(engine, self.info)
        self.tracing = tracing or Tracing()
        self.policies = PolicyBook(
            settings.default_policy,
            self.info.num_encoder_layers,
            self.info.num_decoder_layers,
            self.info.learned_kinds,
            self.info.first_exit_depth,
        )
        self.drain = Drain()
        source = AuditSource(engine, self._prepare)
        self.oversight = Oversight(settings, source, self.policies, self.metrics.registry)
        self._predictor = predictor
        self._flights: SingleFlight[Shared] = SingleFlight()
        self._replicas = ReplicaFlight(cache)
        self.rate_limiter = RateLimiter.from_settings(settings)
        watch_cache(self.metrics.registry, cache)
        self._seen = SeenPhotos()
        self._workers = ThreadPoolExecutor(settings.num_decode_threads, "offramp-photo")

    async def question(
        self,
        task: str,
        photo: bytes,
        hypothesis: str | None = None,
        premise: str | None = None,
        max_new_tokens: int | None = None,
        num_beams: int = 1,
    ) -> DecodedQuestion:
        """A checked question with its photo decoded.

        Raises:
            InvalidInputError: A field cannot be used with this task.
            InputError: The photo cannot be used.
        """
        config = self._task(task)
        hypothesis = self._text("hypothesis", hypothesis)
        premise = self._text("premise", premise)
        _check_texts(task, config, hypothesis, premise)
        hypothesis, premise = hypothesis or None, premise or None
        limit = config.max_new_tokens
        if max_new_tokens is not None and max_new_tokens > limit:
            raise InvalidInputError(
                f"max_new_tokens: {max_new_tokens} is too many; allowed are 1 to {limit}"
            )
        decoded = await self._photo(photo)
        return DecodedQuestion(
            task, decoded, hypothesis, premise, max_new_tokens or limit, num_beams
        )

    async def embedding_question(self, photo: bytes | None, text: str | None) -> EmbeddingQuestion:
        """A checked question for the vector of a photo or, where there is none, of a text.

        Raises:
            InvalidInputError: The text cannot be used.
            InputError: The photo cannot be used.
        """
        if photo is not None:
            return EmbeddingQuestion(await self._photo(photo))
        sentence = self._text("text", text)
        if not sentence:
            raise InvalidInputError(f"text: must hold a sentence (got {text!r})")
        return EmbeddingQuestion(sentence)

    async def tags_question(self, photo: bytes) -> TagsQuestion:
        """A question for the words of a photo.

        Raises:
            InputError: The photo cannot be used.
        """
        return TagsQuestion(await self._photo(photo))

    async def answer(
        self,
        question: Question,
        policy: ChosenPolicy,
        cache_use: CacheUse = FREE_USE,
        follow: Follow = follow_nothing,
        timeout_s: float | None = None,
    ) -> ServedAnswer:
        """The answer under one policy, within the time limit.

        Args:
            question: From ``question``.
            policy: From ``oversight.steering.choose``.
            cache_use: What the request may do with the cache.
            follow: Is given the feed of the answer's tokens when it is being computed here.
            timeout_s: The request's own limit; the service's when None.

        Raises:
            ServiceError: 422, 429, 500, 503 or 504.
            InputError: The text is too long for the model.
        """
        limit_s = self._time_limit(timeout_s)
        try:
            async with asyncio.timeout(limit_s):
                served = await self._answer(question, policy, cache_use, follow)
        except TimeoutError:
            raise DeadlineExceededError(
                f"no answer within {limit_s:g} s; try again later"
            ) from None
        preset = served.policy.name
        self.metrics.count_answer(question.task, preset, served.cache, served.content.trace)
        if served.cache in ("miss", "off"):
            self.oversight.auditor.consider(question, served.policy, served.content)
        return served

    def warm_up(self, timeout_s: float = 120.0) -> None:
        """Runs each task once, so that the first visitor does not pay for first-time work."""
        started = time.monotonic()
        grey = Image.new("RGB", (64, 64), "grey")
        requests = [
            self._predictor.request(
                name, grey, ExitConfig(), hypothesis="a photo" if task.takes_text else None
            )
            for name, task in self.info.tasks.items()
        ]
        if self.info.embedding_size:
            contents: tuple[Image.Image | str, ...] = (grey, "a photo")
            requests += [self._predictor.embedding_request(one, ExitConfig()) for one in contents]
        if self.info.tags:
            requests.append(self._predictor.tag_request(grey, ExitConfig()).as_request())
        for request in requests:
            self.engine.submit(request).result(timeout=timeout_s)
        seconds = time.monotonic() - started
        logger.info("model %s is warm after %.1f s", self.info.hash[:12], seconds)

    @property
    def tasks(self) -> list[str]:
        """What the model can be asked, those that need no decoder included."""
        has = {EMBEDDING_TASK: self.info.embedding_size, TAGS_TASK: self.info.tags}
        return [*self.info.tasks, *(name for name, found in has.items() if found)]

    async def aclose(self) -> None:
        """Stops the engine and the cache; what was admitted is finished first."""
        await self.oversight.auditor.aclose()
        await asyncio.to_thread(self.engine.close, self.settings.drain_timeout_s)
        self._workers.shutdown(wait=False, cancel_futures=True)
        await self.cache.aclose()
        if self.rate_limiter is not None:
            await self.rate_limiter.aclose()
        await asyncio.to_thread(self.tracing.close)

    async def _answer(
        self, question: Question, policy: ChosenPolicy, cache_use: CacheUse, follow: Follow
    ) -> ServedAnswer:
        if policy.preferred is not None and cache_use.may_read:
            kept = await self.cache.get(
                cache_key(self._key_parts(question, policy.preferred.exits))
            )
            if kept is not None:
                return ServedAnswer(kept, "hit", policy.preferred)
        key = cache_key(self._key_parts(question, policy.exits))
        kept = await self.cache.get(key) if cache_use.may_read else None
        if kept is not None:
            return ServedAnswer(kept, "hit", policy)
        if not (cache_use.may_share and self.cache.is_on):
            feed = TokenFeed()
            follow(feed)
            content = await self._compute(question, policy.exits, feed)
            if cache_use.may_keep:
                await self.cache.set(key, content)
            return ServedAnswer(content, "off", policy)
        while True:
            try:
                landed = await self._flights.run(
                    key,
                    lambda feed: self._compute_once(key, question, policy.exits, feed),
                    follow,
                )
            except DeadlineExceededError:
                # The leader's time is over, not ours: ours is watched by `answer`.
                continue
            if not landed.is_leader:
                self.cache.counts[CacheEvent.COALESCED] += 1
            is_own = landed.is_leader and not landed.value.is_from_elsewhere
            return ServedAnswer(landed.value.content, "miss" if is_own else "coalesced", policy)

    async def _compute_once(
        self, key: str, question: Question, exits: ExitConfig, feed: TokenFeed
    ) -> Shared:
        """Computes and keeps the answer, unless another replica is about to."""
        return await self._replicas.run(key, lambda: self._compute(question, exits, feed))

    async def _compute(
        self, question: Question, exits: ExitConfig, feed: TokenFeed
    ) -> CachedAnswer:
        request = await self._prepare(question, exits)
        timeline = Timeline()
        on_event = feed.add if question.has_early_tokens else None
        future = self.engine.submit(request, on_event, timeline=timeline)
        content = CachedAnswer.from_answer(await asyncio.wrap_future(future))
        self.tracing.note_computed(timeline, content.trace)
        return content

    async def _prepare(self, question: Question, exits: ExitConfig) -> Any:
        return await self._in_worker(lambda: question.prepare(self._predictor, exits))

    def _time_limit(self, timeout_s: float | None) -> float:
        """Seconds for one request.

        The engine is not told of it: others may wait for the same computation, and it is given up
        when nobody waits any more.
        """
        most_s = self.settings.request_timeout_s
        if timeout_s is None:
            return most_s
        if timeout_s > most_s:
            raise InvalidInputError(
                f"timeout_s: {timeout_s:g} is too long for this service; allowed are more than 0, "
                f"and at most {most_s:g}"
            )
        return timeout_s

    def _key_parts(self, question: Question, exits: ExitConfig) -> KeyParts:
        return KeyParts(
            model_hash=self.info.hash,
            preprocessing_version=self.info.preprocessing_version,
            numerics=f"{self.info.dtype}, {self.info.weights} weights",
            task=question.task,
            pixels=question.pixels,
            texts=question.texts,
            decoding=question.decoding,
            sites=question.sites,
            exits=exits,
        )

    def _task(self, name: str) -> TaskConfig:
        try:
            return self.info.tasks[name]
        except KeyError:
            raise InvalidInputError(
                f"task: this model has no {name!r}; it has {', '.join(self.info.tasks)}"
            ) from None

    def _text(self, field: str, text: str | None) -> str | None:
        limit = self.settings.max_text_chars
        if text is not None and len(text) > limit:
            raise InvalidInputError(
                f"{field}: {len(text)} characters are too many; allowed are 1 to {limit}"
            )
        return None if text is None else normalise_text(text)

    async def _photo(self, data: bytes) -> Photo:
        with self.tracing.stage("photo"):
            digest = self._seen.find(data)
            if digest is not None:
                return Photo(lambda: self._decode(data), digest)
            photo = await self._in_worker(lambda: _with_digest(self._decode(data)))
            self._seen.note(data, photo.digest)
            return photo

    def _decode(self, data: bytes) -> Image.Image:
        return decode_photo(data, self.settings.max_pixels)

    def _in_worker(self, work: Callable[[], Result]) -> Awaitable[Result]:
        return asyncio.get_running_loop().run_in_executor(self._workers, work)


def _with_digest(image: Image.Image) -> Photo:
    return Photo(image, hash_pixels(image))


def _check_texts(
    task: str, config: TaskConfig, hypothesis: str | None, premise: str | None
) -> None:
    if not config.takes_text:
        for field, text in (("hypothesis", hypothesis), ("premise", premise)):
            if text:
                raise InvalidInputError(f"{field}: the task {task} takes no text; leave it out")
    elif not hypothesis:
        raise InvalidInputError(
            f"hypothesis: must hold a sentence for the task {task} (got {hypothesis!r})"
        )
    elif premise == "":
        raise InvalidInputError("premise: must hold a sentence (got ''), or be left out")
