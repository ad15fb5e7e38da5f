"""Presses on buttons and points."""

from app.presses import press_js


def test_script_listens_to_the_plot_it_is_given() -> None:
    script = press_js("some-plot")
    assert "closest('#some-plot .js-plotly-plot')" in script
    assert "{{" not in script
