"""Calls of a load: on time, unique unless they repeat, the same for the same seed."""

import json

import pytest
from PIL import Image

from serve.load.arrivals import Mix, Phase
from serve.load.calls import HYPOTHESES, Load, make_body
from serve.load.photos import PhotoSource

PHOTOS = PhotoSource([Image.new("RGB", (192, 16), "teal")])


def make_load(cached_fraction: float = 0.0, seed: int = 0) -> Load:
    mix = Mix.parse("caption=1,entailment=1")
    return Load((Phase(50.0, 4.0),), mix, {"policy": "fast"}, cached_fraction, seed)


def test_no_two_calls_are_the_same() -> None:
    calls = make_load().calls(PHOTOS)
    assert len({(call.path, call.body) for call in calls}) == len(calls) > 100
    assert not any(call.is_repeat for call in calls)


def test_share_of_repeats_asks_for_what_was_asked_before() -> None:
    calls = make_load(0.5).calls(PHOTOS)
    assert sum(call.is_repeat for call in calls) == pytest.approx(len(calls) / 2, abs=25)
    seen: set[tuple[str, bytes]] = set()
    for call in calls:
        assert ((call.path, call.body) in seen) is call.is_repeat
        seen.add((call.path, call.body))


def test_same_seed_gives_the_same_calls() -> None:
    assert make_load(0.2).calls(PHOTOS) == make_load(0.2).calls(PHOTOS)
    assert make_load(seed=1).calls(PHOTOS) != make_load(seed=2).calls(PHOTOS)


def test_body_carries_the_fields_and_a_sentence_where_the_task_takes_one() -> None:
    body = json.loads(make_body("entailment", b"photo", {"policy": "fast"}, 1))
    assert body == {"image": "cGhvdG8=", "policy": "fast", "hypothesis": HYPOTHESES[1]}
    assert set(json.loads(make_body("tags", b"photo", {}))) == {"image"}


def test_all_repeats_are_refused() -> None:
    with pytest.raises(ValueError, match="cached_fraction 1 must be"):
        make_load(1.0)
