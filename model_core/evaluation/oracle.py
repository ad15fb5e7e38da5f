"""The oracle: the earliest exits at which the answer is full depth's own.

It knows the answer beforehand, so no policy reaches it: it says how much there is to save without
changing a word. One site at a time, the others at full depth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from model_core.config import ExitConfig
from model_core.evaluation.evaluate import (
    MeanDepth,
    Saving,
    layers_without_text,
    mean_depth,
    saving,
)
from model_core.evaluation.flops import FlopModel
from model_core.evaluation.metrics import mean
from model_core.evaluation.workload import Workload
from model_core.policies import ExitPolicy, ExitSignals, ExitSite, FixedDepthPolicy
from model_core.types import Answer


class GreedyTokenProbe(ExitPolicy):
    """Never leaves; its score is the token (or label) that the exit head would choose there.

    So the trace of a full-depth run holds each depth's greedy token along the full-depth answer,
    which is what a teacher-forced pass over that answer gives.
    """

    kind: Literal["greedy_token_probe"] = "greedy_token_probe"

    @property
    def needs_logits(self) -> bool:
        return True

    def score(self, signals: ExitSignals) -> Tensor:
        return signals.logits().argmax(dim=-1).double()

    def thresholds(self, signals: ExitSignals) -> Tensor:
        return torch.full_like(self.score(signals), torch.inf)


@dataclass(frozen=True)
class Oracle:
    """What one site could save at most, answers unchanged."""

    site: ExitSite
    saving: Saving
    layers_without_text: float
    mean_depth: MeanDepth


def decoder_oracle(workload: Workload) -> Oracle:
    """Each token leaves at the earliest depth whose greedy token is full depth's.

    Operations are those of deferred catch-up at these depths, the head read once per token.
    """
    probe = ExitConfig.model_construct(decoder=GreedyTokenProbe())
    answers = workload.answer(probe, "oracle of the decoder")
    config = workload.predictor.model.config
    run = [oracle_depths(answer, config.first_exit_depth) for answer in answers]
    flops = FlopModel(config, workload.predictor.info.vocabulary_size)
    full_depth = config.num_decoder_layers
    saved_flops = 0
    for example, depths in zip(workload.examples, run, strict=True):
        text_ids = workload.request(example, ExitConfig()).text_ids
        length = config.memory_length(len(text_ids))
        at_full = decoder_flops(flops, [full_depth] * len(depths), length)
        saved_flops += at_full - decoder_flops(flops, depths, length)
    costs = [answer.trace.cost for answer in answers]
    saved_layers = sum(full_depth - mean(depths) for depths in run)
    layers_share = saved_layers / sum(cost.layers_full for cost in costs)
    return Oracle(
        ExitSite.DECODER,
        Saving(layers=layers_share, flops=saved_flops / sum(cost.flops_full for cost in costs)),
        layers_share,  # both modalities are at full depth: their term is the same either way
        MeanDepth(
            image=float(config.num_encoder_layers),
            text=mean([answer.trace.encoder.text.depth for answer in answers]),
            decoder=mean([depth for depths in run for depth in depths]),
        ),
    )


def oracle_depths(answer: Answer, first_exit_depth: int = 1) -> list[int]:
    """Per token of a probed answer, the earliest exit whose choice is the last depth's."""
    tokens = answer.trace.decoder.tokens
    return [token.scores.index(token.scores[-1], first_exit_depth - 1) + 1 for token in tokens]


def decoder_flops(flops: FlopModel, depths: Sequence[int], memory_length: int) -> int:
    """Operations of the decoder's layers when tokens leave at ``depths``, catch-up included.

    A position that left early catches up to the deepest layer that a later token runs.
    """
    total = flops.memory_key_values(max(depths), memory_length)
    deepest = 0
    for position, depth in reversed(list(enumerate(depths))):
        deepest = max(deepest, depth)
        total += flops.decoder_layers(deepest, position, memory_length)
    return total


def encoder_oracle(workload: Workload, site: ExitSite) -> Oracle:
    """Each example's modality leaves at the earliest depth whose full decoder gives the answer.

    Raises:
        ValueError: The site is the decoder.
    """
    if site is ExitSite.DECODER:
        raise ValueError("the decoder has an oracle of its own")
    full = workload.answer(ExitConfig(), f"oracle of the {site}: full depth")
    found = list(full)
    open_places = list(range(len(full)))
    for depth in range(1, workload.predictor.info.num_encoder_layers):
        part = workload.part([workload.examples[place] for place in open_places])
        exits = ExitConfig.model_validate({site.value: FixedDepthPolicy(depth=depth)})
        answers = part.answer(exits, f"oracle of the {site}: depth {depth}")
        still_open = []
        for place, answer in zip(open_places, answers, strict=True):
            if answer.token_ids == full[place].token_ids:
                found[place] = answer
            else:
                still_open.append(place)
        open_places = still_open
        if not open_places:
            break
    return Oracle(site, saving(found), layers_without_text(found), mean_depth(found))
