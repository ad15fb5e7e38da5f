"""The one training loop: steps, metrics, checkpoints, exact resume.

A run can be killed at any moment: it starts again from its last checkpoint and ends with the very
weights it would have had, because everything random is drawn from the seed and the step.
"""

import json
import logging
import pickle
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from model_core.errors import CheckpointError
from model_core.model import UnifiedModel
from model_core.stem import EfficientNetLite, fold_batch_norms
from model_core.tokenizer import WordPieceTokenizer
from model_core.training.average import WeightAverage
from model_core.training.config import TrainConfig
from model_core.training.optim import build_optimizer, clip_gradients, learning_rate
from model_core.training.recipe import StepLosses, autocast_dtype
from model_core.training.start import build_recipe, start_model

logger = logging.getLogger(__name__)

STATE_FILE = "state.pt"
METRICS_FILE = "metrics.jsonl"


class TrainedModel(NamedTuple):
    """What a finished run leaves."""

    model: UnifiedModel
    tokenizer: WordPieceTokenizer


class Trainer:
    """A run: model, data and optimiser at some step."""

    def __init__(self, config: TrainConfig) -> None:
        torch.set_num_threads(config.num_threads)
        torch.manual_seed(config.seed)
        self.config = config
        self.step = 0
        config.output_folder.mkdir(parents=True, exist_ok=True)
        self.model, self.tokenizer = start_model(config)
        _freeze_stem(self.model.stem, config.num_trainable_stem_blocks)
        self.model.to(config.device)
        self._recipe = build_recipe(config, self.model, self.tokenizer)
        self._optimizer = build_optimizer(self.model, config.optim)
        self._average = WeightAverage(self.model, config.optim.average_decay)
        self._autocast_dtype = autocast_dtype(config.precision, config.device)

    def run(self, stop_at: int | None = None) -> TrainedModel:
        """Train to the last step (or to ``stop_at``), resuming if the folder holds a state."""
        self.resume()
        last = self.config.num_steps if stop_at is None else min(stop_at, self.config.num_steps)
        columns = (
            TextColumn("train loss {task.fields[loss]:.3f}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps, left"),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        metrics_path = self.config.output_folder / METRICS_FILE
        with Progress(*columns) as progress, metrics_path.open("a", encoding="utf-8") as metrics:
            bar = progress.add_task("train", total=last, completed=self.step, loss=float("nan"))
            while self.step < last:
                row = self._step()
                metrics.write(json.dumps(row) + "\n")
                metrics.flush()
                progress.update(bar, completed=self.step, loss=row["loss"])
                if self.step % self.config.checkpoint_every_steps == 0 or self.step == last:
                    self.save()
        self._average.apply(self.model)
        return TrainedModel(self.model, self.tokenizer)

    def _step(self) -> dict[str, float]:
        started = time.perf_counter()
        rate = learning_rate(self.config.optim, self.step, self.config.num_steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["rate_scale"]
        losses = self._forward()
        self._optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        norms = clip_gradients(self._optimizer, self.config.optim.max_gradient_norm)
        self._optimizer.step()
        self._average.update(self.model)
        self.step += 1
        return {
            "step": self.step,
            "loss": float(losses.total.detach()),
            **{f"{name}_loss": float(value) for name, value in losses.parts.items()},
            **{name: float(value) for name, value in losses.figures.items()},
            "gradient_norm": float(norms.norm()),
            "learning_rate": rate,
            "seconds": time.perf_counter() - started,
        }

    def _forward(self) -> StepLosses:
        torch.manual_seed(hash((self.config.seed, self.step)) & 0xFFFFFFFF)  # dropout of this step
        self.model.train()
        self.model.stem.eval()
        with torch.autocast(
            device_type=torch.device(self.config.device).type,
            dtype=self._autocast_dtype,
            enabled=self._autocast_dtype is not torch.float32,
        ):
            return self._recipe.losses(self.step)

    def save(self) -> None:
        """Write the state of the run; the old one stays until the new one is whole."""
        state = {
            "step": self.step,
            "config": self._identity(),
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "average": self._average.weights,
        }
        path = self.config.output_folder / STATE_FILE
        unfinished = path.with_suffix(".part")
        torch.save(state, unfinished)
        unfinished.replace(path)

    def resume(self) -> None:
        """Continue from the folder's state, if there is one.

        Raises:
            CheckpointError: The state is damaged or belongs to another configuration.
        """
        path = self.config.output_folder / STATE_FILE
        if not path.is_file():
            return
        state = _load_state(path)
        if state["config"] != self._identity():
            raise CheckpointError(
                f"{path}: belongs to a run with another configuration; choose another output_folder"
            )
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._average.weights = state["average"]
        self.step = state["step"]
        logger.info("resumed %s at step %d", path, self.step)

    def _identity(self) -> str:
        # Where files lie, and how often they are written, does not change what is learned.
        places = {"output_folder", "feature_folder", "checkpoint_every_steps", "num_threads"}
        return self.config.model_dump_json(exclude=places)


def _freeze_stem(stem: EfficientNetLite, num_trainable_blocks: int) -> None:
    """Fold the batch norms, which no step changes, and let only the last blocks learn."""
    fold_batch_norms(stem)
    stem.requires_grad_(False)
    if num_trainable_blocks:
        for module in stem.tail_modules(stem.num_blocks - num_trainable_blocks):
            module.requires_grad_(True)


def _load_state(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path}: damaged, cannot resume from it; delete it") from error
    return state
