"""An encoder that remembers: one setting of the encoder, many of the decoder.

Settings of a study differ at one exit site at a time, so most encoder passes would be repeated.
Here each photo is encoded once per image policy and each text once per text policy, by the
runtime's own encoder. For answers, not for times: a remembered row takes none.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

from model_core.encode import EncodedModality, EncodedRow
from model_core.policies import ExitPolicy
from model_core.predictor import Predictor
from model_core.request import Request
from model_core.request_encoder import RequestEncoder

LIMIT_BYTES = 256 * 2**20  # per modality


class RowMemory:
    """Encoded rows by policy and input; beyond a size, the policy not used for longest goes."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._num_bytes = 0
        self._by_policy: OrderedDict[ExitPolicy, dict[Hashable, EncodedRow]] = OrderedDict()

    def recall(
        self,
        policies: Sequence[ExitPolicy],
        inputs: Sequence[Hashable],
        encode: Callable[[list[int]], Sequence[EncodedRow]],
    ) -> list[EncodedRow]:
        """Rows in order; ``encode`` is asked for the places of those that are not remembered."""
        keys = list(zip(policies, inputs, strict=True))
        known = {
            place: self._by_policy[policy][name]
            for place, (policy, name) in enumerate(keys)
            if name in self._by_policy.get(policy, {})
        }
        missing = [place for place in range(len(keys)) if place not in known]
        computed = dict(zip(missing, encode(missing), strict=True)) if missing else {}
        for place, (policy, name) in enumerate(keys):
            if place in computed:
                self._keep(policy, name, computed[place])
            elif policy in self._by_policy:
                self._by_policy.move_to_end(policy)
        return [known[place] if place in known else computed[place] for place in range(len(keys))]

    def _keep(self, policy: ExitPolicy, name: Hashable, row: EncodedRow) -> None:
        rows = self._by_policy.setdefault(policy, {})
        self._by_policy.move_to_end(policy)
        if name not in rows:
            self._num_bytes += row.hidden.nbytes
            rows[name] = row
        while self._num_bytes > self._limit_bytes and len(self._by_policy) > 1:
            _, forgotten = self._by_policy.popitem(last=False)
            self._num_bytes -= sum(row.hidden.nbytes for row in forgotten.values())


class RememberingEncoder(RequestEncoder):
    """The runtime's encoder, which asks its memories first; takes requests with stem features."""

    def __init__(self, predictor: Predictor) -> None:
        weight = next(predictor.model.parameters())
        super().__init__(predictor.model, predictor.tokenizer, weight.device, weight.dtype)
        self._images, self._texts = RowMemory(), RowMemory()

    def _encode_images(self, features: Tensor, requests: Sequence[Request]) -> EncodedModality:
        encode_images = super()._encode_images

        def encode(places: list[int]) -> list[EncodedRow]:
            encoded = encode_images(features[places], [requests[place] for place in places])
            return [row._replace(hidden=row.hidden.clone()) for row in encoded.rows()]

        rows = self._images.recall(
            [request.exits.image for request in requests],
            [_photo(request) for request in requests],
            encode,
        )
        return EncodedModality(
            torch.stack([row.hidden for row in rows]),
            tuple(row.trace for row in rows),
            tuple(row.logits for row in rows),
        )

    def _encode_own_texts(self, requests: Sequence[Request]) -> list[EncodedRow]:
        encode_texts = super()._encode_own_texts

        def encode(places: list[int]) -> list[EncodedRow]:
            encoded = encode_texts([requests[place] for place in places])
            return [EncodedRow(text.hidden.clone(), text.trace) for text in encoded]

        return self._texts.recall(
            [request.exits.text for request in requests],
            [request.text_ids for request in requests],
            encode,
        )


def _photo(request: Request) -> int:
    # ``StemFeatures`` gives the same memory for the same photo for as long as it lives.
    if request.features is None:
        raise ValueError("only requests with stem features can be remembered")
    return request.features.data_ptr()
