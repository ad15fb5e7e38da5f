"""What a training run is told (``configs/train/*.yaml``)."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field

from model_core.config import CONFIG_ROOT, FrozenConfig
from model_core.tag_heads import HeadKind


class Precision(StrEnum):
    """Arithmetic of the forward pass; ``auto`` takes bfloat16 where the processor is fast in it."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Objective(StrEnum):
    """What a run minimises: one module of ``model_core/training`` each."""

    TEXT = "text"
    JOINT = "joint"
    CIDER = "cider"
    DISTIL = "distil"
    TEXT_EMBEDDING = "text_embedding"
    PREMISE_GUIDANCE = "premise_guidance"
    CONTRASTIVE = "contrastive"
    COCA = "coca"
    CLASSIFIER = "classifier"
    PALBERT = "palbert"
    JEI_DNN = "jei_dnn"
    LGVIT = "lgvit"


class ModuleWeighting(StrEnum):
    """How JEI-DNN's recipe weighs rows at an exit."""

    PAPER_WEIGHTED = "paper_weighted"  # by the chance that they leave there
    REPO_WEIGHTED = "repo_weighted"  # all alike, which the authors' code comes down to


class PriorDivergence(StrEnum):
    """Which way round PALBERT's recipe compares halting with its prior."""

    PRIOR_FIRST = "prior_first"  # KL(prior || p), the authors' code
    PRIOR_LAST = "prior_last"  # KL(p || prior), PonderNet


class DataConfig(FrozenConfig):
    """Where the examples are, and how a batch is drawn.

    Attributes:
        folder: Folder with ``images/``, ``captions.jsonl``, ``ve_<split>.jsonl``.
        photos_per_batch: Photos of one step.
        captions_per_photo: Captions drawn for each photo.
        pairs_per_batch: Entailment pairs drawn from the photos of the batch.
        premise_fraction: How often a premise sentence is shown when there is one.
        has_caption_premises: Show one of the photo's captions as the premise of a pair that has no
            premise sentence of its own.
        has_flips: Also learn from mirrored photos.
        num_crops: Also learn from this many random crops of each photo, half of them mirrored.
        max_views: Views of a photo (itself, its mirror image, crops) that the contrastive and
            the lgvit recipe encode, before the first step.
        text_folder: Folder with text alone (captions without photos, sentence pairs), for the text
            recipe, the vocabulary, and the sentence pairs of the other recipes.
        sentences_per_batch: Sentences of one step of the text recipe.
        retold_fraction: How often the text recipe shows another caption of the same photo instead
            of the sentence with gaps.
        text_pairs_per_batch: Premise and hypothesis pairs without a photo of one step.
        borrowed_pairs_per_batch: Hypotheses about similar photos that one step of the
            premise_guidance recipe asks of its own.
        num_similar_photos: Photos that each may borrow from.
        min_piece_count: Pieces rarer than this in the training text are left to their characters.
    """

    folder: Path = Path("../shared/data/flickr8k")
    photos_per_batch: int = Field(default=64, ge=1, le=4096)
    captions_per_photo: int = Field(default=3, ge=1, le=5)
    pairs_per_batch: int = Field(default=64, ge=0, le=4096)
    premise_fraction: float = Field(default=0.5, ge=0, le=1)
    has_caption_premises: bool = False
    has_flips: bool = True
    num_crops: int = Field(default=0, ge=0, le=32)
    max_views: int = Field(default=2, ge=1, le=64)
    text_folder: Path | None = None
    sentences_per_batch: int = Field(default=128, ge=1, le=4096)
    retold_fraction: float = Field(default=0.5, ge=0, le=1)
    text_pairs_per_batch: int = Field(default=48, ge=1, le=4096)
    borrowed_pairs_per_batch: int = Field(default=28, ge=0, le=4096)
    num_similar_photos: int = Field(default=12, ge=1, le=1000)
    min_piece_count: int = Field(default=2, ge=1)


