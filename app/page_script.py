"""The page's own script: what Gradio's markup leaves out.

Gradio's buttons around a picture have no name for a screen reader, the one that adds files is a
button in a button, named after a missing translation, and a plot that was drawn in a narrow window,
or in a tab that was closed meanwhile, keeps its width. The script watches the page and mends all
three.
"""

SCRIPT = """
(() => {
  const fileName = (image) => {
    const last = decodeURIComponent(new URL(image.src, location.href).pathname).split('/').pop();
    return last.replace(/\\.[^.]*$/, '');
  };
  const nameButton = (button) => {
    const image = button.querySelector('img');
    const isNamed = button.getAttribute('aria-label') || button.title || button.innerText?.trim();
    if (isNamed || !image?.src || image.alt) return;
    const kind = button.classList.contains('gallery-item') ? 'Example photo' : 'Photo';
    button.setAttribute('aria-label', `${kind}: ${fileName(image)}`);
  };
  const hideInput = (input) => {
    input.style.display = 'none'; // the button around it presses it
  };
  const mendNested = (inner) => {
    const outer = inner.parentElement.closest('button');
    if (outer.getAttribute('aria-label') === 'Upload') return;
    outer.setAttribute('role', 'group');
    outer.tabIndex = -1;
    outer.title = 'Upload';
    for (const button of [outer, inner]) button.setAttribute('aria-label', 'Upload');
  };
  const fitted = new WeakSet();
  const widths = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const isDrawn = target.offsetWidth && target.isConnected && window.Plotly;
      if (isDrawn && target._fullLayout) window.Plotly.Plots.resize(target);
    }
  });
  const fitPlot = (plot) => {
    if (fitted.has(plot)) return;
    fitted.add(plot);
    widths.observe(plot);
  };
  let isDue = false;
  const mend = () => {
    isDue = false;
    document.querySelectorAll('button').forEach(nameButton);
    document.querySelectorAll('button input[type=file]').forEach(hideInput);
    document.querySelectorAll('button button').forEach(mendNested);
    document.querySelectorAll('.js-plotly-plot').forEach(fitPlot);
  };
  new MutationObserver(() => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(mend);
  }).observe(document, {
    childList: true, subtree: true, attributeFilter: ['src', 'class', 'aria-label'],
  });
})();
"""
HEAD = f"<script>{SCRIPT}</script>"
