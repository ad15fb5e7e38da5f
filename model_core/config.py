"""Configuration: one frozen class per YAML kind, and the one loader.

Defaults live here and nowhere else. A preset of exit policies is configuration too: which policy
stands at each exit site, per task.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model_core.errors import ConfigError
from model_core.policies import (
    AnyPolicy,
    ExitSite,
    FixedDepthPolicy,
    NeverPolicy,
    ShallowExitPolicy,
)

CONFIG_ROOT = Path(__file__).resolve().parent.parent / "configs"


class FrozenConfig(BaseModel):
    """Base of every configuration: immutable, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NormPlacement(StrEnum):
    """Where the layer norm of a sublayer stands."""

    POST = "post"
    PRE = "pre"


class Architecture(StrEnum):
    """What kind of model it is (``model_core.architectures`` has the class of each)."""

    UNIFIED = "unified"  # a decoder that sees photo and text in every layer (arXiv 2211.11152)
    COCA = "coca"  # lower decoder layers read sentences, upper ones see the photo (2205.01917)


class TaskConfig(FrozenConfig):
    """A task is data: an instruction, what may be answered, and the metric.

    Attributes:
        instruction: Text side of the encoder when the caller gives none; empty for a model that
            has no text side.
        takes_text: True when the caller's text (a hypothesis) is the text side.
        allowed_outputs: Label -> the word the decoder answers with; empty means free text.
        max_new_tokens: Most decoding steps of one answer, the end mark included.
        metric: What ``evaluate`` reports: ``caption`` or ``accuracy``.
    """

    instruction: str = Field(default="", max_length=200)
    takes_text: bool = False
    allowed_outputs: dict[str, str] = Field(default_factory=dict)
    max_new_tokens: int = Field(default=24, ge=1, le=512)
    metric: str = Field(pattern="^(caption|accuracy)$")