class LossConfig(FrozenConfig):
    """Weights of the joint loss (arXiv 2311.08623: average over exits plus the last one).

    Attributes:
        label_smoothing: Of the caption loss.
        exits_per_step: Decoder exits supervised in one step: the last and others at random.
        entailment_weight: Of the entailment loss beside the caption loss.
        text_entailment_weight: Of sentence pairs without a photo; None = as entailment_weight.
        photo_alone_weight: Of the same pairs without their premises, in the premise_guidance
            recipe.
        guidance_weight: Of the answers there that the model itself gives when it sees a premise.
        image_weight: Of the squared distance of image states from the teacher's, in units of
            their variance (text_embedding and premise_guidance recipes).
        contrastive_weight: Of the contrastive loss beside the caption loss, for a model with
            poolers.
        samples_per_photo: Captions drawn for each photo by the CIDEr recipe; of the distillation
            recipe's the first is the teacher's likeliest.
        sample_max_tokens: Most tokens of a drawn caption; the task's own limit when it is lower.
        reference_weight: Of the cross entropy of people's captions beside the CIDEr reward:
            what is drawn and not liked is pushed down without a bound, and this says where to.
        imitation_weight: Of the shallow exits' imitation of the last one in the CIDEr recipe, and
            of all exits' imitation of the teacher where the text side changes.
        halting_prior: Rate of the geometric prior over depths of PALBERT's recipe.
        prior_weight: Of the divergence from it.
        prior_divergence: Which way round that is taken.
        turn_steps: Steps after which JEI-DNN's recipe turns from the exits' modules to their gates,
            and back.
        exit_cost_weight: What running every layer costs, in units of cross entropy, when JEI-DNN's
            recipe asks which depth would have been best.
        module_weighting: How it weighs rows at an exit.
        imitates_full_depth: PALBERT's and JEI-DNN's recipes read the model's own captions, where
            full depth's choice is right, instead of people's captions and labels (ours).
        shallow_memory_fraction: Share of steps that see a memory from a random encoder depth,
            drawn for each modality on its own (ours: leaving early must not surprise the decoder).
    """

    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    exits_per_step: int = Field(default=3, ge=1, le=48)
    entailment_weight: float = Field(default=1.0, ge=0)
    text_entailment_weight: float | None = Field(default=None, ge=0)
    photo_alone_weight: float = Field(default=0.2, ge=0)
    guidance_weight: float = Field(default=0.5, ge=0)
    image_weight: float = Field(default=2.0, ge=0)
    contrastive_weight: float = Field(default=0.5, ge=0)
    samples_per_photo: int = Field(default=5, ge=2, le=32)
    sample_max_tokens: int = Field(default=18, ge=2, le=512)
    reference_weight: float = Field(default=0.0, ge=0)
    imitation_weight: float = Field(default=1.0, ge=0)
    halting_prior: float = Field(default=0.1, gt=0, lt=1)
    prior_weight: float = Field(default=0.5, ge=0)
    prior_divergence: PriorDivergence = PriorDivergence.PRIOR_FIRST
    turn_steps: int = Field(default=20, ge=1)
    exit_cost_weight: float = Field(default=0.3, ge=0)
    module_weighting: ModuleWeighting = ModuleWeighting.PAPER_WEIGHTED
    imitates_full_depth: bool = False
    shallow_memory_fraction: float = Field(default=0.5, ge=0, le=1)


