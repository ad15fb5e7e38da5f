"""A point of the benchmark in words: what it is, what it gives, the command that measures it."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from app.benchmark.curves import Spot, quality_on
from app.benchmark.results import TAGS, Benchmark, BenchmarkPoint
from app.links import file_link_html
from app.policy_file import policy_yaml

# Family in the files -> what people call the method.
FAMILY_WORDS: Mapping[str, str] = {
    "full": "full depth",
    "fixed_decoder": "fixed depth of the decoder",
    "fixed_image": "fixed depth of the image",
    "fixed_text": "fixed depth of the text",
    "fixed_joint": "fixed depth of everything",
    "fixed_mixed": "fixed depths, shallow encoder",
    "presets": "presets of the service",
    "lossless": "lossless drafts (LayerSkip)",
    "similarity": "similarity (CALM's saturation)",
    "classifier": "classifier (CALM)",
    "confidence": "confidence (DEED)",
    "entropy": "entropy (DeeBERT)",
    "margin": "margin (CALM's softmax gap)",
    "patience": "patience (PABEE)",
    "shallow_exit": "one shallow exit (FREE)",
    "palbert": "Q-exit (PALBERT)",
    "jei_dnn": "gates (JEI-DNN)",
    "similarity_image": "similarity of the image",
    "similarity_text": "similarity of the text",
    "similarity_joint": "similarity everywhere (MuE)",
    "similarity_copy_hidden": "similarity, states copied upward",
    "confidence_copy_hidden": "confidence, states copied upward",
    "oracle": "oracle (no setting reaches it)",
    "beams": "beam search",
    "heterogeneous_heads": "heads of LGViT",
    "linear_heads": "linear heads",
    "mlp_heads": "MLP heads",
    "fixed_heterogeneous_heads": "fixed depth, heads of LGViT",
    "fixed_linear_heads": "fixed depth, linear heads",
    "fixed_mlp_heads": "fixed depth, MLP heads",
}
DOCUMENT = "methods.md"
SECTION = "## In plain words"


def family_words(family: str) -> str:
    """The method's name."""
    return FAMILY_WORDS.get(family, family.replace("_", " "))


def command_of(name: str, benchmark: Benchmark, point: BenchmarkPoint) -> str:
    """The command that measures the family of a point again.

    Args:
        name: Of the file.
        benchmark: That the point stands in.
        point: Of it.
    """
    split = benchmark.split.split()[0]
    if benchmark.task == TAGS:
        return f"python -m model_core tags --split {split} --out docs/results"
    premise = " --with-premise" if name.endswith("with-premise") else ""
    sizes = ",".join(str(size) for size in benchmark.batch_sizes) or "''"
    return (
        f"python -m model_core sweep --task {benchmark.task} --split {split}{premise} "
        f"--policies {point.family} --batch-sizes {sizes} --out artifacts/results"
    )


def point_html(
    name: str, benchmark: Benchmark, spot: Spot, edge: Sequence[tuple[float, float]]
) -> str:
    """Everything about one point."""
    point = spot.point
    rows = "".join(
        f"<tr><th scope='row'>{escape(metric)}</th><td>{one.value:.3f} "
        f"[{one.low:.3f}, {one.high:.3f}]</td></tr>"
        for metric, one in point.metrics.items()
    )
    times = "".join(
        f"<tr><th scope='row'>ms without the stem, batch {size}</th>"
        f"<td>{one.ms_without_stem.median:.1f} [{one.ms_without_stem.p10:.1f}, "
        f"{one.ms_without_stem.p90:.1f}], {100 * one.wall_without_stem:.1f} % saved</td></tr>"
        for size, one in sorted(point.times.items())
    )
    return (
        '<section class="off-picture" aria-label="Point">'
        f"<h3>{escape(family_words(point.family))}: {escape(point.name)}</h3>"
        f"<p>{verdict(spot, edge)}</p>"
        f'<div class="off-scroll" role="region" aria-label="Figures" tabindex="0">'
        f'<table class="off-table"><tbody>{rows}<tr><th scope="row">layers, FLOPs saved</th>'
        f"<td>{100 * point.saving.layers:.1f} %, {100 * point.saving.flops:.1f} %</td></tr>{times}"
        f"</tbody></table></div>{command_html(name, benchmark, point)}</section>"
    )


def command_html(name: str, benchmark: Benchmark, point: BenchmarkPoint) -> str:
    """How to measure it again, and its policy as a file."""
    command = command_of(name, benchmark, point)
    policy = ""
    if point.exits is not None:
        text = policy_yaml(benchmark.task, point.exits, f"{point.family}: {point.name}")
        policy = file_link_html(
            "Save this setting as YAML", "offramp-policy.yaml", "application/yaml", text.encode()
        )
    return (
        f'<h4>Measure it again</h4><pre class="off-yaml">{escape(command)}</pre>'
        f'<p class="off-hint">Measured at commit {escape(point.commit)}.</p>{policy}'
    )


def verdict(spot: Spot, edge: Sequence[tuple[float, float]]) -> str:
    """Where a point lies against fixed depths that save as much, in a sentence."""
    if spot.point.is_fixed:
        return "A fixed depth: the same for every row, nothing to decide."
    if spot.point.family == "oracle":
        return "No setting reaches this: it knows the answer of full depth beforehand."
    level = quality_on(edge, spot.saved)
    if level is None:
        return "Cheaper than any fixed depth that was measured."
    difference = spot.quality - level
    place = "above" if difference > 0 else "below"
    words = f"{abs(difference):.3f} {place} fixed depths that save as much"
    if spot.low <= level <= spot.high:
        return f"{words}, which is inside its own 95 % interval."
    return f"{words}, beyond its own 95 % interval."


def conditions_words(benchmark: Benchmark) -> str:
    """What was measured, on what."""
    on = benchmark.conditions
    return (
        f"{benchmark.num_examples} examples of {benchmark.split}; times on {benchmark.num_timed} "
        f"of them, interleaved with full depth. Model {on.model} "
        f"({on.checkpoint[:8]}), {on.dtype} on {on.device}, {on.num_threads} thread, "
        f"{on.processor}. Brackets and bars are 95 % intervals."
    )


def plain_words(folder: Path) -> str:
    """The document's section on which method when, without its links; empty where it is not."""
    path = folder.parent / DOCUMENT
    if not path.is_file():
        return ""
    _, _, rest = path.read_text(encoding="utf-8").partition(f"{SECTION}\n")
    section = rest.partition("\n## ")[0].strip()
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", section)
