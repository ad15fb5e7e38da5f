"""The page's only way to the service: typed HTTP calls, and one error for every failure.

Owns the wire side (encoding photos, the bearer key, timeouts) and turns whatever goes wrong into a
``ServiceError`` whose message can be shown to a person. Knows nothing of Gradio.
"""

import base64
import logging
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import httpx
from pydantic import BaseModel

from app.errors import ServiceError
from app.responses import parse_answer, read_events, refusal
from serve.schemas import (
    CaptionAnswer,
    CaptionRequest,
    CompareAnswer,
    CompareRequest,
    EmbedAnswer,
    EmbedRequest,
    EntailmentAnswer,
    EntailmentRequest,
    HealthReport,
    ModelReport,
    PoliciesReport,
    TagsAnswer,
    TagsRequest,
    TokenEvent,
)

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0

Answer = TypeVar("Answer", bound=BaseModel)


def encode_photo(path: str | Path) -> str:
    """Base64 of the file as it is: the service, not the page, decodes and judges photos."""
    return base64.b64encode(Path(path).read_bytes()).decode("ascii")


@dataclass(frozen=True)
class Connection:
    """How a service is reached; see `Client`."""

    base_url: str
    api_key: str | None
    timeout_s: float
    transport: httpx.MockTransport | None

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every request."""
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    @property
    def timeout(self) -> httpx.Timeout:
        """Connecting must be quick; an answer may take as long as the settings allow."""
        return httpx.Timeout(self.timeout_s, connect=CONNECT_TIMEOUT_S)

    def failure(self, error: httpx.HTTPError) -> ServiceError:
        """A call that got no answer, as a sentence."""
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return ServiceError(
                f"The service at {self.base_url} does not answer. Start it with "
                "`python -m serve`, or wait until it is ready, then try again."
            )
        if isinstance(error, httpx.TimeoutException):
            return ServiceError(
                f"The service did not answer within {self.timeout_s:g} s. Try again later."
            )
        return ServiceError("The connection to the service broke before it answered. Try again.")


class Client:
    """Calls one Offramp service; safe to share between threads and sessions.

    Args:
        base_url: Address of the service.
        api_key: Sent as a bearer token when given.
        timeout_s: How long to wait for an answer.
        transport: Replaces the network in tests.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        transport: httpx.MockTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.connection = Connection(self.base_url, api_key, timeout_s, transport)
        self._http = httpx.Client(
            base_url=self.base_url,
            headers=self.connection.headers,
            timeout=self.connection.timeout,
            transport=transport,
            # The service is reached directly: a proxy of the environment must not see photos.
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def caption(self, request: CaptionRequest) -> CaptionAnswer:
        """The caption of a photo with its exits."""
        return self._post("/v1/caption", request, CaptionAnswer)

    def entailment(self, request: EntailmentRequest) -> EntailmentAnswer:
        """The label of a photo and a sentence with its exits."""
        return self._post("/v1/entailment", request, EntailmentAnswer)

    def stream_caption(self, request: CaptionRequest) -> Generator[TokenEvent | CaptionAnswer]:
        """Tokens of a caption while they are decided, then its answer; closing it stops the work.

        Every step raises ``ServiceError`` as ``caption`` does, also where the stream breaks off.
        """
        return self._stream("/v1/caption", request, CaptionAnswer)

    def stream_entailment(
        self, request: EntailmentRequest
    ) -> Generator[TokenEvent | EntailmentAnswer]:
        """The word that stands for the label, then the answer, as ``stream_caption`` does."""
        return self._stream("/v1/entailment", request, EntailmentAnswer)

    def compare(self, request: CompareRequest) -> CompareAnswer:
        """The same input under several settings."""
        return self._post("/v1/compare", request, CompareAnswer)

    def embed(self, request: EmbedRequest) -> EmbedAnswer:
        """The unit vector of a photo or of a text with its exits."""
        return self._post("/v1/embed", request, EmbedAnswer)

    def tags(self, request: TagsRequest) -> TagsAnswer:
        """The words of a photo with its exits."""
        return self._post("/v1/tags", request, TagsAnswer)

    def model(self) -> ModelReport:
        """Which weights answer."""
        return self._get("/v1/model", ModelReport)

    def policies(self) -> PoliciesReport:
        """The presets the service offers."""
        return self._get("/v1/policies", PoliciesReport)

    def health(self) -> HealthReport:
        """How the service is."""
        return self._get("/healthz", HealthReport)

    def metrics(self) -> str:
        """The service's Prometheus text."""
        return self._answered(self._http.build_request("GET", "/metrics")).text

    def _get(self, path: str, answer_type: type[Answer]) -> Answer:
        return self._send(self._http.build_request("GET", path), answer_type)

    def _post(self, path: str, body: BaseModel, answer_type: type[Answer]) -> Answer:
        payload = body.model_dump(mode="json", exclude_none=True)
        return self._send(self._http.build_request("POST", path, json=payload), answer_type)

    def _stream(
        self, path: str, body: CaptionRequest | EntailmentRequest, answer_type: type[Answer]
    ) -> Generator[TokenEvent | Answer]:
        payload = body.model_dump(mode="json", exclude_none=True) | {"stream": True}
        try:
            with self._http.stream("POST", path, json=payload) as response:
                if not response.is_success:
                    response.read()
                    raise refusal(response)
                yield from read_events(response, answer_type)
        except httpx.HTTPError as error:
            logger.warning("POST %s failed: %r", path, error)
            raise self.connection.failure(error) from error

    def _send(self, request: httpx.Request, answer_type: type[Answer]) -> Answer:
        return parse_answer(self._answered(request), answer_type)

    def _answered(self, request: httpx.Request) -> httpx.Response:
        try:
            response = self._http.send(request)
        except httpx.HTTPError as error:
            logger.warning("%s %s failed: %r", request.method, request.url.path, error)
            raise self.connection.failure(error) from error
        if not response.is_success:
            raise refusal(response)
        return response