class TagsConfig(FrozenConfig):
    """Tag heads and their recipe (arXiv 2308.00255; the defaults are its released code's).

    Attributes:
        num_words: Tags, the most frequent nouns and adjectives of the captions.
        kinds: Of the head at each depth of the encoder; one alone stands for all.
        first_stage_fraction: Share of the steps before the last head is kept.
        distillation: Share of the second stage's loss of an exit that comes from the last one.
        temperature: Of that distillation.
        heterogeneous_weight: Of the divergence from the tokens of the last depth.
        homogeneous_weight: Of the distance to the last head of the same kind.
    """

    num_words: int = Field(default=200, ge=1, le=10000)
    kinds: tuple[HeadKind, ...] = Field(
        default=(*[HeadKind.LOCAL] * 2, HeadKind.LOCAL_POINTWISE, *[HeadKind.GLOBAL] * 3),
        min_length=1,
    )
    first_stage_fraction: float = Field(default=0.5, gt=0, le=1)
    distillation: float = Field(default=0.3, ge=0, le=1)
    temperature: float = Field(default=2.0, gt=0)
    heterogeneous_weight: float = Field(default=0.01, ge=0)
    homogeneous_weight: float = Field(default=0.01, ge=0)


class OptimConfig(FrozenConfig):
    """AdamW with warm-up and cosine decay to zero.

    Attributes:
        learning_rate: Peak of the schedule.
        encoder_rate_scale: Factor on it for the encoder's layers, which start pre-trained.
        decoder_rate_scale: Factor on it for the decoder and the exit head.
        stem_rate_scale: Factor on it for the stem's trainable blocks.
        weight_decay: Of matrices; norms, biases and embeddings are not decayed.
        warmup_steps: Steps of linear growth from zero.
        max_gradient_norm: Larger gradients are scaled down to it, each rate's parameters apart.
        average_decay: Of the moving average of the weights that the run ends with; 0 = none.
    """

    learning_rate: float = Field(default=4e-4, gt=0, le=1)
    encoder_rate_scale: float = Field(default=0.25, gt=0, le=1)
    decoder_rate_scale: float = Field(default=1.0, gt=0, le=1)
    stem_rate_scale: float = Field(default=0.05, gt=0, le=1)
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_steps: int = Field(default=60, ge=0)
    max_gradient_norm: float = Field(default=1.0, gt=0)
    average_decay: float = Field(default=0.0, ge=0, lt=1)


class TrainConfig(FrozenConfig):
    """One training run.

    Attributes:
        model: Name of a file of ``configs/model``, or the path of one.
        objective: The recipe.
        start_from: Checkpoint folder that gives weights and vocabulary; without it the run starts
            from the released weights.
        mix_with: Another checkpoint of the same vocabulary; the run starts from the mean of both.
        teacher: Checkpoint whose full depth is imitated (distil, text_embedding and
            premise_guidance recipes); None takes the model that a distil run starts with.
        mix_weight: Its weight in that mean (arXiv 2109.01903: what a stage forgot comes back).
        num_trainable_stem_blocks: Last blocks of the stem that learn too; 0 freezes all of it.
    """

    model: str = "offramp-s"
    objective: Objective = Objective.JOINT
    start_from: Path | None = None
    teacher: Path | None = None
    mix_with: Path | None = None
    mix_weight: float = Field(default=0.5, gt=0, lt=1)
    num_trainable_stem_blocks: int = Field(default=0, ge=0, le=15)
    data: DataConfig = DataConfig()
    loss: LossConfig = LossConfig()
    tags: TagsConfig = TagsConfig()
    optim: OptimConfig = OptimConfig()
    num_steps: int = Field(default=700, ge=1)
    seed: int = Field(default=1, ge=0)
    precision: Precision = Precision.AUTO
    device: str = "cpu"
    num_threads: int = Field(default=2, ge=1, le=256)
    checkpoint_every_steps: int = Field(default=50, ge=1)
    has_pretrained_start: bool = Field(
        default=True, description="Start stem and text layers from the released weights."
    )
    output_folder: Path = Path("runs/flickr8k")
    feature_folder: Path = Path("runs/features")

    @property
    def model_path(self) -> Path:
        """The YAML file of the model."""
        if self.model.endswith(".yaml"):
            return Path(self.model)
        return CONFIG_ROOT / "model" / f"{self.model}.yaml"
