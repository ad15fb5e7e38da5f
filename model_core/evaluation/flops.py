"""Floating point operations of the parts of an answer; ``model_core.cost`` adds them up.

A multiply-add is two operations, as torch's ``FlopCounterMode`` counts; norms, activations and
softmax are left out, as there. A test compares both.
"""

from dataclasses import dataclass

from model_core.config import ModelConfig, StemConfig
from model_core.policy_heads import HEADS
from model_core.stem import FIRST_CHANNELS, scaled_stages


@dataclass(frozen=True)
class FlopModel:
    """Counts for one model."""

    config: ModelConfig
    vocabulary_size: int

    def stem(self) -> int:
        """One photo through the stem."""
        return stem_flops(self.config.stem)

    def image_embedding(self) -> int:
        """Projection of the stem's tokens."""
        stem = self.config.stem
        return 2 * stem.num_image_tokens * stem.feature_channels * self.config.hidden_size

    def pooled_memory(self) -> int:
        """Queries that pool a photo to the memory; 0 for a model that has none."""
        width, queries = self.config.hidden_size, self.config.num_pooler_queries
        if not queries:
            return 0
        num_tokens = self.config.stem.num_image_tokens
        attention = 4 * queries * num_tokens * width + 2 * queries * width * width
        return 4 * num_tokens * width * width + attention

    def encoder_layer(self, num_tokens: int) -> int:
        """One encoder layer over one modality of ``num_tokens`` tokens."""
        width, ffn = self.config.hidden_size, self.config.ffn_size
        return num_tokens * (8 * width * width + 4 * width * ffn) + 4 * num_tokens**2 * width

    def pooler(self, num_tokens: int) -> int:
        """The unit vector of one modality of ``num_tokens`` tokens."""
        width, size = self.config.hidden_size, self.config.embedding_size
        return num_tokens * (4 * width * width + 4 * width) + 2 * width * size

    def image_vector(self) -> int:
        """The unit vector of the image states, pooled from the memory where queries make one."""
        num_tokens = self.config.num_pooler_queries or self.config.stem.num_image_tokens
        return self.pooled_memory() + self.pooler(num_tokens)

    def text_vector(self, num_tokens: int) -> int:
        """The unit vector of a text's encoder states, or of what unimodal layers make of it."""
        if self.config.has_text_side:
            return self.pooler(num_tokens)
        num_layers = self.config.num_unimodal_layers
        layers = sum(self.decoder_layers(num_layers, place, 0) for place in range(num_tokens))
        return layers + 2 * self.config.hidden_size * self.config.embedding_size

    def decoder_position(self, position: int, memory_length: int) -> int:
        """One decoder layer that sees the memory, for one 0-based position.

        Keys and values of the memory are not included.
        """
        width, ffn = self.config.hidden_size, self.config.ffn_size
        alone = 8 * width * width + 4 * width * ffn + 4 * width * (position + 1)
        return alone + self.cross_attention(memory_length)

    def cross_attention(self, memory_length: int) -> int:
        """What a unimodal layer has less than that for a position."""
        width = self.config.hidden_size
        return 4 * width * width + 4 * width * memory_length

    def decoder_layers(self, depth: int, position: int, memory_length: int) -> int:
        """The lowest ``depth`` decoder layers for one 0-based position."""
        num_unimodal = min(depth, self.config.num_unimodal_layers)
        all_alike = depth * self.decoder_position(position, memory_length)
        return all_alike - num_unimodal * self.cross_attention(memory_length)

    def memory_key_values(self, depth: int, memory_length: int) -> int:
        """Cross-attention keys and values of the lowest ``depth`` decoder layers."""
        num_seeing = max(depth - self.config.num_unimodal_layers, 0)
        return num_seeing * self.memory_key_value(memory_length)

    def memory_key_value(self, memory_length: int) -> int:
        """Cross-attention keys and values of one decoder layer."""
        return 4 * memory_length * self.config.hidden_size**2

    def exit_head(self, num_outputs: int) -> int:
        """One use of the exit head: adapter and logits."""
        return self.exit_features() + self.exit_logits(num_outputs)

    def exit_features(self) -> int:
        """The adapter of one depth."""
        return 4 * self.config.hidden_size * self.config.adapter_size

    def exit_logits(self, num_outputs: int) -> int:
        """Logits of so many words."""
        return 2 * self.config.hidden_size * num_outputs

    def learned_score(self, kind: str) -> int:
        """One score of the learned heads of a kind of policy, exit features not included."""
        return HEADS[kind].heads_class.flops(self.config)

    def copied_key_value(self) -> int:
        """Keys and values of one position at one skipped layer (``copy_hidden``)."""
        return 4 * self.config.hidden_size**2


def stem_flops(config: StemConfig) -> int:
    """Operations of one photo through the convolutions of the stem."""
    side = config.image_size // 2
    total = 2 * side**2 * FIRST_CHANNELS * 3 * 9
    channels = FIRST_CHANNELS
    for stage in scaled_stages(config):
        for repeat in range(stage.repeats):
            middle = channels * stage.expansion
            if stage.expansion != 1:
                total += 2 * side**2 * channels * middle
            if repeat == 0:
                side //= stage.stride
            total += 2 * side**2 * middle * (stage.kernel_size**2 + stage.channels)
            channels = stage.channels
    return total + 2 * side**2 * channels * config.feature_channels
