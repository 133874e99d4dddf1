# The Airbyte destination. Build: docker build -t destination-salesforce .
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY .cargo .cargo
# Dependencies in a layer of their own: they change far less often than the sources.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
    && cargo build --locked --profile dist --no-default-features --features airbyte \
    && rm -r src
COPY src src
RUN touch src/lib.rs src/main.rs \
    && cargo build --locked --profile dist --no-default-features --features airbyte \
    && strip target/dist/destination-salesforce

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home airbyte
COPY --from=build /build/target/dist/destination-salesforce /usr/local/bin/
USER airbyte
ENV AIRBYTE_ENTRYPOINT=/usr/local/bin/destination-salesforce
ENTRYPOINT ["/usr/local/bin/destination-salesforce"]
