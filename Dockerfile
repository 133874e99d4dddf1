# The Airbyte destination, for amd64 and arm64:
#   docker build -t destination-salesforce .
#   docker buildx build --platform linux/amd64,linux/arm64 -t REGISTRY/destination-salesforce --push .
# The simulator, a small image of its own:
#   docker build --target simulator -t salesforce-sim .
# Without a Docker daemon: tests/image/run.sh.
ARG BUILD_IMAGE=rust:1.95-slim-bookworm
ARG BASE_IMAGE=debian:bookworm-slim

# The compiler runs on the builder's platform, for the image's: emulated, it would take hours.
FROM --platform=$BUILDPLATFORM ${BUILD_IMAGE} AS tools
ARG TARGETARCH
# Memory pages of arm64 have 4, 16 or 64 KiB, and jemalloc takes those up to what it is built for.
ENV CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    AARCH64_UNKNOWN_LINUX_GNU_JEMALLOC_SYS_WITH_LG_PAGE=16 \
    CARGO_PROFILE_DIST_STRIP=symbols
RUN case "$TARGETARCH" in \
      amd64) cpu=x86_64 cross="gcc-x86-64-linux-gnu libc6-dev-amd64-cross" ;; \
      arm64) cpu=aarch64 cross="gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;; \
    esac \
    && if [ "$(dpkg --print-architecture)" = "$TARGETARCH" ]; then cross=; fi \
    && apt-get update && apt-get install -y --no-install-recommends make $cross \
    && rm -rf /var/lib/apt/lists/* \
    && rustup target add $cpu-unknown-linux-gnu \
    && printf '[build]\ntarget = "%s-unknown-linux-gnu"\n' $cpu > "$CARGO_HOME/config.toml"
WORKDIR /build
COPY .cargo .cargo
# Cargo reads the manifests of the whole workspace, and refuses one whose examples, benches and
# tests are not here.
COPY Cargo.toml Cargo.lock ./
COPY crates/bench/Cargo.toml crates/bench/
COPY crates/cli/Cargo.toml crates/cli/
COPY crates/decode/Cargo.toml crates/decode/
COPY crates/destination/Cargo.toml crates/destination/
COPY crates/sim/Cargo.toml crates/sim/
COPY crates/testkit/Cargo.toml crates/testkit/
RUN for package in . crates/*; do \
      sed -i '/^\[\[\(example\|bench\|test\)\]\]/,/^$/d' $package/Cargo.toml \
      && mkdir $package/src && touch $package/src/lib.rs || exit 1; \
    done

# Dependencies in a layer of their own, built for empty sources: they change far less often.
FROM tools AS build
RUN echo 'fn main() {}' > crates/destination/src/main.rs \
    && cargo build --locked --profile dist --package destination-salesforce --no-default-features
COPY src src
COPY crates/decode/src crates/decode/src
COPY crates/destination/src crates/destination/src
# Files keep the times of their checkout, which may be before the empty sources.
RUN touch src/lib.rs crates/*/src/*.rs \
    && cargo build --locked --profile dist --package destination-salesforce --no-default-features

FROM tools AS build-simulator
RUN echo 'fn main() {}' > crates/sim/src/main.rs \
    && cargo build --locked --profile dist --package salesforce-sim
COPY crates/sim/src crates/sim/src
RUN touch crates/sim/src/*.rs \
    && cargo build --locked --profile dist --package salesforce-sim

FROM ${BASE_IMAGE} AS simulator
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/* \
    && useradd --uid 1000 --create-home sim
COPY --from=build-simulator /build/target/*/dist/salesforce-sim /usr/local/bin/
USER sim
WORKDIR /home/sim
ENV SALESFORCE_SIM_LISTEN=0.0.0.0
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/salesforce-sim"]

FROM ${BASE_IMAGE}
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/* \
    && useradd --uid 1000 --create-home airbyte \
    && mkdir /airbyte
COPY --from=build /build/target/*/dist/destination-salesforce /usr/local/bin/
USER airbyte
ENV AIRBYTE_ENTRYPOINT=/usr/local/bin/destination-salesforce
ENTRYPOINT ["/usr/local/bin/destination-salesforce"]
LABEL io.airbyte.name=arrow-salesforce/destination-salesforce
LABEL io.airbyte.version=0.1.0
