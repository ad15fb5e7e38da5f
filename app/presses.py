"""Presses on numbered things: a button in HTML, or a point of a plot, says which was meant."""


def press_js(plot_id: str) -> str:
    """The script of a ``gr.HTML`` whose click event carries ``number``.

    It listens to buttons with ``data-number`` inside the HTML, and to points with ``customdata`` in
    the plot of that id. Plotly is listened to afresh at each press: the page draws its plots anew,
    and listeners go with them.
    """
    return f"""
element.addEventListener('click', (event) => {{
  const button = event.target.closest('[data-number]');
  if (button) trigger('click', {{ number: Number(button.dataset.number) }});
}});
document.addEventListener('pointerdown', (event) => {{
  const graph = event.target.closest('#{plot_id} .js-plotly-plot');
  if (!graph) return;
  graph.removeAllListeners('plotly_click');
  graph.on('plotly_click', (press) => {{
    const number = press.points[0].customdata;
    if (number !== undefined) trigger('click', {{ number: Number(number) }});
  }});
}}, true);
"""
