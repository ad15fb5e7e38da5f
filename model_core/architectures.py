"""Which class each architecture is: the one place a kind of model is registered."""

from model_core.coca import CocaModel
from model_core.config import Architecture, ModelConfig
from model_core.model import UnifiedModel

ARCHITECTURES: dict[Architecture, type[UnifiedModel]] = {
    Architecture.UNIFIED: UnifiedModel,
    Architecture.COCA: CocaModel,
}


def build_model(config: ModelConfig, vocabulary_size: int) -> UnifiedModel:
    """An untrained model of ``config``, of the class of its architecture."""
    return ARCHITECTURES[config.architecture](config, vocabulary_size)
