"""Who may use the service: bearer keys, compared in constant time, and who is asking."""

import hashlib
import hmac
from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from serve.errors import UnauthorizedError


def require_key(keys: Sequence[bytes]) -> Callable[..., Coroutine[Any, Any, None]]:
    """A dependency that lets through who sends one of ``keys``; everybody when there are none."""
    bearer = HTTPBearer(auto_error=False, description="Needed when the operator set API keys.")

    async def check(
        request: Request,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    ) -> None:
        if not keys:
            address = request.client.host if request.client else ""
            request.state.caller = _digest("address", address.encode())
            return
        if credentials is None:
            raise UnauthorizedError("authorization: no API key; send 'Authorization: Bearer KEY'")
        given = credentials.credentials.encode()
        # Compared with every key, so that the time tells nothing.
        matches = [hmac.compare_digest(given, key) for key in keys]
        if not any(matches):
            raise UnauthorizedError("authorization: this API key is not known here")
        request.state.caller = _digest("key", given)

    return check


def caller_of(request: Request) -> str:
    """A digest that stands for who asks: of the key or, without keys, of the peer's address.

    Behind a proxy that address is the proxy's, and everybody is one caller: what a header says of
    the address can be made up.
    """
    caller = request.state.caller
    assert isinstance(caller, str)
    return caller


def _digest(kind: str, value: bytes) -> str:
    return hashlib.sha256(kind.encode() + b":" + value).hexdigest()[:32]
