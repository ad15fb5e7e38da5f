"""Files that were decoded before, by their bytes: asked about again, they need no decoding.

The key of an answer is made of pixels, so that the same photo in another file is known too. A kept
answer to the very same file is found without them.
"""

import hashlib
from collections import OrderedDict

MAX_FILES = 4096
MAX_FILE_BYTES = 2**20  # hashing more would keep the event loop from others


class SeenPhotos:
    """The digests of pixels of the files seen last; belongs to one event loop."""

    def __init__(self, max_files: int = MAX_FILES) -> None:
        self._max_files = max_files
        self._digests: OrderedDict[bytes, str] = OrderedDict()

    def find(self, file: bytes) -> str | None:
        """The digest of the pixels of a file that was noted; None of any other."""
        if len(file) > MAX_FILE_BYTES:
            return None
        key = _key(file)
        if key in self._digests:
            self._digests.move_to_end(key)
        return self._digests.get(key)

    def note(self, file: bytes, digest: str) -> None:
        """Remembers a file that could be decoded; the one not asked for the longest goes."""
        if len(file) > MAX_FILE_BYTES:
            return
        self._digests[_key(file)] = digest
        while len(self._digests) > self._max_files:
            self._digests.popitem(last=False)


def _key(file: bytes) -> bytes:
    return hashlib.sha256(file).digest()
