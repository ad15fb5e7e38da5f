"""The look of the page: one theme of system fonts, and the style sheet of the pictures.

No font, script or style is fetched from anywhere: visitors' browsers talk to this page alone. Text
and line colours are Gradio's variables, so that light and dark mode both work.
"""

import gradio as gr

SANS = ("system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def build_theme() -> gr.themes.Base:
    """The page's theme; plain strings as fonts mean the visitor's own fonts."""
    return gr.themes.Soft(
        primary_hue="cyan",
        secondary_hue="indigo",
        neutral_hue="slate",
        font=SANS,
        font_mono=MONO,
        radius_size="md",
    ).set(
        body_background_fill="*neutral_50",
        button_primary_background_fill="*primary_800",
        button_primary_background_fill_hover="*primary_900",
        button_primary_background_fill_dark="*primary_800",
        button_primary_background_fill_hover_dark="*primary_700",
        button_primary_text_color="white",
        # Gradio's own tints are too faint for WCAG AA on white.
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_label_background_fill_dark="*primary_900",
        block_label_text_color="*primary_900",
        block_label_text_color_dark="*primary_200",
        block_title_text_color="*primary_900",
        block_title_text_color_dark="*primary_200",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_300",
        checkbox_label_background_fill_selected="*primary_800",
        checkbox_label_background_fill_selected_dark="*primary_800",
        checkbox_background_color_selected="*primary_800",
        color_accent="*primary_700",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_300",
        button_secondary_background_fill_hover_dark="*neutral_700",
        link_text_color_dark="*secondary_300",
        link_text_color_hover_dark="*secondary_200",
        link_text_color_active_dark="*secondary_200",
        link_text_color_visited="*secondary_700",
        link_text_color_visited_dark="*secondary_300",
    )


CSS = """
.dark { --color-accent: var(--primary-300); }
.gradio-container { width: 100%; max-width: 1360px !important; margin: 0 auto !important; }
.html-container { padding: 0 !important; }
.off-title { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 16px; padding: 8px 0; }
.off-title h1 { font-size: 1.9rem; margin: 0; letter-spacing: -0.02em; font-weight: 700; }
.off-title p { margin: 0; color: var(--body-text-color-subdued); font-size: 1.05rem; }
.off-status { font-size: .9rem; color: var(--body-text-color-subdued); }
.off-status b { color: var(--body-text-color); }
.off-sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
.off-answer, .off-picture, .off-cost, .off-compare article {
  background: var(--block-background-fill); border: 1px solid var(--border-color-primary);
  border-radius: 12px; padding: 20px 24px; }
[class^=off-] { box-sizing: border-box; }
.off-headline { font-size: 1.7rem; line-height: 1.3; font-weight: 600; margin: 0 0 14px;
  color: var(--body-text-color); }
.off-words { line-height: 2.3; margin: 0 0 12px; }
.off-word { padding: 4px 8px; border-radius: 6px; font-weight: 500; white-space: nowrap; }
.off-word sub { font-size: .72em; margin-left: 4px; bottom: -.2em; }
.off-changed { outline: 3px solid #c2410c; outline-offset: 1px; text-decoration: underline wavy; }
.off-facts { display: flex; flex-wrap: wrap; gap: 2px 18px; margin: 0; font-size: .85rem;
  color: var(--body-text-color-subdued); overflow-wrap: anywhere; }
.off-picture h3, .off-cost h3 { margin: 0 0 6px; font-size: 1.1rem; font-weight: 650; }
.off-picture h4 { margin: 18px 0 8px; font-size: .95rem; font-weight: 600; }
.off-hint { color: var(--body-text-color-subdued); font-size: .88rem; margin: 6px 0; }
.off-picture button { font: inherit; color: inherit; background: none; border: 0; padding: 2px 4px;
  cursor: pointer; border-radius: 4px; text-decoration: underline dotted;
  text-underline-offset: 3px; }
.off-picture button:focus-visible { outline: 2px solid var(--color-accent); }
.off-picture button:hover { background: var(--background-fill-secondary); }
.off-modality { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 12px;
  margin: 6px 0; }
.off-modality > :first-child { min-width: 56px; text-align: left; }
.off-ranked .off-modality > :first-child { flex: 0 1 220px; overflow-wrap: anywhere; }
.off-bar { display: inline-flex; gap: 3px; }
.off-count { font-size: .9rem; flex: 1 1 180px; }
.off-cell { box-sizing: border-box; display: inline-flex; align-items: center;
  justify-content: center; min-width: 30px; height: 26px; border-radius: 5px; font-style: normal;
  font-size: .8rem; border: 1px solid transparent; }
.off-never { border: 1px dashed var(--body-text-color-subdued);
  color: var(--body-text-color-subdued); }
.off-caught-up { border: 2px solid var(--off-depth); color: var(--body-text-color);
  background: repeating-linear-gradient(45deg, transparent 0 5px,
    color-mix(in srgb, var(--off-depth) 45%, transparent) 5px 8px); }
.off-scroll { overflow-x: auto; padding-bottom: 6px; container-type: inline-size; }
.off-scroll:focus-visible { outline: 2px solid var(--color-accent); }
.off-grid { border-collapse: separate !important; border-spacing: 3px !important; font-size: .9rem;
  width: auto !important; margin: 0 !important; }
.off-grid th, .off-grid td { border: 0; padding: 2px 0; text-align: center; font-weight: 500; }
.off-grid td.off-cell { display: table-cell; min-width: 26px; padding: 0; }
.off-grid td.off-never { border: 1px dashed var(--border-color-primary); }
.off-grid td.off-caught-up { border: 2px solid var(--off-depth); }
.off-grid tbody th, .off-grid tfoot th, .off-grid thead th:first-child { text-align: right;
  color: var(--body-text-color-subdued); padding-right: 10px; white-space: nowrap; }
.off-grid thead th { vertical-align: bottom; }
.off-grid thead th > * { writing-mode: vertical-rl; transform: rotate(180deg); padding: 4px 0;
  white-space: nowrap; }
@container (min-width: 520px) {
  .off-few thead th > * { writing-mode: horizontal-tb; transform: none; padding: 2px 4px; }
  .off-grid.off-few td.off-cell { min-width: 38px; }
}
@container (max-width: 400px) {
  .off-grid { border-spacing: 1px !important; font-size: .8rem; }
  .off-grid td.off-cell { min-width: 17px; font-size: .7rem; }
  .off-grid tbody th, .off-grid tfoot th, .off-grid thead th:first-child { padding-right: 4px; }
}
.off-legend { display: flex; flex-wrap: wrap; gap: 6px 20px; list-style: none; padding: 0;
  margin: 12px 0 0; font-size: .88rem; }
.off-legend li { display: flex; align-items: center; gap: 8px; margin: 0; }
.off-meters { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr));
  gap: 14px 28px; margin: 10px 0 16px; }
.off-meter, .off-stages { display: flex; flex-wrap: wrap; gap: 0 10px; align-items: baseline; }
.off-meter > b, .off-stages > b { font-size: 1.25rem; }
.off-meter > span, .off-stages > span { color: var(--body-text-color-subdued); font-size: .9rem; }
.off-compare .off-meter > span { flex-basis: 100%; }
.off-track, .off-split { flex-basis: 100%; display: flex; height: 10px; border-radius: 5px;
  overflow: hidden; margin-top: 6px; }
.off-track { background: repeating-linear-gradient(45deg, var(--border-color-primary) 0 4px,
  transparent 4px 8px); border: 1px solid var(--border-color-primary); }
.off-track i { background: #2f93ad; }
.off-split i { min-width: 2px; flex-basis: 0; }
.off-stages ul { display: flex; flex-wrap: wrap; gap: 4px 18px; list-style: none; padding: 0;
  margin: 8px 0 0; font-size: .88rem; }
.off-stages li { margin: 0; }
.off-stages li i { display: inline-block; width: 10px; height: 10px; border-radius: 3px;
  margin-right: 6px; }
.off-error { border: 1px solid #c2410c; border-left-width: 6px; border-radius: 8px;
  padding: 14px 18px; background: var(--block-background-fill); }
.off-error p { margin: 0; font-size: 1.02rem; }
.off-error p::before { content: "⚠ "; }
.off-error small { color: var(--body-text-color-subdued); }
.off-about { font-size: .9rem; margin: 2px 0; }
.off-about summary { cursor: pointer; color: var(--body-text-color-subdued);
  text-decoration: underline dotted; text-underline-offset: 3px; }
.off-about summary:focus-visible { outline: 2px solid var(--color-accent); }
.off-about dl { margin: 8px 0 0; }
.off-about dt { font-weight: 650; margin-top: 8px; }
.off-about dd { margin: 0; color: var(--body-text-color-subdued); }
.off-about dd b { color: var(--body-text-color); font-weight: 600; }
.off-why { margin: 0 0 8px; font-size: 1rem; }
.off-links { display: flex; flex-wrap: wrap; gap: 4px 24px; margin: 0; }
.off-waiting { color: var(--body-text-color-subdued); }
.off-answer { min-height: 190px; }
.off-agreement { font-weight: 600; margin: 0 0 12px; font-size: 1.05rem; }
.off-diff { border-collapse: collapse; width: 100%; font-size: .9rem; margin: 6px 0 14px; }
.off-diff caption { text-align: left; font-weight: 650; padding: 6px 0; }
.off-diff th, .off-diff td { text-align: left; padding: 4px 10px 4px 0; vertical-align: top;
  border: 0; border-bottom: 1px solid var(--border-color-primary); font-weight: 400;
  overflow-wrap: anywhere; }
.off-diff thead th, .off-diff tbody th { color: var(--body-text-color-subdued); min-width: 110px; }
.off-rules { min-width: 520px; }
.off-differs td { font-weight: 650; text-decoration: underline; text-underline-offset: 3px; }
.off-service { display: grid; gap: 16px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 380px), 1fr)); }
.off-service > * { min-width: 0; }
.off-service > details, .off-service > :has(.off-rules) { grid-column: 1 / -1; }
.off-tiles { display: grid; gap: 10px 24px; margin: 0;
  grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); }
.off-tiles dt { color: var(--body-text-color-subdued); font-size: .85rem; }
.off-tiles dd { margin: 0; overflow-wrap: anywhere; }
.off-tiles dd b { font-size: 1.15rem; }
.off-tiles dd span { color: var(--body-text-color-subdued); font-size: .85rem; }
.off-save { text-decoration: underline; color: var(--body-text-color); }
.off-empty { border: 2px dashed var(--border-color-primary); border-radius: 12px;
  padding: 56px 24px; text-align: center; color: var(--body-text-color-subdued); }
.off-compare { display: grid; gap: 16px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); }
.off-compare article { padding: 18px 20px; min-width: 0; }
.off-compare h3 { margin: 0 0 8px; font-size: 1.05rem; font-weight: 650; }
.off-compare .off-headline { font-size: 1.3rem; margin-bottom: 10px; }
.off-compare .off-picture { border: 0; padding: 0; background: none; }
.off-verdict { display: inline-block; font-size: .85rem; font-weight: 600; padding: 2px 10px;
  border-radius: 999px; border: 1px solid var(--border-color-primary); margin: 0 0 10px; }
.off-presets .wrap { flex-direction: column; align-items: stretch; }
.off-table { border-collapse: collapse !important; font-size: .88rem; width: 100% !important; }
.off-table th, .off-table td { border: 0 !important; padding: 6px 10px; text-align: right;
  border-bottom: 1px solid var(--border-color-primary) !important; font-weight: 400; }
.off-table thead th { color: var(--body-text-color-subdued); vertical-align: bottom; }
.off-table th:first-child, .off-answers td:not(:last-child), .off-answers th {
  text-align: left; }
.off-answers td:not(:last-child) { min-width: 140px; }
.off-table tr[aria-current] { outline: 2px solid var(--color-accent); outline-offset: -2px; }
.off-table tbody th { min-width: 150px; }
.off-table tbody th button { text-align: left; }
.off-tall { max-height: 640px; overflow-y: auto; }
.off-example { display: flex; flex-direction: column; gap: 2px; max-width: 180px;
  overflow-wrap: anywhere; }
.off-example img { width: 96px; height: 72px; object-fit: cover; border-radius: 6px; margin: 0; }
.off-mark { background: none; color: inherit; text-decoration: underline wavy #c2410c;
  text-underline-offset: 3px; }
.off-yaml { font-size: .82rem; margin: 0 0 12px; white-space: pre-wrap; background: none;
  padding: 0; color: var(--body-text-color); }
.off-progress progress { width: 100%; height: 10px; accent-color: #2f93ad; }
.off-progress p { margin: 4px 0; }
.off-files { display: flex; flex-wrap: wrap; gap: 6px 20px; }
.js-plotly-plot text:not(.bartext) { fill: var(--body-text-color) !important; }
@media (max-width: 600px) {
}
"""
