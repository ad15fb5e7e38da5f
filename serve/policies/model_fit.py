"""Whether a model has the depths that exits ask for."""

from model_core.config import Depths, ExitConfig
from model_core.policies import ExitSite, FixedDepthPolicy, depth_without_exit


def find_misfit(exits: ExitConfig, depths: Depths) -> str | None:
    """The first field that a model of ``depths`` cannot follow, and why; None when it can."""
    for site in ExitSite:
        policy = getattr(exits, site.value)
        is_decoder = site is ExitSite.DECODER
        limit = depths.decoder if is_decoder else depths.encoder
        first = depths.first_exit if is_decoder else 1
        without_exit = depth_without_exit(policy, first)
        if without_exit is not None:
            return (
                f"{site}.depth: {without_exit} is below this model's first exit; allowed are "
                f"{first} to {limit}"
            )
        asked = {"min_depth": policy.min_depth}
        if isinstance(policy, FixedDepthPolicy):
            asked["depth"] = policy.depth
        for field, depth in asked.items():
            if depth > limit:
                return (
                    f"{site}.{field}: {depth} is more than this model has; allowed are 1 to {limit}"
                )
    return None