class StemConfig(FrozenConfig):
    """The convolutional stem (EfficientNet-Lite0 by default).

    Attributes:
        image_size: Height and width of the input in pixels.
        width_multiplier: Scales the channels (1.0 = Lite0); small values are for tests.
        depth_multiplier: Scales the repeats of every stage but the first and last.
        feature_channels: Channels of the output grid.
    """

    image_size: int = Field(default=224, ge=32, le=1024, multiple_of=32)
    width_multiplier: float = Field(default=1.0, gt=0, le=4)
    depth_multiplier: float = Field(default=1.0, gt=0, le=4)
    feature_channels: int = Field(default=1280, ge=8, le=4096)

    @property
    def num_image_tokens(self) -> int:
        """Cells of the output grid (stride 32)."""
        return (self.image_size // 32) ** 2


class ModelConfig(FrozenConfig):
    """Kind and sizes of a multi-exit model."""

    name: str = Field(min_length=1, max_length=64)
    architecture: Architecture = Architecture.UNIFIED
    stem: StemConfig = StemConfig()
    hidden_size: int = Field(default=384, ge=8, le=8192)
    num_heads: int = Field(default=12, ge=1, le=128)
    ffn_size: int = Field(default=1536, ge=8, le=32768)
    num_encoder_layers: int = Field(default=6, ge=1, le=48)
    num_decoder_layers: int = Field(default=6, ge=1, le=48)
    num_unimodal_layers: int = Field(
        default=0,
        ge=0,
        le=47,
        description="Lowest decoder layers, which do not see the photo (coca).",
    )
    num_pooler_queries: int = Field(
        default=0, ge=0, le=1024, description="Tokens that a photo is pooled to (coca)."
    )
    norm_placement: NormPlacement = NormPlacement.POST
    adapter_size: int = Field(default=96, ge=1, le=4096)
    embedding_size: int = Field(
        default=0, ge=0, le=4096, description="Of pooled photos and sentences; 0 = no poolers."
    )
    text_embedding_rank: int = Field(
        default=0,
        ge=0,
        le=4096,
        description="Of the correction that gives the text side word vectors of its own; "
        "0 = it uses the decoder's.",
    )
    max_text_tokens: int = Field(default=96, ge=8, le=1024)
    max_target_tokens: int = Field(default=40, ge=2, le=1024)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    tasks: dict[str, TaskConfig] = Field(min_length=1)

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"hidden_size: {self.hidden_size} must be a multiple of num_heads: {self.num_heads}"
            )
        for name, task in self.tasks.items():
            if task.max_new_tokens > self.max_target_tokens:
                raise ValueError(
                    f"tasks.{name}.max_new_tokens: {task.max_new_tokens} exceeds "
                    f"max_target_tokens: {self.max_target_tokens}"
                )
        return self

    @model_validator(mode="after")
    def _fits_the_architecture(self) -> Self:
        if self.architecture is Architecture.COCA:
            self._check_coca()
            return self
        for name in ("num_unimodal_layers", "num_pooler_queries"):
            if getattr(self, name):
                raise ValueError(
                    f"{name}: {getattr(self, name)} must be 0 for architecture "
                    f"'{self.architecture}'; only '{Architecture.COCA}' has them"
                )
        for name, task in self.tasks.items():
            if not task.takes_text and not task.instruction:
                raise ValueError(
                    f"tasks.{name}.instruction: must not be empty when takes_text is false"
                )
        return self

    def _check_coca(self) -> None:
        if not 1 <= self.num_unimodal_layers < self.num_decoder_layers:
            raise ValueError(
                f"num_unimodal_layers: {self.num_unimodal_layers} must be between 1 and "
                f"{self.num_decoder_layers - 1}, one less than num_decoder_layers"
            )
        for name in ("num_pooler_queries", "embedding_size"):
            if not getattr(self, name):
                raise ValueError(f"{name}: must be above 0 for architecture '{self.architecture}'")
        if self.text_embedding_rank:
            raise ValueError(
                f"text_embedding_rank: {self.text_embedding_rank} must be 0 for architecture "
                f"'{self.architecture}', whose encoder has no text side"
            )
        if self.max_text_tokens > self.max_target_tokens:
            raise ValueError(
                f"max_text_tokens: {self.max_text_tokens} exceeds max_target_tokens: "
                f"{self.max_target_tokens}; it is the decoder that reads sentences to embed"
            )
        for name, task in self.tasks.items():
            if task.takes_text or task.instruction:
                field = "takes_text" if task.takes_text else "instruction"
                raise ValueError(
                    f"tasks.{name}.{field}: must be absent for architecture "
                    f"'{self.architecture}', whose encoder has no text side"
                )

    @property
    def has_text_side(self) -> bool:
        """True when the encoder also runs over a text."""
        return self.architecture is Architecture.UNIFIED

    @property
    def first_exit_depth(self) -> int:
        """Fewest decoder layers after which a token may be chosen."""
        return self.num_unimodal_layers + 1

    @property
    def max_memory_tokens(self) -> int:
        """Most tokens that the decoder attends to."""
        return self.memory_length(self.max_text_tokens)

    def memory_length(self, num_text_tokens: int) -> int:
        """Tokens that the decoder attends to beside a text side of ``num_text_tokens``."""
        if self.architecture is Architecture.COCA:
            return self.num_pooler_queries
        return self.stem.num_image_tokens + num_text_tokens

    def allowed_outputs(self, task: str) -> dict[str, str]:
        """Label -> word of a task; empty for free text, and for a task the model does not have."""
        return self.tasks[task].allowed_outputs if task in self.tasks else {}


class Depths(NamedTuple):
    """Layers of the encoder and of the decoder, and the decoder's first exit."""

    encoder: int
    decoder: int
    first_exit: int = 1


class CatchUp(StrEnum):
    """What happens to the deeper layers of a token that left early.

    ``deferred``: they are computed when a later token needs them (exact). ``copy_hidden``: the exit
    state goes through their key and value projections at once (MuE, CALM; approximate).
    """

    DEFERRED = "deferred"
    COPY_HIDDEN = "copy_hidden"


class ExitConfig(FrozenConfig):
    """Which policy stands at each exit site; each is chosen independently."""

    image: AnyPolicy = NeverPolicy()
    text: AnyPolicy = NeverPolicy()
    decoder: AnyPolicy = NeverPolicy()
    catch_up: CatchUp = CatchUp.DEFERRED
    lookahead: int | None = Field(
        default=None,
        ge=1,
        le=16,
        description="Lossless: the decoder's policy drafts so many tokens, full depth checks them.",
    )

    @model_validator(mode="after")
    def _drafts_are_exact(self) -> Self:
        if self.lookahead is not None and self.catch_up is not CatchUp.DEFERRED:
            raise ValueError(
                f"lookahead: needs catch_up '{CatchUp.DEFERRED}', got '{self.catch_up}': a draft "
                "is checked by computing the layers that it left out"
            )
        return self

    @model_validator(mode="after")
    def _encoder_has_few_heads(self) -> Self:
        for site in (ExitSite.IMAGE, ExitSite.TEXT):
            policy = getattr(self, site.value)
            may_read_tags = site is ExitSite.IMAGE and policy.reads_many_labels
            if (policy.needs_features or policy.learned_kind) and not may_read_tags:
                or_tags = " (for task tags also confidence)" if site is ExitSite.IMAGE else ""
                raise ValueError(
                    f"{site.value}: policy '{policy.kind}' reads an exit head, which the encoder "
                    f"does not have; use never, fixed_depth or similarity{or_tags}"
                )
        return self

    def within(self, depths: Depths) -> "ExitConfig":
        """The same for a model of ``depths``: fixed depths lie from first exit to last layer."""
        changed: dict[str, AnyPolicy] = {}
        for site in ExitSite:
            policy = getattr(self, site.value)
            is_decoder = site is ExitSite.DECODER
            limit = depths.decoder if is_decoder else depths.encoder
            first = depths.first_exit if is_decoder else 1
            if isinstance(policy, FixedDepthPolicy | ShallowExitPolicy):
                depth = max(first, min(policy.depth, limit))
                changed[site.value] = policy.model_copy(update={"depth": depth})
        return self.model_copy(update=changed)


