"""The service's figures as HTML: tiles with units, meters, and tables for the rest. Pure."""

from collections.abc import Mapping
from html import escape

from app.palette import depth_swatch
from app.pictures import meter_html, style
from app.presets import rules_words
from app.service_figures import ServiceFigures
from serve.schemas import HealthReport, ModelReport, PoliciesReport

SITE_NAMES = {"image": "photo", "text": "text", "decoder": "word"}


def service_html(
    figures: ServiceFigures, health: HealthReport, model: ModelReport, policies: PoliciesReport
) -> str:
    """The whole tab."""
    parts = [
        tiles_html(figures, health),
        depths_html(figures, model),
        savings_html(figures),
        table_html("Cache: answers by state", figures.cache),
        table_html("Requests by status", figures.requests),
        table_html("Errors by code", figures.errors),
        table_html("Answers by preset", figures.presets),
        table_html("Audit", figures.audit),
        presets_html(policies),
        others_html(figures),
    ]
    return f'<div class="off-service">{"".join(parts)}</div>'


def tiles_html(figures: ServiceFigures, health: HealthReport) -> str:
    """What is going on at this moment."""
    slots = f"{health.slots_in_use} of {health.num_slots}"
    cache = "up" if health.cache_is_up else ("off" if health.cache_backend == "off" else "down")
    replicas = ", ".join(figures.replicas) or "one that gives no name"
    tiles = {
        "state": (health.status, "of the replica that answered"),
        "queue": (f"{health.queue_length}", "requests waiting"),
        "slots": (slots, "in use"),
        "result cache": (cache, health.cache_backend),
        "replica": (replicas, "whose figures these are, since it started"),
    }
    body = "".join(
        f"<div><dt>{name}</dt><dd><b>{escape(value)}</b> <span>{escape(unit)}</span></dd></div>"
        for name, (value, unit) in tiles.items()
    )
    return f'<section class="off-cost"><h3>Now</h3><dl class="off-tiles">{body}</dl></section>'


def depths_html(figures: ServiceFigures, model: ModelReport) -> str:
    """Mean depth of each exit site, as bars in the colours of depth."""
    if not figures.mean_depths:
        return section("Mean depth", "<p>Nothing has been computed yet.</p>")
    rows = "".join(
        depth_row(site, mean, model.num_decoder_layers if site == "decoder" else encoder)
        for site, mean in figures.mean_depths.items()
        for encoder in (model.num_encoder_layers,)
    )
    return section("Mean depth", rows)


def depth_row(site: str, mean: float, num_layers: int) -> str:
    """One site: a segment per layer, as far as the mean."""
    segments = "".join(
        f'<i class="off-cell {"off-ran" if layer < mean else "off-never"}" '
        f'style="{style(depth_swatch(layer + 1, num_layers)) if layer < mean else ""}">'
        f"{'●' if layer < mean else '·'}</i>"
        for layer in range(num_layers)
    )
    name = SITE_NAMES.get(site, site)
    words = f"{mean:.2f} of {num_layers} layers"
    return (
        f'<div class="off-modality"><span>{escape(name)}</span><span class="off-bar" role="img" '
        f'aria-label="{escape(name)}: {words}">{segments}</span>'
        f'<span class="off-count">{words}</span></div>'
    )


def savings_html(figures: ServiceFigures) -> str:
    """Layers and operations that did not run."""
    meters = [
        meter_html(f"of the layers of each {SITE_NAMES.get(site, site)}", 1 - share, 1.0)
        for site, share in figures.layers_saved.items()
    ]
    if figures.flops_saved is not None:
        meters.append(meter_html("of the operations (FLOPs)", 1 - figures.flops_saved, 1.0))
    if not meters:
        return ""
    return section("Saved", f'<div class="off-meters">{"".join(meters)}</div>')


def presets_html(policies: PoliciesReport) -> str:
    """The presets in force, their rules by task."""
    rows = "".join(
        f'<tr><th scope="row">{escape(preset.name)}'
        f"{' (default)' if preset.name == policies.default else ''}</th>"
        f"<td>{escape(task)}</td><td>{escape(rules_words(rules))}</td></tr>"
        for preset in policies.presets
        for task, rules in preset.tasks.items()
    )
    head = '<tr><th scope="col">preset</th><th scope="col">task</th><th scope="col">rules</th></tr>'
    return section(
        "Presets in force",
        '<div class="off-scroll" role="region" aria-label="Presets in force" tabindex="0">'
        f'<table class="off-diff off-rules"><thead>{head}</thead><tbody>{rows}</tbody>'
        "</table></div>",
    )


def table_html(title: str, values: Mapping[str, float]) -> str:
    """Counts by name with their share; nothing where nothing was counted."""
    if not values:
        return ""
    total = sum(values.values())
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{value:g}</td>'
        f"<td>{100 * value / total if total else 0:.0f} %</td></tr>"
        for name, value in values.items()
    )
    return section(title, f'<table class="off-diff"><tbody>{rows}</tbody></table>')


def others_html(figures: ServiceFigures) -> str:
    """Metrics without a place of their own, folded away."""
    if not figures.others:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{value:g}</td></tr>'
        for name, value in figures.others.items()
    )
    return (
        '<details class="off-about"><summary>Everything else that is counted</summary>'
        f'<table class="off-diff"><tbody>{rows}</tbody></table></details>'
    )


def section(title: str, body: str) -> str:
    """A titled part."""
    return f'<section class="off-cost"><h3>{escape(title)}</h3>{body}</section>'
