"""Exits that a model cannot follow are refused before anything runs."""

from collections.abc import Container

from model_core.config import ExitConfig, ModelConfig
from model_core.errors import InputError
from model_core.heads_file import heads_file
from model_core.policies import ExitSite, FixedDepthPolicy, depth_without_exit
from model_core.policy_heads import HEADS
from model_core.request import TAGS_TASK


def check_exits(exits: ExitConfig, config: ModelConfig, learned_kinds: Container[str]) -> None:
    """Refuses exits of a request that tags nothing.

    Args:
        exits: What is asked for.
        config: Of the model.
        learned_kinds: Kinds of policy that the model has heads for.

    Raises:
        InputError: A policy needs heads that there are not, or more layers than there are.
    """
    check_image_head(exits)
    check_depths(exits, config)
    for site in ExitSite:
        kind = getattr(exits, site.value).learned_kind
        if kind is not None and kind not in learned_kinds:
            raise InputError(
                f"{site}: policy '{kind}' needs learned heads ({heads_file(kind)}), which this "
                f"checkpoint does not have; {HEADS[kind].command} makes them"
            )


def check_image_head(exits: ExitConfig) -> None:
    """Refuses policies of the image that read its tag heads; for requests that tag nothing.

    Raises:
        InputError: The policy reads a head.
    """
    if exits.image.needs_features:
        raise InputError(
            f"{ExitSite.IMAGE}: policy '{exits.image.kind}' reads an exit head, which the "
            f"image has for task {TAGS_TASK} alone; use never, fixed_depth or similarity"
        )


def check_depths(exits: ExitConfig, config: ModelConfig) -> None:
    """Refuses depths that the model does not have, or has no exit at.

    Raises:
        InputError: A policy asks for more layers than there are, or names one without an exit.
    """
    for site in ExitSite:
        policy = getattr(exits, site.value)
        is_decoder = site is ExitSite.DECODER
        limit = config.num_decoder_layers if is_decoder else config.num_encoder_layers
        if isinstance(policy, FixedDepthPolicy) and policy.depth > limit:
            raise InputError(f"{site}.depth: {policy.depth} exceeds the model's {limit} layers")
        first_exit = config.first_exit_depth if is_decoder else 1
        depth = depth_without_exit(policy, first_exit)
        if depth is not None:
            raise InputError(
                f"{site}.depth: {depth} is below this model's first exit; "
                f"allowed are {first_exit} to {limit}"
            )
        if policy.min_depth > limit:
            raise InputError(
                f"{site}.min_depth: {policy.min_depth} exceeds the model's {limit} layers"
            )
