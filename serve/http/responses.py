"""Wire models as HTTP responses."""

from fastapi.responses import Response
from pydantic import BaseModel


def as_json(model: BaseModel, status: int = 200) -> Response:
    """The response that a wire model becomes."""
    return Response(model.model_dump_json(), status, media_type="application/json")
