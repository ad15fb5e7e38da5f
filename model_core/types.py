"""Values that travel between the runtime, the measurements and the service.

Owns the shape of an answer and of its exit trace. The wire form of the same
fields is ``serve.schemas``; a test keeps the two equal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

TRACE_SCHEMA_VERSION = 1


class Modality(StrEnum):
    """The two passes of the encoder."""

    IMAGE = "image"
    TEXT = "text"


@dataclass(frozen=True)
class ModalityTrace:
    """How far one modality went through the encoder.

    Attributes:
        depth: Layers run, 1..num_layers; 0 where the request has no such input, or the encoder
            does not take it.
        num_layers: Layers there are.
        scores: The policy's score at depths 1..depth; the last is the one it left with.
        thresholds: What each score was compared with.
        from_cache: True when the encoding was computed once for the whole model (a constant
            instruction), so that this answer paid nothing for it.
    """

    depth: int
    num_layers: int
    scores: tuple[float, ...]
    thresholds: tuple[float, ...]
    from_cache: bool = False

    @classmethod
    def absent(cls, num_layers: int) -> "ModalityTrace":
        """Of a modality that did not run: the request has none, or the encoder takes none."""
        return cls(0, num_layers, (), ())


@dataclass(frozen=True)
class TokenTrace:
    """How far one generated token went through the decoder.

    Attributes:
        text: The piece of the answer this step produced (``""`` for the end mark).
        depth: Layers run when the token was decided, 1..L.
        scores: The policy's score at depths 1..depth.
        thresholds: What each score was compared with.
        caught_up: Earlier positions that were brought up to some deeper layer in this step.
        computed_depth: Layers this position had run when the answer was complete: above
            ``depth`` where a later token made it catch up.
    """

    text: str
    depth: int
    scores: tuple[float, ...]
    thresholds: tuple[float, ...]
    caught_up: int
    computed_depth: int


@dataclass(frozen=True)
class EncoderTrace:
    """Exits of the two modalities."""

    image: ModalityTrace
    text: ModalityTrace


@dataclass(frozen=True)
class DecoderTrace:
    """Exits of every generated token."""

    num_layers: int
    tokens: tuple[TokenTrace, ...]


@dataclass(frozen=True)
class StageMs:
    """Wall-clock the request spent in each stage, shared with whoever was in its batch (ms)."""

    preprocess: float
    stem: float
    encode: float
    decode: float


@dataclass(frozen=True)
class Cost:
    """What the answer cost beside what full depth would have cost.

    Attributes:
        layers_run: MuE's count: mean of image and text depth plus mean depth of the tokens; without
            a text in the encoder, the image's alone. Of an answer without tokens, the layers of the
            one input there is.
        layers_full: The same count at full depth.
        flops: Floating point operations of this answer, catch-up and every beam included.
        flops_full: The same answer's operations at full depth, with as many beams.
        stage_ms: Wall-clock by stage.
    """

    layers_run: float
    layers_full: float
    flops: int
    flops_full: int
    stage_ms: StageMs


@dataclass(frozen=True)
class ExitTrace:
    """Which layers ran for one answer, and why each stop was made."""

    schema_version: int
    encoder: EncoderTrace
    decoder: DecoderTrace
    cost: Cost


@dataclass(frozen=True)
class Answer:
    """What one request got.

    Attributes:
        task: Name of the task.
        text: The caption, or the label of a task with allowed outputs; empty where nothing was
            decoded.
        token_ids: Generated ids, the end mark included.
        probabilities: Per label, for tasks with allowed outputs; of every word for tags; empty
            otherwise.
        trace: The exits.
        threshold: Probability from which a word is a tag of the photo; None where nothing is
            tagged.
        embedding: ``E`` numbers of a unit vector, where that was asked for; empty otherwise.
        text_parts: What each of the trace's tokens adds to the words that were decoded; joined,
            they are the caption.
        num_memory_tokens: Tokens of the photo and of the text that the decoder could read; 0 where
            nothing was decoded.
    """

    task: str
    text: str
    token_ids: tuple[int, ...]
    probabilities: Mapping[str, float]
    trace: ExitTrace
    threshold: float | None = None
    embedding: tuple[float, ...] = ()
    text_parts: tuple[str, ...] = ()
    num_memory_tokens: int = 0


@dataclass(frozen=True)
class TagWord:
    """A word and how likely the photo's captions agree on it."""

    word: str
    probability: float


@dataclass(frozen=True)
class TagAnswer:
    """The words of one photo.

    Attributes:
        words: Those whose probability reaches the threshold of the depth, likeliest first.
        probabilities: ``N`` of all words, in the order of the model's tags.
        threshold: What the probabilities were compared with.
        image: The exit.
        cost: ``layers_run`` and ``layers_full`` are the image's alone; nothing is decoded.
    """

    words: tuple[TagWord, ...]
    probabilities: tuple[float, ...]
    threshold: float
    image: ModalityTrace
    cost: Cost


@dataclass(frozen=True)
class StepEvent:
    """What one decoding step did for one request.

    With beams the token is the newest one of the likeliest beam, which a later step may drop. An
    answer of the encoder alone has one event, without a token and at depth 0.

    Attributes:
        slot: The first of the request's slots.
        added_text: What the token adds to the text so far; ``""`` for the end mark.
        depth: Layers run when the token was decided.
        is_finished: True for the last event.
    """

    slot: int
    added_text: str
    depth: int
    is_finished: bool
