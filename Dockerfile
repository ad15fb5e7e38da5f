# One image for the service and the page; the command decides which of them runs.
FROM python:3.11-slim

# Set it to PyTorch's package index for CPU builds to leave the CUDA packages out.
ARG TORCH_INDEX_URL=""

ENV HOME=/tmp \
    PIP_NO_CACHE_DIR=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin offramp
WORKDIR /opt/offramp

# The packages stand in a layer of their own: a change of the sources does not install them again.
COPY pyproject.toml constraints.txt README.md LICENSE NOTICE ./
RUN pip install --constraint constraints.txt --no-deps \
        ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} torch \
    && pip install --constraint constraints.txt '.[tracing]'

# Editable: the configurations and the checkpoint are read from the tree.
COPY . .
RUN pip install --no-deps --editable .

USER offramp
EXPOSE 8000 7860
CMD ["python", "-m", "serve"]
