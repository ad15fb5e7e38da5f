"""Self-critical CIDEr optimisation of the last exit, which the others learn to imitate.

Source: arXiv 1612.00563, with the mean reward of the other samples of a photo as the baseline
(arXiv 2003.09971). Imitation is ours: rewarding shallow exits for captions that the last one drew
would push them away from what they can say; agreeing with it is what lets a token leave early.
"""

import torch
from torch import Tensor

from model_core.layers import Packing
from model_core.tokenizer import WordPieceTokenizer
from model_core.training.config import LossConfig
from model_core.training.data import IGNORED_TARGET, TrainBatch, TrainData, sentence_rows
from model_core.training.joint import JointRecipe
from model_core.training.losses import imitation_loss, self_critical_loss
from model_core.training.recipe import StepLosses
from model_core.training.reward import CiderReward, DrawnCaption
from model_core.training.sampling import new_generator, sample_captions
from model_core.training.teacher_forcing import Depths, Memory, TeacherForcing
from model_core.training.text_data import TextPairs


class CiderRecipe(JointRecipe):
    """The joint recipe with its captions drawn from the model and rewarded."""

    def __init__(
        self,
        forcing: TeacherForcing,
        data: TrainData,
        config: LossConfig,
        tokenizer: WordPieceTokenizer,
        text_pairs: TextPairs | None = None,
    ) -> None:
        super().__init__(forcing, data, config, text_pairs)
        self._tokenizer = tokenizer
        self._reward = CiderReward(data.references)

    def _caption_losses(self, batch: TrainBatch, image: Tensor, depths: Depths) -> StepLosses:
        memory = self._caption_memory(batch, image, depths)
        rows = self._draw(memory)
        rewards = self._rewards(batch, rows)
        advantages = (rewards - mean_of_others(rewards)).flatten().to(image.device)
        inputs, targets = sentence_rows(rows, self._tokenizer, image.device)
        packing = Packing(targets != IGNORED_TARGET)
        features = self._forcing.exit_features(inputs, packing, memory, depths.decoder)
        *shallow, last = [self._model.exit_logits(states).float() for states in features]
        by_token = packing.pack(advantages[:, None].expand_as(targets))
        reward_loss = self_critical_loss(last, packing.pack(targets), by_token)
        imitation = last.new_zeros(())
        for logits in shallow:
            imitation = imitation + imitation_loss(logits, last) / len(shallow)
        total = reward_loss + self._config.imitation_weight * imitation
        parts = {"caption": reward_loss, "imitation": imitation}
        if self._config.reference_weight:
            parts["reference"] = super()._caption_losses(batch, image, depths).total
            total = total + self._config.reference_weight * parts["reference"]
        return StepLosses(total, parts, {"reward": rewards.mean()})

    def _draw(self, memory: Memory) -> list[list[int]]:
        decoder = self._model.decoder
        decoder.eval()  # the captions are drawn without dropout
        generator = new_generator(memory.states.device)
        marks = (self._tokenizer.start_id, self._tokenizer.end_id)
        limit = self._model.config.tasks["caption"].max_new_tokens
        rows = sample_captions(
            self._model,
            memory,
            self._config.samples_per_photo,
            marks,
            generator,
            min(limit, self._config.sample_max_tokens),
        )
        decoder.train()
        return rows

    def _rewards(self, batch: TrainBatch, rows: list[list[int]]) -> Tensor:
        """``(B, C)`` reward of each drawn caption."""
        count = self._config.samples_per_photo
        photos = [int(photo) for photo in batch.photos for _ in range(count)]
        end_id = self._tokenizer.end_id
        captions = [DrawnCaption(self._tokenizer.decode(row), row[-1] == end_id) for row in rows]
        scores = torch.from_numpy(self._reward.score(photos, captions)).float()
        return scores.view(-1, count)


def mean_of_others(rewards: Tensor) -> Tensor:
    """``(B, C)`` for each caption the mean reward of its photo's other captions: the baseline."""
    others: Tensor = (rewards.sum(1, keepdim=True) - rewards) / (rewards.shape[1] - 1)
    return others