class PresetConfig(FrozenConfig):
    """A named choice of exits: one default, and what single tasks do differently."""

    description: str = Field(default="", max_length=400)
    default: ExitConfig = ExitConfig()
    tasks: dict[str, ExitConfig] = Field(default_factory=dict)

    def for_task(self, task: str) -> ExitConfig:
        """The exits that hold for ``task``."""
        return self.tasks.get(task, self.default)


AnyConfig = TypeVar("AnyConfig", bound=BaseModel)


def load_config(
    path: Path, config_class: type[AnyConfig], overrides: Sequence[str] = ()
) -> AnyConfig:
    """A validated configuration from a YAML file, with ``a.b=value`` overrides applied.

    Args:
        path: The YAML file.
        config_class: The class that the file describes.
        overrides: ``dotted.name=value``; the value is read as YAML.

    Raises:
        ConfigError: The file is missing, is not YAML, or a field is wrong (named in the message).
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must hold a mapping, got {type(values).__name__}")
    for override in overrides:
        _apply_override(values, override)
    return parse_config(values, config_class, source=str(path))


def parse_config(
    values: Mapping[str, Any], config_class: type[AnyConfig], source: str
) -> AnyConfig:
    """A validated configuration from plain values; ``source`` opens the error message.

    Raises:
        ConfigError: A field is wrong.
    """
    try:
        return config_class.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: {describe_validation_error(error)}") from error


def describe_validation_error(error: ValidationError) -> str:
    """One sentence per wrong field: its name, what is wrong, the value that was given."""
    parts = []
    for item in error.errors():
        name = ".".join(str(part) for part in item["loc"]) or "configuration"
        given = "" if isinstance(item["input"], dict) else f" (got {item['input']!r:.80})"
        parts.append(f"{name}: {item['msg']}{given}")
    return "; ".join(parts)


def _apply_override(values: dict[str, Any], override: str) -> None:
    name, separator, text = override.partition("=")
    if not separator or not name:
        raise ConfigError(f"override {override!r}: must look like a.b=value")
    *parents, last = name.split(".")
    target = values
    for parent in parents:
        target = target.setdefault(parent, {})
        if not isinstance(target, dict):
            raise ConfigError(f"override {override!r}: {parent} is not a section")
    try:
        target[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"override {override!r}: the value is not valid YAML") from error


def preset_names() -> list[str]:
    """Names of the presets in ``configs/policy``, ``full`` first."""
    names = sorted(path.stem for path in (CONFIG_ROOT / "policy").glob("*.yaml"))
    return sorted(names, key=lambda name: name != "full")


def load_preset(name_or_path: str) -> PresetConfig:
    """The preset of that name, or the one in that YAML file.

    Raises:
        ConfigError: There is no such preset or file, or its content is wrong.
    """
    if name_or_path in preset_names():
        return load_config(CONFIG_ROOT / "policy" / f"{name_or_path}.yaml", PresetConfig)
    if name_or_path.endswith((".yaml", ".yml")):
        return load_config(Path(name_or_path), PresetConfig)
    raise ConfigError(
        f"policy {name_or_path!r:.80}: unknown; use one of {', '.join(preset_names())} "
        "or the path of a YAML file"
    )


def preset_exits(name_or_path: str, task: str, depths: Depths) -> ExitConfig:
    """What a preset, or a YAML file, says of a task, for a model of ``depths``.

    Shipped presets are calibrated for one checkpoint and have to work on another: their fixed
    depths end at the model's last layer. A file's depths are taken as they stand.

    Raises:
        ConfigError: There is no such preset or file, or its content is wrong.
    """
    exits = load_preset(name_or_path).for_task(task)
    return exits.within(depths) if name_or_path in preset_names() else exits
