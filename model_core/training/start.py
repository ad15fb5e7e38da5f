"""Where a run starts: its model, its vocabulary, its data and its recipe.

From the released weights, three things are ours to choose, and cheap. Without standardised stem
features, Adam's first hundred steps grow the part that every image token shares until tokens and
photos can no longer be told apart; without word frequencies in the bias they are spent on learning
how often each word occurs (``docs/log.md`` has the figures); the third is in ``convert.py``.
"""

import copy
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from model_core.architectures import build_model
from model_core.checkpoint import LoadedCheckpoint, load_checkpoint
from model_core.coca import CocaModel
from model_core.config import Architecture, ModelConfig, load_config
from model_core.convert import (
    load_source_tokenizer,
    load_stem_weights,
    load_text_weights,
    load_unified_weights,
    restart_text_embedding,
)
from model_core.errors import ConfigError
from model_core.model import UnifiedModel
from model_core.stem import fold_batch_norms
from model_core.tokenizer import PrunedVocabulary, WordPieceTokenizer
from model_core.training.average import mix_weights
from model_core.training.cider import CiderRecipe
from model_core.training.classifier import ClassifierRecipe
from model_core.training.coca import CocaRecipe
from model_core.training.config import Objective, TrainConfig
from model_core.training.contrastive import ContrastiveRecipe
from model_core.training.data import TrainData, normalise_caption, read_captions, read_entailment
from model_core.training.distil import DistilRecipe
from model_core.training.features import Views, stem_features
from model_core.training.frozen import HeadsRecipe
from model_core.training.heads import checkpoint_to_extend, trains_heads
from model_core.training.jei_dnn import JeiDnnRecipe
from model_core.training.joint import JointRecipe
from model_core.training.lgvit import LgvitRecipe
from model_core.training.palbert import PalbertRecipe
from model_core.training.premise_guidance import BorrowedPairs, PremiseGuidanceRecipe
from model_core.training.recipe import Recipe
from model_core.training.teacher_forcing import TeacherForcing, image_tokens
from model_core.training.text import TextRecipe
from model_core.training.text_data import TextData, TextPairs, read_pairs, read_sentences
from model_core.training.text_embedding import TextEmbeddingRecipe

HEADS_RECIPES: dict[Objective, type[HeadsRecipe]] = {
    recipe.objective: recipe for recipe in (ClassifierRecipe, PalbertRecipe, JeiDnnRecipe)
}
TAUGHT = (Objective.DISTIL, Objective.TEXT_EMBEDDING, Objective.PREMISE_GUIDANCE)
OPTIONAL_PARTS = ("embedding_size", "text_embedding_rank")  # a run may add them
SAMPLED_PHOTOS = 500
DEVIATION_FLOOR = 0.05  # a channel that is silent in the sample must not be blown up


class Start(NamedTuple):
    """A model before its first step, and its vocabulary."""

    model: UnifiedModel
    tokenizer: WordPieceTokenizer


def start_model(config: TrainConfig) -> Start:
    """The model of a run: that of ``start_from``, or a new one.

    Raises:
        CheckpointError: ``start_from`` cannot be loaded.
        ConfigError: The objective does not train such a model, or ``start_from`` holds a model of
            another configuration, or is missing where heads are trained for a finished model.
    """
    model_config = load_config(config.model_path, ModelConfig)
    _check_objective(config, model_config)
    if trains_heads(config):
        checkpoint_to_extend(config)
    if config.start_from is not None:
        loaded = load_checkpoint(config.start_from)
        if not trains_heads(config):
            loaded.model.policy_heads.clear()  # they belong to the weights as they were
            loaded.model.tag_heads = None
        model = _as_configured(loaded, model_config, config)
        if config.mix_with is not None:
            mix_weights(model, load_checkpoint(config.mix_with).model, config.mix_weight)
        return Start(model, loaded.tokenizer)
    vocabulary = build_vocabulary(config, model_config)
    model = build_model(model_config, vocabulary.tokenizer.vocabulary_size)
    if config.has_pretrained_start:
        load_stem_weights(model)
        load_text_weights(model, vocabulary.source_ids)
    captions = [text for photo in _own_captions(config) for text in photo]
    start_from_frequencies(model, vocabulary.tokenizer.encode_many(captions))
    return Start(model, vocabulary.tokenizer)


def _check_objective(config: TrainConfig, model_config: ModelConfig) -> None:
    is_coca = model_config.architecture is Architecture.COCA
    if is_coca != (config.objective is Objective.COCA):
        raise ConfigError(
            f"objective: '{config.objective}' does not train a model of architecture "
            f"'{model_config.architecture}'; '{Objective.COCA}' trains '{Architecture.COCA}' alone"
        )


def _as_configured(
    loaded: LoadedCheckpoint, model_config: ModelConfig, config: TrainConfig
) -> UnifiedModel:
    """The loaded model, with what the configuration asks for first: poolers, or words of the text
    side's own, which start as MiniLM's.

    A CoCa model may also start from a unified one (``convert.load_unified_weights``).
    """
    source = loaded.model
    if source.config == model_config:
        return source
    model = build_model(model_config, source.word_embedding.num_embeddings)
    if model_config.architecture is not source.config.architecture:
        load_unified_weights(model, source)
        return model
    new = [name for name in OPTIONAL_PARTS if not getattr(source.config, name)]
    without = model_config.model_copy(update=dict.fromkeys(new, 0) | {"name": source.config.name})
    if source.config != without:
        raise ConfigError(
            f"start_from: {config.start_from} holds a model of another configuration than "
            f"{config.model_path}"
        )
    fold_batch_norms(model.stem)
    model.load_state_dict(source.state_dict(), strict=False)
    if model_config.text_embedding_rank and not source.config.text_embedding_rank:
        restart_text_embedding(model, loaded.tokenizer.ids_in(load_source_tokenizer()))
    return model


