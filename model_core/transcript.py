"""The record of a request while it is decoded, and the answer that is made of it.

Every row writes down each of its steps; a beam knows which rows decided its tokens, so its trace
is read along that way and nothing is moved when beams are reordered.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from model_core.beam import Beam
from model_core.cost import CostModel, DecoderWork
from model_core.decode_step import DecodingStep
from model_core.model import Backbone
from model_core.readouts import ENCODER_ANSWERS, Outcome
from model_core.request import Request
from model_core.request_encoder import EncodedRequest
from model_core.tokenizer import WordPieceTokenizer
from model_core.types import (
    TRACE_SCHEMA_VERSION,
    Answer,
    DecoderTrace,
    EncoderTrace,
    ExitTrace,
    TokenTrace,
)
from model_core.verification import Verified


class StepRecord(NamedTuple):
    """One decoding step of one row, as it happened."""

    depth: int
    scores: tuple[float, ...]
    thresholds: tuple[float, ...]
    caught_up: int


@dataclass
class Transcript:
    """What happened to one request since it was admitted.

    Attributes:
        request: What was asked.
        encoded: Its encoder side.
        decode_ms: Wall-clock of its steps.
        steps: For each step, the record of each row that ran.
        work: What the decoder did, all rows together.
        computed_depths: For a finished beam, by its ``rows``: layers each position had run then.
        probabilities: Per label, for tasks with allowed outputs.
    """

    request: Request
    encoded: EncodedRequest
    decode_ms: float = 0.0
    steps: list[dict[int, StepRecord]] = field(default_factory=list)
    work: DecoderWork = field(default_factory=DecoderWork)
    computed_depths: dict[tuple[int, ...], list[int]] = field(default_factory=dict)
    probabilities: dict[str, float] = field(default_factory=dict)

    def add_step(self, decoding: DecodingStep, rows: Sequence[int]) -> None:
        """Write down what a step did on the ``rows`` of this request that ran in it."""
        records: dict[int, StepRecord] = {}
        for row in rows:
            depth = int(decoding.depths[row])
            records[row] = StepRecord(
                depth, *decoding.board.upto(row, depth), int(decoding.caught_up[row])
            )
            self.work.positions_run += int(decoding.positions_run[row])
            self.work.position_sum += int(decoding.position_sum[row])
            self.work.tokens_fed += 1
            self.work.count_heads(self.request.exits.decoder, depth, decoding.board)
            self.work.deepest = max(self.work.deepest, depth)
            self.probabilities = decoding.probabilities.get(row, {})
        self.work.rows_per_step.append(len(rows))
        self.steps.append(records)

    def settle(self, num_dropped: int, num_settled: int, verified: Verified) -> None:
        """Write down that full depth checked the newest steps, and dropped the last of them.

        What was done for those that were dropped stays done; the others ran every layer in the end.
        """
        if num_dropped:
            del self.steps[-num_dropped:], self.work.rows_per_step[-num_dropped:]
        for step in self.steps[-num_settled:]:
            for row, record in step.items():
                step[row] = record._replace(depth=verified.num_layers)
        self.work.positions_run += verified.positions_run
        self.work.position_sum += verified.position_sum
        self.work.features_read += len(verified.choices)
        self.work.logits_read += len(verified.choices)
        self.work.deepest = verified.num_layers

    def last_depth(self, beam: Beam) -> int:
        """Layers run for the newest token of a beam."""
        return self.steps[len(beam.rows) - 1][beam.rows[-1]].depth

    def answer(
        self, beam: Beam, tokenizer: WordPieceTokenizer, backbone: Backbone, costs: CostModel
    ) -> Answer:
        """The answer that a finished beam gives."""
        label = {number: name for name, number in self.request.labels}.get(beam.token_ids[-1])
        tokens = self._token_traces(beam, tokenizer)
        depths = [token.depth for token in tokens]
        return Answer(
            task=self.request.task,
            text=tokenizer.decode(beam.token_ids) if label is None else label,
            token_ids=beam.token_ids,
            probabilities=dict(self.probabilities),
            trace=ExitTrace(
                TRACE_SCHEMA_VERSION,
                EncoderTrace(self.encoded.image, self.encoded.text),
                DecoderTrace(backbone.config.num_decoder_layers, tokens),
                costs.cost(self.request, self.encoded, depths, self.work, self.decode_ms),
            ),
            text_parts=tokenizer.text_parts(beam.token_ids),
            num_memory_tokens=self.encoded.output.shape[0],
        )

    def _token_traces(self, beam: Beam, tokenizer: WordPieceTokenizer) -> tuple[TokenTrace, ...]:
        records = [step[row] for step, row in zip(self.steps, beam.rows, strict=False)]
        return tuple(
            TokenTrace(tokenizer.piece(token_id), **record._asdict(), computed_depth=computed_depth)
            for token_id, record, computed_depth in zip(
                beam.token_ids, records, self.computed_depths[beam.rows], strict=True
            )
        )


def encoder_answer(
    request: Request, encoded: EncodedRequest, backbone: Backbone, costs: CostModel
) -> Answer:
    """The answer of a request that needs no decoder; its decoder trace is empty."""
    policy = request.exits.image if request.has_image else request.exits.text
    outcome = Outcome(backbone, request, encoded.output, policy, encoded.depth)
    trace = ExitTrace(
        TRACE_SCHEMA_VERSION,
        EncoderTrace(encoded.image, encoded.text),
        DecoderTrace(backbone.config.num_decoder_layers, ()),
        costs.encoder_cost(outcome, encoded),
    )
    blank = Answer(request.task, text="", token_ids=(), probabilities={}, trace=trace)
    return replace(blank, **ENCODER_ANSWERS[request.wanted].fields(outcome))
