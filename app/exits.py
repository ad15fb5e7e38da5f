"""What a trace says, as plain values ready to be drawn: grids, curves, savings and sentences.

Pure functions of ``serve.schemas``; the sentences come from ``reasons``. Knows nothing of colours,
HTML, plotly or Gradio; ``pictures`` and ``plots`` draw what is computed here.
"""

from dataclasses import dataclass
from enum import StrEnum

from app.reasons import Stop, score_name, why_it_stopped
from serve.rules import ExitRules
from serve.schemas import (
    Cost,
    DecoderTrace,
    ExitTrace,
    ModalityTrace,
    TokenTrace,
)

END_MARK = "(end)"
TOKEN_SITE = "token:"


class CellState(StrEnum):
    """What happened to one token at one layer."""

    RAN = "ran when the word was decided"
    CAUGHT_UP = "caught up later, for another word"
    NEVER = "never ran"


@dataclass(frozen=True)
class ExitGrid:
    """Layers by tokens.

    Attributes:
        tokens: Text of each token.
        depths: Layers run when each token was decided.
        cells: ``cells[layer][token]``.
    """

    tokens: tuple[str, ...]
    depths: tuple[int, ...]
    cells: tuple[tuple[CellState, ...], ...]


@dataclass(frozen=True)
class ScoreCurve:
    """Why one stop was made: the score beside its threshold at each depth.

    Attributes:
        title: Which modality or token.
        score_name: What the score measures.
        num_layers: Layers there are.
        scores: At depths 1, 2, ...
        thresholds: What each score was compared with.
        exit_depth: Where it left.
        sentence: The same in words.
    """

    title: str
    score_name: str
    num_layers: int
    scores: tuple[float, ...]
    thresholds: tuple[float, ...]
    exit_depth: int
    sentence: str


def exit_grid(decoder: DecoderTrace) -> ExitGrid:
    """Every token's fate at every layer."""
    return ExitGrid(
        tokens=tuple(token_label(token) for token in decoder.tokens),
        depths=tuple(token.depth for token in decoder.tokens),
        cells=tuple(
            tuple(cell_state(token, layer) for token in decoder.tokens)
            for layer in range(decoder.num_layers)
        ),
    )


def cell_state(token: TokenTrace, layer: int) -> CellState:
    """What this token did at the 0-based ``layer``."""
    if layer < token.depth:
        return CellState.RAN
    return CellState.CAUGHT_UP if layer < token.computed_depth else CellState.NEVER


def token_label(token: TokenTrace) -> str:
    """The token's text; the end mark, which has none, by name."""
    return token.text.strip() or END_MARK


def score_sites(trace: ExitTrace) -> list[tuple[str, str]]:
    """(label, key) of every place where an exit was decided, in the order of the run."""
    tokens = enumerate(trace.decoder.tokens)
    sides = (("Image", "image", trace.encoder.image), ("Text", "text", trace.encoder.text))
    return [
        *((label, key) for label, key, side in sides if side.depth),
        *((f"Word {i + 1}: {token_label(t)}", f"{TOKEN_SITE}{i}") for i, t in tokens),
    ]


def default_site(trace: ExitTrace) -> str:
    """The first token, which says most about an answer; else what the encoder has run."""
    return f"{TOKEN_SITE}0" if trace.decoder.tokens else score_sites(trace)[0][1]


def score_curve(trace: ExitTrace, site: str, rules: ExitRules | None = None) -> ScoreCurve:
    """The curve of one site.

    Args:
        trace: Of the answer.
        site: A key of `score_sites`.
        rules: What was in force, which makes the sentence say more.

    Raises:
        ValueError: The trace has no such site.
    """
    titles = {key: label for label, key in score_sites(trace)}
    if site not in titles:
        raise ValueError(f"no exit site {site!r} in this trace; it has {', '.join(titles)}")
    stop = recorded_stop(trace, site)
    rule = getattr(rules, stop.site, None)
    return ScoreCurve(
        title=titles[site],
        score_name=score_name(rule, stop.site),
        num_layers=stop.num_layers,
        scores=stop.scores,
        thresholds=stop.thresholds,
        exit_depth=stop.depth,
        sentence=why_it_stopped(stop, rule, rules.lookahead if rules else None),
    )


def recorded_stop(trace: ExitTrace, site: str) -> Stop:
    """What the trace holds of one site, a key of `score_sites`."""
    if site.startswith(TOKEN_SITE):
        token = trace.decoder.tokens[int(site[len(TOKEN_SITE) :])]
        name, num_layers = "decoder", trace.decoder.num_layers
        return Stop(name, token.depth, num_layers, tuple(token.scores), tuple(token.thresholds))
    side = trace.encoder.image if site == "image" else trace.encoder.text
    return Stop(site, side.depth, side.num_layers, tuple(side.scores), tuple(side.thresholds))


def saved_fraction(run: float, full: float) -> float:
    """Part of ``full`` that was not run; 0 when there was nothing to save."""
    return 1.0 - run / full if full > 0 else 0.0


def total_ms(cost: Cost) -> float:
    """Milliseconds of all stages together."""
    return sum(stage_ms(cost).values())


def stage_ms(cost: Cost) -> dict[str, float]:
    """Milliseconds by stage, in the order they run."""
    return cost.stage_ms.model_dump()


def modality_words(name: str, modality: ModalityTrace) -> str:
    """How far a modality went, in words."""
    if not modality.depth:
        return f"{name}: not part of the question"
    words = f"{name}: {modality.depth} of {modality.num_layers} layers"
    if modality.from_cache:
        words += ", computed once for the whole model: this answer paid nothing for it"
    return words
