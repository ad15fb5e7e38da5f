"""What an answer cost, counted while it was decoded, beside the same answer at full depth."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from model_core.config import ModelConfig
from model_core.encode import ScoreBoard
from model_core.evaluation.flops import FlopModel
from model_core.policies import ExitPolicy, NeverPolicy
from model_core.readouts import ENCODER_ANSWERS, Outcome
from model_core.request import Request
from model_core.request_encoder import EncodedRequest
from model_core.types import Cost, StageMs


@dataclass
class DecoderWork:
    """What the decoder did for one request, all rows of its beams together.

    Attributes:
        positions_run: Pairs of a position and a layer that were computed, catch-up included.
        position_sum: Sum of the 0-based positions over these pairs; later ones attend to more.
        positions_copied: Pairs that were filled from an exit state (``copy_hidden``).
        tokens_fed: Positions that were fed; each runs every layer below the first exit at once.
        features_read: Exit features that were computed.
        logits_read: Times that the exit head gave logits of them.
        scores_learned: Scores that learned heads gave.
        deepest: Most layers that any row ran.
        rows_per_step: Rows that ran in each step.
    """

    positions_run: int = 0
    position_sum: int = 0
    positions_copied: int = 0
    tokens_fed: int = 0
    features_read: int = 0
    logits_read: int = 0
    scores_learned: int = 0
    deepest: int = 0
    rows_per_step: list[int] = field(default_factory=list)

    def count_heads(self, policy: ExitPolicy, depth: int, board: ScoreBoard) -> None:
        """Add what deciding one token took: what its policy looked at, and what was chosen from."""
        exits = range(board.first_exit_depth, depth + 1)
        asked = [policy.known_score(number) is None for number in exits]
        looks = sum(asked)
        looks_and_choice = looks + (not asked[-1])
        self.features_read += looks_and_choice if policy.needs_features else 1
        self.logits_read += looks_and_choice if policy.needs_logits else 1
        if policy.learned_kind:  # full depth needs no score
            self.scores_learned += looks - (asked[-1] and depth == board.num_layers)


class CostModel:
    """Costs of the answers of one model."""

    def __init__(self, config: ModelConfig, vocabulary_size: int) -> None:
        self._config = config
        self._vocabulary_size = vocabulary_size
        self._flops = FlopModel(config, vocabulary_size)

    def cost(
        self,
        request: Request,
        encoded: EncodedRequest,
        depths: Sequence[int],
        work: DecoderWork,
        decode_ms: float,
    ) -> Cost:
        """The cost of one answer.

        Layers are those of the answer itself: with beams, of the beam that won. Operations are all
        that was done for it: every row of every beam, those that lost too, cross-attention keys and
        values once. Full depth means the same rows in the same steps, each through every layer.

        Args:
            request: What was asked.
            encoded: Its encoder side.
            depths: Exit depth of each token of the answer.
            work: What the decoder did for it.
            decode_ms: Wall-clock of its steps.
        """
        image_depth, text_depth = encoded.image.depth, encoded.text.depth
        full_depth = self._config.num_encoder_layers
        encoder_depths = [part.depth for part in (encoded.image, encoded.text) if part.depth]
        return Cost(
            layers_run=fmean(encoder_depths) + fmean(depths),
            layers_full=float(full_depth + self._config.num_decoder_layers),
            flops=self._encoder_flops(request, encoded, image_depth, text_depth)
            + self._decoder_flops(request, work),
            flops_full=self._encoder_flops(request, encoded, full_depth, full_depth)
            + self._decoder_flops(request, self._full_work(work.rows_per_step)),
            stage_ms=StageMs(request.preprocess_ms, encoded.stem_ms, encoded.encode_ms, decode_ms),
        )

    def encoder_cost(self, outcome: Outcome, encoded: EncodedRequest) -> Cost:
        """The cost of an answer that the encoder gives alone, of the one modality that it has.

        A sentence that the encoder does not take runs through every unimodal decoder layer.
        """
        request, config = outcome.request, self._config
        full_depth = config.num_encoder_layers if outcome.depth else config.num_unimodal_layers
        at_full = outcome._replace(policy=NeverPolicy(), depth=full_depth)
        return Cost(
            layers_run=float(outcome.depth or full_depth),
            layers_full=float(full_depth),
            flops=self._outcome_flops(outcome, encoded),
            flops_full=self._outcome_flops(at_full, encoded),
            stage_ms=StageMs(request.preprocess_ms, encoded.stem_ms, encoded.encode_ms, 0.0),
        )

    def _outcome_flops(self, outcome: Outcome, encoded: EncodedRequest) -> int:
        request, depth = outcome.request, outcome.depth
        readout = ENCODER_ANSWERS[request.wanted].flops(outcome, self._flops)
        return self._encoder_flops(request, encoded, depth, depth) + readout

    def photo_flops(self, depth: int) -> int:
        """Operations of a photo in stem and encoder, ``depth`` layers deep."""
        layer = self._flops.encoder_layer(self._config.stem.num_image_tokens)
        return self._flops.stem() + self._flops.image_embedding() + depth * layer

    def _full_work(self, rows_per_step: Sequence[int]) -> DecoderWork:
        num_layers = self._config.num_decoder_layers
        return DecoderWork(
            positions_run=num_layers * sum(rows_per_step),
            tokens_fed=sum(rows_per_step),
            position_sum=num_layers * sum(step * rows for step, rows in enumerate(rows_per_step)),
            features_read=sum(rows_per_step),
            logits_read=sum(rows_per_step),
            deepest=num_layers,
        )

    def _encoder_flops(
        self, request: Request, encoded: EncodedRequest, image_depth: int, text_depth: int
    ) -> int:
        total = 0
        if request.has_image:
            total += self.photo_flops(image_depth)
        if encoded.text.depth and not encoded.text.from_cache:
            total += text_depth * self._flops.encoder_layer(len(request.text_ids))
        return total

    def _decoder_flops(self, request: Request, work: DecoderWork) -> int:
        memory_length = self._config.memory_length(len(request.text_ids))
        # The operations of a position grow linearly with it.
        first, second = (self._flops.decoder_position(p, memory_length) for p in (0, 1))
        total = work.positions_run * first + work.position_sum * (second - first)
        num_unimodal = self._config.num_unimodal_layers
        total -= num_unimodal * work.tokens_fed * self._flops.cross_attention(memory_length)
        total += work.positions_copied * self._flops.copied_key_value()
        total += self._flops.pooled_memory()
        total += self._flops.memory_key_values(work.deepest, memory_length)
        total += work.features_read * self._flops.exit_features()
        num_outputs = len(request.labels) or self._vocabulary_size
        total += work.logits_read * self._flops.exit_logits(num_outputs)
        kind = request.exits.decoder.learned_kind
        return total + (work.scores_learned * self._flops.learned_score(kind) if kind else 0)
