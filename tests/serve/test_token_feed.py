"""Tokens on their way from the engine's thread to the clients."""

import asyncio
import threading

from model_core.types import StepEvent
from serve.token_feed import TokenFeed, TokenReader


def token(text: str, depth: int = 2) -> StepEvent:
    return StepEvent(0, text, depth, is_finished=False)


def texts(reader: TokenReader) -> list[str]:
    return [token.text for token in reader.take()]


async def test_reader_takes_each_token_once_with_its_depth() -> None:
    feed, reader = TokenFeed(), TokenReader()
    reader.follow(feed)
    feed.add(token("a", 1))
    feed.add(token(" dog", 3))
    assert [(token.text, token.depth) for token in reader.take()] == [("a", 1), (" dog", 3)]
    assert reader.take() == []
    feed.add(token(" runs"))
    assert texts(reader) == [" runs"]
    assert reader.num_taken == 3


async def test_who_comes_late_reads_from_the_start() -> None:
    feed, late = TokenFeed(), TokenReader()
    feed.add(token("a"))
    late.follow(feed)
    assert late.news.is_set()
    assert texts(late) == ["a"]


async def test_reader_goes_on_where_it_was_in_another_feed() -> None:
    """The computation was given up, and somebody started it again."""
    first, second, reader = TokenFeed(), TokenFeed(), TokenReader()
    reader.follow(first)
    first.add(token("a"))
    assert texts(reader) == ["a"]
    reader.follow(second)
    second.add(token("a"))
    second.add(token(" dog"))
    assert texts(reader) == [" dog"]


async def test_token_of_another_thread_wakes_the_reader() -> None:
    feed, reader = TokenFeed(), TokenReader()
    reader.follow(feed)
    reader.news.clear()
    thread = threading.Thread(target=feed.add, args=(token("a"),))
    thread.start()
    await asyncio.wait_for(reader.news.wait(), 10)
    thread.join()
    assert texts(reader) == ["a"]


async def test_reader_that_is_closed_is_left_alone() -> None:
    feed, reader = TokenFeed(), TokenReader()
    reader.follow(feed)
    reader.close()
    reader.news.clear()
    feed.add(token("a"))
    await asyncio.sleep(0)
    assert not reader.news.is_set()
    assert reader.take() == []
