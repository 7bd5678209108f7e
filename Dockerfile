# One image for every role: stream, load, verify, simulate, init-db. `docker build --target embedded .` adds the embedded store (about 1 GB more).
# Base images are pinned by tag here, once; `make pin` writes their digests (it needs a network).
ARG PYTHON=python:3.13.1-slim-bookworm

FROM ${PYTHON} AS build
WORKDIR /src
# The versions that the tests ran with. Hashes are dropped: pip would ask for one of tradecap itself.
COPY requirements.lock ./
RUN grep -Eo '^[A-Za-z0-9._-]+==[^ ;]+' requirements.lock > /constraints.txt \
  && python -m venv --without-pip /opt/tradecap
COPY pyproject.toml README.md LICENSE ./
COPY src src
# The pip of the base installs, so that the environment that is copied holds none (25 MB less).
RUN pip --python /opt/tradecap/bin/python install --no-cache-dir --constraint /constraints.txt '.[serve,simulate,socks]'

FROM build AS build-embedded
RUN pip --python /opt/tradecap/bin/python install --no-cache-dir --constraint /constraints.txt '.[embedded,serve,simulate,socks]'

FROM ${PYTHON} AS base
RUN useradd --uid 10001 --home-dir /data --no-log-init --shell /usr/sbin/nologin tradecap \
  && install --directory --owner tradecap --group tradecap /data
ENV PATH=/opt/tradecap/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /data
USER 10001:10001
VOLUME /data
ENTRYPOINT ["tradecap"]
CMD ["--help"]
# For roles with --metrics-port 8080; services without it switch it off.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=6 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://localhost:8080/health', timeout=4)"]

FROM base AS embedded
COPY --from=build-embedded /opt/tradecap /opt/tradecap

FROM base AS tradecap
COPY --from=build /opt/tradecap /opt/tradecap
