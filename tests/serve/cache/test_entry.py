"""Whatever is not an entry of this key is told from one."""

import pytest

from serve.cache.entry import DamagedEntryError, open_entry, seal_entry

ENTRY = seal_entry("key", b'{"text": "a dog"}')


def test_payload_comes_back() -> None:
    assert open_entry("key", ENTRY) == b'{"text": "a dog"}'


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"\n",
        b'{"text": "a dog"}',
        ENTRY[:-1],
        ENTRY + b" ",
        ENTRY.replace(b"dog", b"cat"),
        seal_entry("other", b'{"text": "a dog"}'),
    ],
)
def test_anything_else_is_refused(entry: bytes) -> None:
    with pytest.raises(DamagedEntryError, match=f"{len(entry)} bytes that are no entry"):
        open_entry("key", entry)
