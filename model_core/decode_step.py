"""One decoding step: layer by layer, each row until its own policy lets it leave.

Rows that left are taken out; rows that go on bring their pending positions along (catch-up). The
vocabulary is read once a step for all rows whose policy did not ask for it. Which of the tokens on
offer is taken is for ``model_core.beam`` to say.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from model_core.beam import Candidates
from model_core.encode import ScoreBoard, group_rows, number_groups, take_rows
from model_core.kv_cache import BlockContext, SlotCache
from model_core.model import Backbone
from model_core.pending_block import PendingBlock
from model_core.policies import CARRIED_DTYPE, ExitPolicy, ExitSignals
from model_core.request import Request


class DecodingStep:
    """What the next token of some slots may be.

    Attributes:
        board: Scores and thresholds by slot and depth.
        depths: ``(S,)`` layers run for the new token of each slot.
        caught_up: ``(S,)`` earlier positions that ran some layer in this step.
        positions_run: ``(S,)`` pairs of a position and a layer that were computed.
        position_sum: ``(S,)`` sum of the positions over these pairs.
        candidates: The likeliest tokens of each slot: ``2 * num_beams``, where there are as many,
            for a request with beams; else the likeliest alone, its probability not computed.
        probabilities: Per label, for slots of tasks with allowed outputs.
    """

    def __init__(
        self, backbone: Backbone, cache: SlotCache, requests: Mapping[int, Request]
    ) -> None:
        num_slots = len(cache.lengths)
        self._backbone = backbone
        self._cache = cache
        self._device = cache.hidden.device
        self._num_layers = backbone.config.num_decoder_layers
        self._requests = requests
        # A task with allowed outputs has logits of its own width: such rows are decided apart.
        self._groups = np.zeros(num_slots, dtype=np.int64)
        self._groups[list(requests)] = number_groups(
            [(request.exits.decoder, request.labels) for request in requests.values()]
        )
        self._steps = cache.lengths.copy()
        self._filled_before = cache.filled.copy()
        self._block: PendingBlock | None = None
        self._max_steps = np.ones(num_slots, dtype=np.int64)
        self._num_beams = np.ones(num_slots, dtype=np.int64)
        for slot, request in requests.items():
            self._max_steps[slot] = request.max_new_tokens
            self._num_beams[slot] = request.num_beams
        self._has_drafts = any(request.exits.lookahead for request in requests.values())
        self._late_features: list[tuple[np.ndarray, Tensor]] = []
        self._beam_logits: list[tuple[np.ndarray, Tensor]] = []
        num_carried = max(request.exits.decoder.num_carried for request in requests.values())
        self._carried = torch.zeros(
            num_slots, num_carried, dtype=CARRIED_DTYPE, device=self._device
        )
        self.board = ScoreBoard(num_slots, self._num_layers, backbone.config.first_exit_depth)
        self._first_decisions = np.ones(num_slots, dtype=np.int64)
        self.depths = np.zeros(num_slots, dtype=np.int64)
        self.caught_up = self.positions_run = self.position_sum = np.zeros_like(self.depths)
        self.candidates: dict[int, Candidates] = {}
        self.probabilities: dict[int, dict[str, float]] = {}

    def run(self, last_token_ids: Tensor) -> None:
        """Find the candidates of every slot; ``last_token_ids`` ``(R,)`` in order of slots."""
        rows = np.array(sorted(self._requests), dtype=np.int64)
        for places in group_rows(self._groups[rows]):
            group = rows[places]
            self._first_decisions[group] = self.board.first_decision(self._policy(group), group)
        positions = torch.from_numpy(self._steps[rows]).to(self._device)
        self._cache.append(rows, self._backbone.embed_target(last_token_ids, positions))
        for layer in range(self._num_layers):
            hidden, previous = self._run_layer(layer, rows)
            if layer + 1 < self._first_decisions[rows].min():
                continue
            leaves = self._decide(layer + 1, rows, hidden, previous)
            if leaves.any():
                self.depths[rows[leaves]] = layer + 1
                rows = rows[~leaves]
            if not len(rows):
                break
        if layer + 1 < self._num_layers or self._has_drafts:
            self._keep_states()
        self._count_work()
        self._choose_late()
        self._rank_beam_tokens()

    def _run_layer(self, layer: int, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """``(R, D)`` states of the newest positions after and before ``layer``.

        States go from layer to layer as they are while the positions stay the same.
        """
        block = self._cache.pending(rows, layer, self._block)
        if block is not self._block:
            self._keep_states()
            self._block, self._states = block, self._cache.read(block)
            self._context = BlockContext(self._cache, block)
        before = self._states
        self._states = self._backbone.run_decoder_layer(layer, before, self._context)
        self._cache.mark_filled(layer, block)
        return block.newest(self._states), block.newest(before)

    def _keep_states(self) -> None:
        if self._block is not None:
            self._cache.keep(self._block, self._states)

    def _count_work(self) -> None:
        stops = self._cache.lengths[:, None]
        has_run = np.arange(self._num_layers) < self.depths[:, None]
        counts = np.where(has_run, stops - self._filled_before, 0)  # (S, L)
        self.caught_up = (counts - 1).max(axis=1).clip(min=0)
        self.positions_run = counts.sum(axis=1)
        self.position_sum = (counts * (self._filled_before + stops - 1) // 2).sum(axis=1)

    def _decide(self, depth: int, rows: np.ndarray, hidden: Tensor, previous: Tensor) -> np.ndarray:
        leaves = np.zeros(len(rows), dtype=bool)
        for places in group_rows(self._groups[rows]):
            group = rows[places]
            policy = self._policy(group)
            is_known = self.board.decide_known(policy, depth, group)
            signals: ExitSignals | None = None
            if is_known is None:
                signals = self._signals(
                    depth, group, take_rows(hidden, places), take_rows(previous, places)
                )
                leaving = np.flatnonzero(self._ask(policy, signals, group))
            else:
                leaving = np.arange(len(places) if is_known else 0)
            if len(leaving):
                leaves[places[leaving]] = True
                states = take_rows(hidden, places[leaving])
                self._leave(depth, group[leaving], states, signals, leaving)
        return leaves

    def _ask(self, policy: ExitPolicy, signals: ExitSignals, group: np.ndarray) -> np.ndarray:
        """``(R,)`` True where ``group`` leaves; what the policy carries goes to the next depth."""
        if not policy.num_carried:
            return self.board.decide(policy, signals, group)
        rows = torch.from_numpy(group).to(self._device)
        signals.carried = self._carried[rows, : policy.num_carried]
        leaves = self.board.decide(policy, signals, group)
        self._carried[rows, : policy.num_carried] = signals.carried.to(CARRIED_DTYPE)
        return leaves

    def _leave(
        self,
        depth: int,
        rows: np.ndarray,
        hidden: Tensor,
        signals: ExitSignals | None,
        places: np.ndarray,
    ) -> None:
        """Choose the tokens of ``rows`` now, or put their features aside for all to share.

        What the policy computed for its score is used again: ``places`` are theirs in ``signals``.
        """
        if signals is not None and signals.has_logits:
            self._choose(rows, take_rows(signals.logits(), places))
            return
        if signals is not None and signals.has_features:
            features = take_rows(signals.features(), places)
        else:
            features = self._backbone.exit_features(depth, hidden)
        labels = self._labels(rows)
        if labels:
            self._choose(rows, self._logits(features, labels))
        else:
            self._late_features.append((rows, features))

    def _policy(self, group: np.ndarray) -> ExitPolicy:
        policy: ExitPolicy = self._requests[int(group[0])].exits.decoder
        return policy

    def _labels(self, group: np.ndarray) -> tuple[tuple[str, int], ...]:
        return self._requests[int(group[0])].labels

    def _signals(
        self, depth: int, group: np.ndarray, hidden: Tensor, previous: Tensor
    ) -> ExitSignals:
        labels = self._labels(group)
        return ExitSignals(
            depth=depth,
            num_layers=self._num_layers,
            hidden=hidden.unsqueeze(1),
            previous=previous.unsqueeze(1),
            mask=None,
            steps=torch.from_numpy(self._steps[group]).to(self._device),
            max_steps=torch.from_numpy(self._max_steps[group]).to(self._device),
            compute_features=lambda: self._backbone.exit_features(depth, hidden),
            compute_logits=lambda features: self._logits(features, labels),
            compute_learned=self._backbone.learned_score,
        )

    def _logits(self, features: Tensor, labels: tuple[tuple[str, int], ...]) -> Tensor:
        """``(N, V)`` logits, or ``(N, number of labels)`` for a task with allowed outputs."""
        if not labels:
            return self._backbone.exit_logits(features)
        candidates = torch.tensor([number for _, number in labels], device=self._device)
        return self._backbone.exit_logits(features, candidates)

    def _choose(self, rows: np.ndarray, logits: Tensor) -> None:
        """Greedy choice of ``rows`` from ``(R, V)`` logits, or from ``(R, number of labels)``.

        Rows of requests with beams are put aside: theirs are ranked together, once a step.
        """
        is_greedy = self._num_beams[rows] == 1
        if not is_greedy.all():
            beams, greedy = np.flatnonzero(~is_greedy), np.flatnonzero(is_greedy)
            self._beam_logits.append((rows[beams], take_rows(logits, beams)))
            if not len(greedy):
                return
            rows, logits = rows[greedy], take_rows(logits, greedy)
        best = logits.argmax(dim=-1).tolist()
        labels = self._labels(rows)
        if not labels:
            for row, token_id in zip(rows.tolist(), best, strict=True):
                self.candidates[row] = Candidates((token_id,), (0.0,))
            return
        probabilities = logits.softmax(dim=-1).tolist()
        for row, choice, values in zip(rows.tolist(), best, probabilities, strict=True):
            self.candidates[row] = Candidates((labels[choice][1],), (0.0,))
            names = [name for name, _ in labels]
            self.probabilities[row] = dict(zip(names, values, strict=True))

    def _choose_late(self) -> None:
        if self._late_features:
            rows = np.concatenate([rows for rows, _ in self._late_features])
            features = torch.cat([features for _, features in self._late_features])
            self._choose(rows, self._backbone.exit_logits(features))

    def _rank_beam_tokens(self) -> None:
        """Candidates of all rows of beams; one transfer from the device."""
        if not self._beam_logits:
            return
        rows = np.concatenate([rows for rows, _ in self._beam_logits])
        logits = torch.cat([logits for _, logits in self._beam_logits])
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        count = min(2 * int(self._num_beams[rows].max()), logits.shape[-1])
        best = logits.log_softmax(dim=-1).topk(count)
        # Ids are exact in float32 up to 2**24 pieces.
        on_host = torch.stack([best.indices.to(best.values.dtype), best.values]).to("cpu")
        token_ids, log_probabilities = on_host[0].long().tolist(), on_host[1].tolist()
        for place, row in enumerate(rows.tolist()):
            self.candidates[row] = Candidates(token_ids[place], log_probabilities[place])
