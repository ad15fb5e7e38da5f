"""The Explore tab's callbacks, and two visitors of one page."""

import shutil
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio_client import Client as PageClient
from gradio_client import handle_file

from app.client import Client
from app.exploration import sweep
from app.exploration.controls import first_ends, show_hypothesis
from app.exploration.outcomes import Findings
from app.tabs.explore import (
    SweepValues,
    View,
    begin,
    change_axes,
    choose_setting,
    explore,
    stop_sweep,
)
from app.ui import build_ui
from tests.app.conftest import MakeClient, answer_canned
from tests.app.sweeps import make_findings
from tests.app.test_ui import launched

SITES = ("never", 0.9, 0.5, "never", 0.9, 0.5, "similarity", 0.9, 0.8)


@pytest.fixture
def findings() -> Findings:
    return make_findings()


async def run(client: Client, photos: list[str], view: View | None = None) -> list[SweepValues]:
    values = (photos, "caption", "", None, 2, False, 4, *SITES)
    return [each async for each in explore(client, view, *values)]


async def test_sweep_ends_with_points_files_and_buttons_as_before(
    client: Client, photo: str
) -> None:
    last = (await run(client, [photo]))[-1]
    assert "Done:" in last.status and "3 of 3 answers" in last.status
    assert last.points.count("data-number=") == 3
    assert last.plot["visible"] is True
    assert "offramp-explore.parquet" in last.files
    assert (last.run["interactive"], last.stop["interactive"]) == (True, False)
    assert last.findings is not None and last.findings.num_asked == 3


async def test_points_grow_while_it_runs(
    client: Client, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "REPORT_S", 0.0)
    first, *_, last = await run(client, [photo])
    assert "Running:" in first.status and first.files == ""
    assert "Done:" in last.status


async def test_stopped_sweep_says_so(client: Client, photo: str) -> None:
    view = View()
    stop_sweep(view)
    (last,) = await run(client, [photo], view)
    assert "Stopped:" in last.status and "0 of 3 answers" in last.status


async def test_what_cannot_be_asked_is_a_sentence(client: Client) -> None:
    (last,) = await run(client, [])
    assert "There are no photos yet" in last.status
    assert last.findings is None and last.run["interactive"] is True


async def test_service_that_breaks_off_leaves_what_was_found(
    make_client: MakeClient, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "REPORT_S", 0.0)
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if len(asked) > 6:
            raise httpx.ConnectError("refused", request=request)
        return answer_canned(request)

    photos = [shutil.copy(photo, f"{photo}.{number}") for number in range(4)]
    last = (await run(make_client(answer), photos))[-1]
    assert "does not answer" in last.status and "Broken off:" in last.status
    assert last.points.count("data-number=") == 3


def test_new_sweep_stops_the_one_before() -> None:
    before = View()
    view, answers, run_button, stop_button = begin(before, "FLOPs")
    assert before.stop.is_set() and not view.stop.is_set()
    assert (view.cost, answers) == ("FLOPs", "")
    assert (run_button["interactive"], stop_button["interactive"]) == (False, True)


def test_axes_change_the_plot_and_stay_for_the_running_sweep(findings: Findings) -> None:
    view = View()
    plot, *_ = change_axes(view, findings, "milliseconds", "BLEU-1")
    assert plot["value"].layout.xaxis.title.text == "median milliseconds in the model"
    assert (view.cost, view.quality) == ("milliseconds", "BLEU-1")


def test_pressed_setting_shows_its_policy_and_answers(findings: Findings) -> None:
    view = View()
    event = gr.EventData(None, {"number": 1})
    plot, points, _, answers = choose_setting(view, findings, "layers", "agreement", event)
    assert plot["value"].data[-1].name == "on show"
    assert 'aria-current="true"' in points
    assert answers.index("tasks:") < answers.index("a dog on the grass")


@pytest.mark.parametrize("setting", [-1, 2])
def test_setting_that_is_not_there_changes_nothing(findings: Findings, setting: int) -> None:
    event = gr.EventData(None, {"number": setting})
    assert choose_setting(View(), findings, "layers", "agreement", event) == (gr.skip(),) * 4


def test_ends_follow_the_kind_of_rule() -> None:
    thresholds, layers = first_ends("confidence")[0], first_ends("patience")
    assert (thresholds["value"], thresholds["maximum"]) == (0.98, 1)
    assert [end["value"] for end in layers] == [5, 1]
    assert first_ends("never")[0]["visible"] is False


def test_sentence_is_asked_for_entailment_only() -> None:
    assert show_hypothesis("entailment")["visible"] is True
    assert show_hypothesis("caption")["visible"] is False


async def test_two_visitors_see_their_own_sweeps(client: Client, tmp_path: Path) -> None:
    photos = []
    for name in ("one.png", "two.png"):
        (tmp_path / name).write_bytes(b"\x89PNG photo")
        photos.append(handle_file(str(tmp_path / name)))

    def status(visitor: PageClient, files: list[Any]) -> str:
        values = (files, "caption", "", None, 2, False, 4, *SITES)
        found: str = visitor.predict(*values, api_name="/explore")[0]
        return found

    with launched(build_ui(client)) as address:
        visitors = [PageClient(address, verbose=False) for _ in photos]
        assert "3 settings on 1 example," in status(visitors[0], photos[:1])
        assert "3 settings on 2 examples" in status(visitors[1], photos)
        assert "3 settings on 1 example," in status(visitors[0], photos[:1])
