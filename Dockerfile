# syntax=docker/dockerfile:1
# One image for all roles: `imgflo serve` by default, `imgflo worker [ROLE]` as the command.
#
#   docker build -t imgflo .
#   docker run --rm -p 127.0.0.1:8080:8080 -e IMGFLO_ALLOW_UNSIGNED=true imgflo

# The images that this one is built upon. A tag is another image each month: for builds that can be repeated give
# digests, as `docker buildx imagetools inspect rust:1-slim-bookworm` prints them:
#
#   docker build --build-arg RUST_IMAGE=rust@sha256:... --build-arg DEBIAN_IMAGE=debian@sha256:... -t imgflo .
ARG RUST_IMAGE=rust:1-slim-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim

# The feature `avif` builds libaom from source: that takes most of the time, and make, cmake, g++, perl and pkg-config.
FROM ${RUST_IMAGE} AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc g++ libc6-dev make cmake nasm perl pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --package imgflo --features avif \
    && cp target/release/imgflo /usr/local/bin/imgflo

FROM ${DEBIAN_IMAGE}
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/imgflo --create-home imgflo
COPY --from=build /usr/local/bin/imgflo /usr/local/bin/imgflo
# PORT stands for that port on all addresses, and gives way to the one that a platform sets. The server refuses to
# start on it without application keys, or IMGFLO_ALLOW_UNSIGNED=true.
ENV PORT=8080 \
    IMGFLO_DATA_DIR=/var/lib/imgflo \
    IMGFLO_LOG_FORMAT=json
USER 10001
WORKDIR /var/lib/imgflo
EXPOSE 8080
# SIGTERM drains: it is ours, as process 1, without an init.
STOPSIGNAL SIGTERM
# Workers listen on no port; they are replaced for this by `--no-healthcheck`, as in compose.yaml.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["imgflo", "health"]
CMD ["imgflo", "serve"]
