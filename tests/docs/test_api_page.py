"""The page for authors of clients names every field, event, cache state and error there is."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from serve import schemas
from serve.errors import HTTP_CODES, ClientGoneError, ServiceError

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
REQUESTS = (
    schemas.CaptionRequest,
    schemas.EntailmentRequest,
    schemas.EmbedRequest,
    schemas.TagsRequest,
    schemas.CompareRequest,
)
FIELDS = sorted({name for request in REQUESTS for name in request.model_fields})


def kinds_of_error(base: type[ServiceError] = ServiceError) -> Iterator[type[ServiceError]]:
    yield base
    for kind in base.__subclasses__():
        yield from kinds_of_error(kind)


CODES = {kind.code for kind in kinds_of_error()} - {ClientGoneError.code} | {*HTTP_CODES.values()}


@pytest.mark.parametrize(
    "name", [*FIELDS, *schemas.StreamEvent, *get_args(schemas.CacheState), *sorted(CODES)]
)
def test_name_is_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE
