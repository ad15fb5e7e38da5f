"""The limits of a request's body: how many bytes, and how long they may take to arrive."""

import asyncio

from starlette.requests import Request
from starlette.types import Message, Receive, Scope

from serve.errors import BodyTimeoutError, PayloadTooLargeError


def bounded_receive(scope: Scope, receive: Receive, max_bytes: int, timeout_s: float) -> Receive:
    """``receive`` that refuses a body over the limits, whether or not its length was announced.

    The time runs from now to the last byte, so that one byte now and then does not renew it; what
    comes after the body (the client leaving) may take as long as it likes.
    """
    announced = Request(scope).headers.get("content-length", "")
    deadline = asyncio.get_running_loop().time() + timeout_s
    num_bytes = 0
    is_complete = False

    async def bounded() -> Message:
        nonlocal num_bytes, is_complete
        if announced.isdecimal() and int(announced) > max_bytes:
            raise PayloadTooLargeError(f"body: {announced} bytes; at most {max_bytes} are allowed")
        if is_complete:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise BodyTimeoutError(
                f"body: {num_bytes} bytes came within {timeout_s:g} s, and the end did not; "
                "send it faster or in one piece"
            ) from None
        is_complete = message["type"] != "http.request" or not message.get("more_body", False)
        num_bytes += len(message.get("body", b""))
        if num_bytes > max_bytes:
            raise PayloadTooLargeError(f"body: more than the {max_bytes} bytes that are allowed")
        return message

    return bounded
