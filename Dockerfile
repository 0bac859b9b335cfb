# The service in one image.  docker build -t iopaint-service .                              CPU, the default
#                            docker build -t iopaint-service:cuda --target cuda .           NVIDIA GPUs
#                            docker build --build-arg BAKE_MODELS="lama mat" ...            weights inside the image;
#                              BAKE_SETTINGS="HF_ENDPOINT=... LAMA_MODEL_URL=..." says where they come from, if not the usual
# The virtual environment is made in stages of its own, so that no package manager, cache or header comes along; the
# CPU build of torch has no CUDA libraries, which would be two thirds of an image.

# Debian 12 with Python 3.11: what the exact versions in constraints.txt were resolved for.
ARG BASE=python:3.11-slim-bookworm

# hadolint ignore=DL3006
FROM ${BASE} AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# One tool, outside of the environment that is shipped. It is pinned by its major line only: its job is to obey the pins.
# hadolint ignore=DL3013
RUN python3.11 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir --disable-pip-version-check "uv<1"
WORKDIR /app
COPY pyproject.toml constraints.txt ./

# The variant of torch, as uv knows them (cpu, cu128, cu130, ...), or, when TORCH_INDEX is set, a package index of
# torch builds: for a mirror, or where the ordinary one cannot be reached.
FROM build AS build-cpu
ARG TORCH_BACKEND=cpu
ARG TORCH_INDEX=
ARG EXTRA_GROUPS=
COPY scripts/build_venv scripts/build_venv
RUN scripts/build_venv

FROM build AS build-cuda
ARG TORCH_BACKEND=cu130
ARG TORCH_INDEX=
ARG EXTRA_GROUPS=
COPY scripts/build_venv scripts/build_venv
RUN scripts/build_venv

# hadolint ignore=DL3006
FROM ${BASE} AS run
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# curl for the health checks of compose files, wget for those of KubeRay, tini to pass signals on and bury orphans.
# Debian keeps one version of each for a release, so a pinned one would only break the build on a security update.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends curl tini wget \
 && rm -rf /var/lib/apt/lists/*
# The cache path of the original's compose files is where weights are kept, and belongs to the service's own user, so
# that their volumes work as they are: a new named volume takes its owner from here. /root itself stays root's.
RUN useradd --uid 1000 --create-home --shell /bin/bash iopaint \
 && install --directory --owner=iopaint --group=iopaint /root/.cache/huggingface \
 && chmod 711 /root /root/.cache
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONPATH=/app:/app/clients/python/src \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MODEL_DIR=/root/.cache/huggingface \
    # Baked weights lie here, where no volume hides them; searched after MODEL_DIR.
    TORCH_HOME=/opt/torch \
    HF_HOME=/root/.cache/huggingface \
    # What reads `docker logs` gets an object a line.
    LOG_FORMAT=json \
    RAY_USAGE_STATS_ENABLED=0 \
    # In every HTTP proxy, KubeRay's too: deadlines and bounds that Serve's own lacks.
    RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=ingress.edge:guard \
    # Docker gives 64 MB of /dev/shm unless told otherwise: larger pictures pass through /tmp, which is slower but works.
    RAY_OBJECT_STORE_ALLOW_SLOW_STORAGE=1 \
    RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES=2000000000
WORKDIR /app
EXPOSE 8081
STOPSIGNAL SIGTERM
# Readiness: 503 until an engine answers. The first start may fetch weights; a fallback answers after 30 s.
# The shell's form, because the port is a setting.
# hadolint ignore=DL3025
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
  CMD curl -fsS "http://localhost:${IOPAINT_PORT:-8081}/api/v1/health" || exit 1
ENTRYPOINT ["tini", "--", "scripts/container"]
USER 1000:1000

FROM run AS cuda
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ARG BAKE_MODELS=
ARG BAKE_SETTINGS=
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=build-cuda /app/.venv .venv
COPY . .
USER 0:0
# The settings are words, each a variable of its own.
# hadolint ignore=SC2086
RUN printf '%s' "$BAKE_MODELS" | xargs --no-run-if-empty env $BAKE_SETTINGS scripts/fetch_weights --bake
USER 1000:1000

# The last target is the one that a plain `docker build` makes.
FROM run AS cpu
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ARG BAKE_MODELS=
ARG BAKE_SETTINGS=
COPY --from=build-cpu /app/.venv .venv
COPY . .
USER 0:0
# The settings are words, each a variable of its own.
# hadolint ignore=SC2086
RUN printf '%s' "$BAKE_MODELS" | xargs --no-run-if-empty env $BAKE_SETTINGS scripts/fetch_weights --bake
USER 1000:1000
