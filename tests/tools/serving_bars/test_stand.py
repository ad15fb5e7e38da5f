"""Calls without end: tasks by their shares, photos of their own."""

import itertools

from PIL import Image

from serve.load.arrivals import Mix
from serve.load.photos import PhotoSource
from tools.serving_bars.stand import endless_calls

PHOTOS = PhotoSource([Image.new("RGB", (192, 16), "teal")])


def test_tasks_follow_their_shares_in_a_fixed_order() -> None:
    calls = endless_calls(PHOTOS, Mix.parse("caption=4,entailment=1"), {}, "/x/{task}")
    taken = list(itertools.islice(calls, 10))
    assert [call.task for call in taken].count("entailment") == 2
    assert {call.path for call in taken} == {"/x/caption", "/x/entailment"}
    assert len({call.body for call in taken}) == 10
