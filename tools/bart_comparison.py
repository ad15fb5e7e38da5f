"""Our full depth against ``generate`` of a Bart of the same shape, interleaved in one run.

Both encode the same number of memory tokens and decode greedily the same number of tokens, in
float32, on the same threads; neither includes a stem. Bart's weights are random: its time does not
depend on them. Ours are the shipped ones, with the end mark forbidden so that lengths agree; how
they are kept is an option, since that is the runtime's choice and costs no accuracy.

    python -m tools.bart_comparison --batch-sizes 1,16 --num-tokens 12
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import BartConfig, BartForConditionalGeneration

from model_core.checkpoint import default_checkpoint, load_checkpoint
from model_core.config import ExitConfig
from model_core.packed_weights import AUTO, WEIGHT_CHOICES
from model_core.predictor import Predictor, answer_all


def build_bart(predictor: Predictor) -> BartForConditionalGeneration:
    """A random Bart with our width, heads, layers, vocabulary and lengths."""
    config = predictor.model.config
    marks = predictor.tokenizer
    bart = BartForConditionalGeneration(
        BartConfig(
            vocab_size=marks.vocabulary_size,
            max_position_embeddings=max(config.max_target_tokens, 128),
            d_model=config.hidden_size,
            encoder_layers=config.num_encoder_layers,
            decoder_layers=config.num_decoder_layers,
            encoder_attention_heads=config.num_heads,
            decoder_attention_heads=config.num_heads,
            encoder_ffn_dim=config.ffn_size,
            decoder_ffn_dim=config.ffn_size,
            pad_token_id=marks.pad_id,
            bos_token_id=marks.start_id,
            eos_token_id=marks.end_id,
            decoder_start_token_id=marks.start_id,
            forced_eos_token_id=None,
        )
    )
    bart.train(False)
    return bart


def bart_run(bart: Any, memory_length: int, size: int, num_tokens: int) -> Callable[[], float]:
    """One timed greedy generation of ``size`` rows; returns milliseconds."""
    embedded = torch.randn(size, memory_length, bart.config.d_model)

    def run() -> float:
        started = time.perf_counter()
        with torch.inference_mode():
            rows = bart.generate(
                inputs_embeds=embedded,
                num_beams=1,
                do_sample=False,
                min_new_tokens=num_tokens,
                max_new_tokens=num_tokens,
            )
        elapsed = 1e3 * (time.perf_counter() - started)
        assert isinstance(rows, torch.Tensor) and rows.shape == (size, num_tokens + 1)
        return elapsed

    return run


def our_run(predictor: Predictor, size: int, num_tokens: int) -> Callable[[], float]:
    """One timed caption of ``size`` photos at full depth; returns milliseconds without the stem."""
    noise = np.random.default_rng(0).integers(0, 256, (size, 224, 224, 3), dtype=np.uint8)
    requests = [
        predictor.request(
            "caption", Image.fromarray(pixels), ExitConfig(), max_new_tokens=num_tokens
        )
        for pixels in noise
    ]
    slots = predictor.new_slots(size)

    def run() -> float:
        answers = answer_all(slots, requests)
        assert all(len(answer.token_ids) == num_tokens for answer in answers)
        stages = [answer.trace.cost.stage_ms for answer in answers]
        return stages[0].encode + max(stage.decode for stage in stages)

    return run


def compare(
    predictor: Predictor, size: int, num_tokens: int, repeats: int
) -> dict[str, float | str]:
    """Median milliseconds of both, and the ratio of ours to Bart's."""
    config = predictor.model.config
    instruction = predictor.tokenizer.encode(config.tasks["caption"].instruction)
    memory_length = config.stem.num_image_tokens + len(instruction) + 2
    runs = {
        "offramp": our_run(predictor, size, num_tokens),
        "bart": bart_run(build_bart(predictor), memory_length, size, num_tokens),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 2):
        for name, run in runs.items():
            elapsed = run()
            if repeat >= 2:  # the first two warm up
                times[name].append(elapsed)
    ours, bart = (float(np.median(times[name])) for name in runs)
    return {
        "weights": predictor.info.weights,
        "batch_size": size,
        "num_tokens": num_tokens,
        "offramp_ms": round(ours, 2),
        "bart_ms": round(bart, 2),
        "ratio": round(ours / bart, 3),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one JSON object per batch size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--batch-sizes", default="1,16")
    parser.add_argument("--num-tokens", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--num-threads", type=int, default=1)
    parser.add_argument("--weights", choices=WEIGHT_CHOICES, default=AUTO)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.num_threads)
    loaded = load_checkpoint(default_checkpoint())
    with torch.no_grad():
        loaded.model.exit_head.bias[loaded.tokenizer.end_id] = -1e9
    predictor = Predictor(loaded, weights=options.weights)
    for size in options.batch_sizes.split(","):
        print(json.dumps(compare(predictor, int(size), options.num_tokens, options.repeats)))


if __name__ == "__main__":
    main()
