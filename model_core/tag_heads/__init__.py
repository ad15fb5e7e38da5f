"""Exit heads of the image encoder for the task ``tags``: words that a photo shows, at each depth.

``model_core.tags_file`` keeps them beside a checkpoint, the model holds them if it was given some,
and ``model_core.tagging`` answers with them.
"""

from model_core.tag_heads.aggregation import GlobalAggregationHead, subsample
from model_core.tag_heads.base import TagHead, grid_side
from model_core.tag_heads.heads import HeadKind, TagHeads, TagHeadsConfig, pooled
from model_core.tag_heads.local import LocalPerceptionHead
from model_core.tag_heads.plain import LinearHead, MlpHead

__all__ = [
    "GlobalAggregationHead",
    "HeadKind",
    "LinearHead",
    "LocalPerceptionHead",
    "MlpHead",
    "TagHead",
    "TagHeads",
    "TagHeadsConfig",
    "grid_side",
    "pooled",
    "subsample",
]
