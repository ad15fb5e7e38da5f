"""Who may use the service: bearer keys, compared in constant time."""

import hmac
from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from serve.errors import UnauthorizedError


def require_key(keys: Sequence[bytes]) -> Callable[..., Coroutine[Any, Any, None]]:
    """A dependency that lets through who sends one of ``keys``; everybody when there are none."""
    bearer = HTTPBearer(auto_error=False, description="Needed when the operator set API keys.")

    async def check(
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    ) -> None:
        if not keys:
            return
        if credentials is None:
            raise UnauthorizedError("authorization: no API key; send 'Authorization: Bearer KEY'")
        given = credentials.credentials.encode()
        # Compared with every key, so that the time tells nothing.
        matches = [hmac.compare_digest(given, key) for key in keys]
        if not any(matches):
            raise UnauthorizedError("authorization: this API key is not known here")

    return check
