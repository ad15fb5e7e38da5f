"""What a request's ``Cache-Control`` asks of the result cache.

As RFC 9111, section 5.2.1, has it for requests: ``no-cache`` does not want a kept answer, and
``no-store`` does not want its own to be kept. Either one is computed for this request alone.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class CacheUse:
    """What a request may do with the cache.

    Attributes:
        may_read: A kept answer will do.
        may_keep: Its answer may be kept.
    """

    may_read: bool = True
    may_keep: bool = True

    @property
    def may_share(self) -> bool:
        """True when the answer may be computed together with that of other requests."""
        return self.may_read and self.may_keep


FREE_USE = CacheUse()


def read_cache_control(header: str) -> CacheUse:
    """What the value of a ``Cache-Control`` header allows; unknown directives say nothing."""
    directives = {part.partition("=")[0].strip().lower() for part in header.split(",")}
    return CacheUse(may_read="no-cache" not in directives, may_keep="no-store" not in directives)
