"""The compare callbacks as plain functions."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import gradio as gr
import pytest

from app.client import Client
from app.controls import OWN, own_rules
from app.errors import InputError
from app.setting import Plan, link_query
from app.slots import NOTHING
from app.tabs.compare import (
    CompareValues,
    compare_settings,
    open_run,
    read_plan,
    restore_link,
    show_difference,
)


@pytest.fixture(autouse=True)
def upload_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))


def places(own: tuple[Any, ...], *presets: str, beams: int = 1) -> list[Any]:
    """Values of four places with these presets."""
    values: list[Any] = []
    for preset in [*presets, *[NOTHING] * 4][:4]:
        values += [preset, beams, *own]
    return values


def last_values(
    client: Client, photo: str | None, own: tuple[Any, ...], *presets: str
) -> CompareValues:
    return list(compare_settings(client, photo, "caption", "", "", *places(own, *presets)))[-1]


def address(query: str) -> Any:
    name, _, value = query.removeprefix("?").partition("=")
    return SimpleNamespace(query_params={name: unquote(value)} if name else {})


def test_settings_run_side_by_side_and_come_in_one_by_one(
    client: Client, photo: str, own_values: tuple[Any, ...]
) -> None:
    slots = places(own_values, "full", "balanced")
    states = list(compare_settings(client, photo, "caption", "", "", *slots))
    assert states[0].cards.count("computing …") == 2
    assert states[-1].cards.count("<article") == 2
    assert "1 of 1 other settings give the same answer as full." in states[-1].cards
    assert list(states[-1].bars["value"].data[0].y) == ["full", "balanced"]
    assert "the photo is not" in states[-1].link


def test_own_rules_of_a_place_are_part_of_the_plan(own_values: tuple[Any, ...]) -> None:
    plan = read_plan("caption", "", "", tuple(places(own_values, "full", OWN, beams=3)))
    assert plan.settings[1].policy == own_rules(own_values)
    assert [setting.num_beams for setting in plan.settings] == [3, 3]


def test_labels_have_no_beams_and_captions_no_sentences(own_values: tuple[Any, ...]) -> None:
    slots = tuple(places(own_values, "full", "fast", beams=3))
    judged = read_plan("entailment", "A cat.", "An animal.", slots)
    assert [setting.num_beams for setting in judged.settings] == [1, 1]
    assert (judged.hypothesis, judged.premise) == ("A cat.", "An animal.")
    assert read_plan("caption", "A cat.", "An animal.", slots).hypothesis == ""


def test_one_setting_is_too_few(own_values: tuple[Any, ...]) -> None:
    with pytest.raises(InputError, match="1 settings are chosen; choose two to four"):
        read_plan("caption", "", "", tuple(places(own_values, "full")))


def test_failure_is_a_sentence_without_results(
    down_client: Client, photo: str, own_values: tuple[Any, ...]
) -> None:
    values = last_values(down_client, photo, own_values, "full", "fast")
    assert "does not answer" in values.cards
    assert values.bars["visible"] is False
    assert values.run_path is None


def test_no_photo_is_a_sentence(client: Client, own_values: tuple[Any, ...]) -> None:
    assert "There is no photo yet" in last_values(client, None, own_values, "full", "fast").cards


def test_run_file_opens_without_a_service(
    client: Client, photo: str, own_values: tuple[Any, ...]
) -> None:
    photo_path = Path(photo)
    photo_path.write_bytes(Path(__file__).parents[1].joinpath("canned/pixel.png").read_bytes())
    saved = last_values(client, photo, own_values, "full", "balanced")
    assert saved.run_path is not None
    opened, task, _, _, first, *rest = open_run(saved.run_path)
    assert Path(opened).read_bytes() == photo_path.read_bytes()
    assert (task, first) == ("caption", "full")
    assert rest[-5] == saved.cards


def test_foreign_run_file_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "foreign.json"
    path.write_text('{"a": 1}')
    *_, cards, _, _, _, run_path = open_run(str(path))
    assert "holds no comparison" in cards
    assert run_path is None


def test_difference_needs_a_run_on_show(tmp_path: Path) -> None:
    assert "Run a comparison or open a run file first" in show_difference(None, str(tmp_path))


def test_link_restores_the_settings_and_selects_the_tab(own_values: tuple[Any, ...]) -> None:
    plan = read_plan("caption", "", "", tuple(places(own_values, "full", OWN, "fast")))
    tab, task, hypothesis, _, *slots, cards = restore_link(address(link_query(plan)))
    assert (tab.selected, task, hypothesis["visible"]) == ("compare", "caption", False)
    values = [slot.get("value") if isinstance(slot, dict) else slot for slot in slots]
    assert values[::10][:4] == ["full", OWN, "fast", NOTHING]
    assert tuple(values[12:20]) == ("similarity", 0.97, "never", 0.0, *own_values[4:])
    assert cards == gr.skip()


def test_address_without_a_link_changes_nothing() -> None:
    assert all(value == gr.skip() for value in restore_link(address("")))


def test_link_that_cannot_be_read_is_a_sentence() -> None:
    *_, cards = restore_link(address("?comparison=nonsense"))
    assert "The settings in this link cannot be read" in cards


def test_link_with_rules_beyond_the_controls_is_refused() -> None:
    rule = {"kind": "similarity", "threshold": 0.9, "decay": {}}
    plan = Plan.model_validate({"settings": [{"policy": "full"}, {"policy": {"decoder": rule}}]})
    *_, cards = restore_link(address(link_query(plan)))
    assert "controls of this page cannot show" in cards
