"""The running service as tests see it."""

from dataclasses import dataclass

import httpx

from model_core.predictor import Predictor
from serve.cache.backends import EmbeddedServer
from serve.settings import ServeSettings


@dataclass(frozen=True)
class Served:
    """The running service with its settings, a client for it, and the same model here."""

    client: httpx.Client
    predictor: Predictor
    cache_server: EmbeddedServer
    settings: ServeSettings
