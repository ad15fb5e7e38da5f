"""The page's own script: what Gradio's markup leaves out.

Gradio's buttons around a picture have no name for a screen reader, its upload button holds a second
thing to tab to and is named after a missing translation, and a plot that was drawn in a
narrow window, or in a tab that was closed meanwhile, keeps its width. The script watches the page
and mends all three.
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
  const mendUpload = (input) => {
    const button = input.closest('button');
    input.tabIndex = -1;
    if (button.getAttribute('aria-label') !== 'common.upload') return;
    button.setAttribute('aria-label', 'Upload');
    button.title = 'Upload';
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
    document.querySelectorAll('button input[type=file]').forEach(mendUpload);
    document.querySelectorAll('.js-plotly-plot').forEach(fitPlot);
  };
  new MutationObserver(() => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(mend);
  }).observe(document, { childList: true, subtree: true, attributeFilter: ['src', 'class'] });
})();
"""
HEAD = f"<script>{SCRIPT}</script>"
