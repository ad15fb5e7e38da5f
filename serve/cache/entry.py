"""The form in which an answer lies in the cache: a digest, then its bytes.

The digest covers the key too, so that an entry of another key, a foreign value and a damaged one
are all told from an answer.
"""

import hashlib


class DamagedEntryError(ValueError):
    """The bytes are not an entry of this key."""


def seal_entry(key: str, payload: bytes) -> bytes:
    """What is stored under ``key`` for ``payload``."""
    return _digest(key, payload) + b"\n" + payload


def open_entry(key: str, entry: bytes) -> bytes:
    """The payload in an entry.

    Raises:
        DamagedEntryError: It was not sealed under this key, or has changed since.
    """
    digest, separator, payload = entry.partition(b"\n")
    if not separator or digest != _digest(key, payload):
        raise DamagedEntryError(f"{len(entry)} bytes that are no entry of this key")
    return payload


def _digest(key: str, payload: bytes) -> bytes:
    digest = hashlib.sha256(key.encode() + b"\n")
    digest.update(payload)
    return digest.hexdigest().encode()
