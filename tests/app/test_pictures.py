"""The HTML pictures: counted cells, words beside colours, nothing unescaped."""

import re

from app.palette import depth_swatch
from app.pictures import answer_html, cost_html, error_html, grid_html, meter_html, picture_html
from app.state import shown_from
from serve.schemas import CaptionAnswer


def test_grid_has_a_cell_for_every_layer_and_word(caption_answer: CaptionAnswer) -> None:
    html = grid_html(caption_answer.trace.decoder)
    depths = [2, 5, 3, 1, 1, 5, 2]
    computed = [5, 5, 5, 5, 5, 5, 2]
    assert html.count('class="off-cell off-ran"') == sum(depths)
    assert html.count('class="off-cell off-caught-up"') == sum(computed) - sum(depths)
    assert html.count('class="off-cell off-never"') == 6 * 7 - sum(computed)
    assert re.findall(r"<td>(\d)</td>", html) == [str(depth) for depth in depths]


def test_cell_that_ran_has_the_colour_of_its_layer(caption_answer: CaptionAnswer) -> None:
    html = grid_html(caption_answer.trace.decoder)
    for layer, num_ran in enumerate([7, 5, 3, 2, 2, 0]):
        color = depth_swatch(layer + 1, 6).background
        assert html.count(f"--off-depth:{color};background:{color};") == num_ran


def test_every_cell_has_its_state_in_words(caption_answer: CaptionAnswer) -> None:
    html = grid_html(caption_answer.trace.decoder)
    cells = re.findall(r"<td class=\"off-cell.*?</td>", html)
    assert len(cells) == 42
    assert all(re.search(r'off-sr">(ran when|caught up|never ran)', cell) for cell in cells)


def test_picture_names_both_modalities_and_every_word(caption_answer: CaptionAnswer) -> None:
    html = picture_html(caption_answer.trace)
    sites = re.findall(r'data-site="([^"]+)"', html)
    assert sites == ["image", "text", *(f"token:{index}" for index in range(7))]
    assert "Image: 3 of 6 layers" in html
    assert "this answer paid nothing for it" in html


def test_answer_shows_caption_depths_cache_and_request(caption_answer: CaptionAnswer) -> None:
    html = answer_html(shown_from(caption_answer))
    assert "a cat looks into the camera" in html
    assert re.findall(r"<sub>(\d)</sub>", html) == ["2", "5", "3", "1", "1", "5", "2"]
    assert "miss (computed now)" in html
    assert "req-caption" in html
    assert "<b>setting</b> balanced" in html


def test_cost_is_given_in_words(caption_answer: CaptionAnswer, full_answer: CaptionAnswer) -> None:
    html = cost_html(shown_from(caption_answer))
    assert "57 % saved" in html
    assert "5.2 of 12 layers" in html
    assert "1.31 of 2.24 GFLOP" in html
    assert "stem <b>27.4 ms</b>" in html
    assert "filled the cache" not in html
    assert "kept from before" in cost_html(shown_from(full_answer))


def test_running_more_than_full_depth_is_not_called_a_saving() -> None:
    assert "10 % more" in meter_html("words", 11.0, 10.0)


def test_text_from_outside_is_escaped(caption_answer: CaptionAnswer) -> None:
    attack = "<script>alert(1)</script>"
    token = caption_answer.trace.decoder.tokens[0].model_copy(update={"text": attack})
    decoder = caption_answer.trace.decoder.model_copy(update={"tokens": [token]})
    trace = caption_answer.trace.model_copy(update={"decoder": decoder})
    shown = shown_from(caption_answer.model_copy(update={"caption": attack, "trace": trace}))
    assert "<script" not in answer_html(shown) + picture_html(trace) + error_html(attack, attack)
