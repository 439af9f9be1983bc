# An image of lungscan alone. Scans need no network, and none should be given:
#   docker build -t lungscan .
#   docker run --rm --network none --read-only --tmpfs /tmp -v "$PWD/scans:/scans:ro" lungscan scan /scans/chest.zip
# `docs/how-to/container.md` tells how reports come out as files.
ARG PYTHON=3.12-slim-bookworm

FROM python:${PYTHON} AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:${PYTHON}
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    pip install --no-cache-dir --no-compile /wheel/*.whl \
    && useradd --create-home --uid 10001 lungscan
USER 10001
WORKDIR /home/lungscan
ENTRYPOINT ["lungscan"]
CMD ["--help"]