def build_recipe(config: TrainConfig, model: UnifiedModel, tokenizer: WordPieceTokenizer) -> Recipe:
    """The recipe of a run with its data read."""
    if config.objective is Objective.LGVIT:
        return LgvitRecipe(model, config)
    forcing = _forcing(config, model, tokenizer)
    if config.objective is Objective.TEXT:
        text = TextData(config.data, model.config, tokenizer, _own_captions(config), config.seed)
        return TextRecipe(forcing, text, config.loss)
    features = _features(config, model)
    if bool((model.encoder.feature_scale == 1).all()):  # no run has shown it photos yet
        standardise_features(model, features, config.num_trainable_stem_blocks)
    data = TrainData(config.data, model.config, tokenizer, features, config.seed)
    if isinstance(model, CocaModel):
        return CocaRecipe(forcing, model, data, config.loss)
    if config.objective is Objective.CONTRASTIVE:
        return ContrastiveRecipe(forcing, data, config)
    if config.objective in HEADS_RECIPES:
        return HEADS_RECIPES[config.objective](forcing, data, config, tokenizer)
    pairs = None
    if config.data.text_folder is not None:
        pairs = TextPairs(config.data, config.data.text_folder, model.config, tokenizer)
    if config.objective is Objective.CIDER:
        return CiderRecipe(forcing, data, config.loss, tokenizer, pairs)
    if config.objective in TAUGHT:
        return _taught_recipe(config, forcing, data, tokenizer, pairs)
    return JointRecipe(forcing, data, config.loss, pairs)


def _taught_recipe(
    config: TrainConfig,
    forcing: TeacherForcing,
    data: TrainData,
    tokenizer: WordPieceTokenizer,
    pairs: TextPairs | None,
) -> Recipe:
    teacher = _forcing(config, _teacher(config, forcing.model), tokenizer)
    if config.objective is Objective.DISTIL:
        return DistilRecipe(forcing, teacher, data, config.loss, tokenizer, pairs)
    if config.objective is Objective.TEXT_EMBEDDING:
        return TextEmbeddingRecipe(forcing, teacher, data, config.loss, pairs)
    borrowed = BorrowedPairs(data, config.data)
    return PremiseGuidanceRecipe(forcing, teacher, data, config.loss, borrowed, pairs)


def _forcing(
    config: TrainConfig, model: UnifiedModel, tokenizer: WordPieceTokenizer
) -> TeacherForcing:
    labels = model.config.allowed_outputs("entailment").values()
    return TeacherForcing(
        model,
        tokenizer.start_id,
        [tokenizer.word_id(word) for word in labels],
        config.num_trainable_stem_blocks,
    )


def _teacher(config: TrainConfig, model: UnifiedModel) -> UnifiedModel:
    """The model whose full depth is imitated: another one, or this one as the run finds it."""
    if config.teacher is None:
        if config.objective is not Objective.DISTIL:
            raise ConfigError(
                f"teacher: objective '{config.objective}' needs the checkpoint of one, whose text "
                "side is as it was"
            )
        return copy.deepcopy(model)
    return load_checkpoint(config.teacher).model.to(config.device)


def _features(config: TrainConfig, model: UnifiedModel) -> np.ndarray:
    data = config.data
    names = [example.image for example in read_captions(data.folder, "train")]
    views = Views(data.has_flips, data.num_crops)
    return stem_features(
        model,
        data.folder / "images",
        names,
        config.feature_folder,
        views,
        config.num_trainable_stem_blocks,
    )


def _own_captions(config: TrainConfig) -> list[list[str]]:
    return [
        [normalise_caption(caption) for caption in example.captions]
        for example in read_captions(config.data.folder, "train")
    ]


def build_vocabulary(config: TrainConfig, model_config: ModelConfig) -> PrunedVocabulary:
    """The tokenizer of a new run and the source ids of its pieces."""
    texts = [text for photo in _own_captions(config) for text in photo]
    for pair in read_entailment(config.data.folder, "train"):
        texts += [pair.hypothesis, pair.premise or ""]
    if config.data.text_folder is not None:
        texts += [text for photo in read_sentences(config.data.text_folder) for text in photo]
        for written in read_pairs(config.data.text_folder):
            texts += [written.premise, written.hypothesis]
    words = [
        word
        for task in model_config.tasks.values()
        for word in (task.instruction, *task.allowed_outputs.values())
    ]
    return load_source_tokenizer().prune(texts, words, config.data.min_piece_count)


@torch.no_grad()
def standardise_features(
    model: UnifiedModel, features: np.ndarray, num_trainable_blocks: int = 0
) -> None:
    """Make the encoder see ``stem_features`` with mean 0 and deviation about 1."""
    every = max(features.shape[1] // SAMPLED_PHOTOS, 1)
    seen = torch.from_numpy(features[0, ::every].astype(np.float32))
    sample = image_tokens(model, seen, num_trainable_blocks).flatten(0, 1)
    model.encoder.feature_mean.copy_(sample.mean(0))
    model.encoder.feature_scale.copy_(1 / (sample.std(0) + DEVIATION_FLOOR))


@torch.no_grad()
def start_from_frequencies(model: UnifiedModel, rows: Iterable[Sequence[int]]) -> None:
    """Set the exit head's bias to the log frequency of each id in ``rows`` (add-one smoothed)."""
    counts = torch.ones(model.word_embedding.num_embeddings)
    for row in rows:
        counts.index_add_(0, torch.tensor(row), torch.ones(len(row)))
    model.exit_head.bias.copy_((counts / counts.sum()).log())
