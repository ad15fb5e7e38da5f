"""The order of photos by hand, and which of them the service is asked for."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app.client import Client
from app.errors import InputError, ServiceError
from app.ranking import PhotoKey, cosine, rank_photos
from app.tabs import search
from serve.rules import ExitRules
from serve.schemas import (
    EmbedAnswer,
    ModalityTrace,
)
from tests.app.conftest import read

MakeClient = Callable[[Callable[[httpx.Request], httpx.Response]], Client]
VECTORS = {"east": [1.0, 0.0], "north": [0.0, 1.0], "between": [0.6, 0.8]}
FULL = ModalityTrace(depth=6, num_layers=6, scores=[], thresholds=[])
NONE = ModalityTrace(depth=0, num_layers=6, scores=[], thresholds=[])


class FakeService:
    """Knows vectors of photos by their content and of texts by their words; refuses others."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.policies: list[object] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        words = body.get("text") or bytes.fromhex(body["image"]).decode()
        self.asked.append(words)
        self.policies.append(body.get("policy"))
        if words not in VECTORS:
            error = {"code": "invalid_input", "message": "not an image", "request_id": "req-9"}
            return httpx.Response(422, json={"error": error})
        canned = read("embed", EmbedAnswer)
        sides = {"image": FULL, "text": NONE} if "image" in body else {"image": NONE, "text": FULL}
        encoder = canned.trace.encoder.model_copy(update=sides)
        trace = canned.trace.model_copy(update={"encoder": encoder})
        answer = canned.model_copy(update={"embedding": VECTORS[words], "trace": trace})
        return httpx.Response(200, content=answer.model_dump_json())


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> FakeService:
    monkeypatch.setattr("app.ranking.encode_photo", lambda path: Path(path).read_bytes().hex())
    return FakeService()


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    paths = []
    for name in ("east", "north", "between"):
        (tmp_path / f"{name}.jpg").write_text(name)
        paths.append(str(tmp_path / f"{name}.jpg"))
    return paths


def silent(share: float, words: str) -> None:
    return None


def names(values: search.SearchValues) -> list[str]:
    return [Path(path).stem for path, _ in values.gallery["value"]]


def test_cosine_by_hand() -> None:
    assert cosine([0.6, 0.8], [1.0, 0.0]) == pytest.approx(0.6)


def test_nearest_photo_comes_first(
    make_client: MakeClient, service: FakeService, photos: list[str]
) -> None:
    found = rank_photos(make_client(service), photos, "north", "full", {}, silent)
    assert [Path(one.path).stem for one in found.photos] == ["north", "between", "east"]
    assert [one.cosine for one in found.photos] == pytest.approx([1.0, 0.8, 0.0])
    assert [one.rank for one in found.photos] == [1, 2, 3]


def test_another_text_embeds_the_text_alone(
    make_client: MakeClient, service: FakeService, photos: list[str]
) -> None:
    client = make_client(service)
    first = rank_photos(client, photos, "north", "full", {}, silent)
    service.asked.clear()
    second = rank_photos(client, photos, "east", "full", first.vectors, silent)
    assert service.asked == ["east"]
    assert (first.num_asked, second.num_asked) == (3, 0)
    assert [Path(one.path).stem for one in second.photos] == ["east", "between", "north"]


def test_another_setting_embeds_the_photos_again(
    make_client: MakeClient, service: FakeService, photos: list[str]
) -> None:
    client = make_client(service)
    first = rank_photos(client, photos, "north", "full", {}, silent)
    for policy in ("fast", ExitRules()):
        assert rank_photos(client, photos, "north", policy, first.vectors, silent).num_asked == 3


def test_vectors_of_photos_that_are_gone_are_not_kept(
    make_client: MakeClient, service: FakeService, photos: list[str]
) -> None:
    client = make_client(service)
    first = rank_photos(client, photos, "north", "full", {}, silent)
    second = rank_photos(client, photos[:1], "north", "full", first.vectors, silent)
    assert list(second.vectors) == [PhotoKey(photos[0], "full")]


def test_progress_counts_the_photos(
    make_client: MakeClient, service: FakeService, photos: list[str]
) -> None:
    told: list[tuple[float, str]] = []
    rank_photos(make_client(service), photos, "north", "full", {}, lambda *step: told.append(step))
    assert told[-1] == (1.0, "3 of 3 photos embedded")
    assert [share for share, _ in told] == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_refused_photo_is_named_and_the_others_are_ranked(
    make_client: MakeClient, service: FakeService, photos: list[str], tmp_path: Path
) -> None:
    (tmp_path / "broken.jpg").write_text("nonsense")
    values = search.search_photos(
        make_client(service), [*photos, str(tmp_path / "broken.jpg")], "north", {}, "full", silent
    )
    assert names(values) == ["north", "between", "east"]
    assert "broken.jpg: not an image" in values.summary and "req-9" in values.summary


def test_words_below_a_photo_and_layers_of_all(
    make_client: MakeClient, service: FakeService, photos: list[str]
) -> None:
    values = search.search_photos(make_client(service), photos, "north", {}, "full", silent)
    assert values.gallery["value"][1][1] == "2. cosine 0.800, 6 of 6 layers"
    assert "3 embedded for this search, 0 known from before" in values.summary
    assert "Text: 6 of 6 layers" in values.summary
    assert "1. north.jpg (1.000): 6 of 6 layers" in values.summary


@pytest.mark.parametrize(
    ("count", "text", "sentence"),
    [
        (0, "a dog", "There are no photos yet"),
        (51, "a dog", "These are 51 photos; at most 50 can be searched."),
        (1, "  ", "Say what to look for"),
    ],
)
def test_what_cannot_be_searched_is_said(
    client: Client, count: int, text: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        search.ask(client, ["photo.jpg"] * count, text, {}, "full", (), silent)


def test_service_that_is_down_is_one_sentence_and_keeps_what_is_known(
    down_client: Client, photos: list[str]
) -> None:
    kept = {PhotoKey(photos[0], "full"): read("embed", EmbedAnswer)}
    values = search.search_photos(down_client, photos, "north", kept, "full", silent)
    assert values.summary.count("does not answer") == 1
    assert values.vectors == kept
    with pytest.raises(ServiceError):
        rank_photos(down_client, photos, "north", "full", {}, silent)


def test_own_thresholds_reach_the_service(
    make_client: MakeClient, service: FakeService, photos: list[str], own_values: tuple[object, ...]
) -> None:
    client = make_client(service)
    search.search_photos(client, photos, "north", {}, "own thresholds", silent, *own_values)
    assert len(service.policies) == 4
    for policy in service.policies:
        assert ExitRules.model_validate(policy).image.model_dump()["threshold"] == 0.97
