# syntax=docker/dockerfile:1

FROM rust:1-bookworm AS build
WORKDIR /src

# The dependencies first, with empty sources in place of ours: this layer is built again only when the manifests change.
COPY Cargo.toml Cargo.lock ./
RUN mkdir proxy \
    && touch proxy/lib.rs \
    && echo 'fn main() {}' > proxy/main.rs \
    && cargo build --release --locked \
    && rm -r proxy

COPY proxy proxy
# The demo carries the example within it.
COPY config.example.toml ./
# Cargo goes by time: our sources must be younger than the empty ones were.
RUN find proxy -exec touch {} + && cargo build --release --locked

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin portti
COPY --from=build /src/target/release/portti /usr/local/bin/portti
COPY LICENSE /usr/share/doc/portti/LICENSE

# A number, so that an orchestrator can see that it is not root.
USER 10001

# Where the health check and the commands look for the admin address; set it again if the config moves it.
ENV PORTTI_ADMIN=127.0.0.1:9900

# Players, and the admin address where the config binds it to more than the container itself.
EXPOSE 25565/tcp 9900/tcp

# The slim image has no curl, but its bash can open a connection.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["bash", "-c", \
    "exec 3<>\"/dev/tcp/${PORTTI_ADMIN%:*}/${PORTTI_ADMIN##*:}\" && printf 'GET /healthz HTTP/1.1\\r\\nHost: portti\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r _ code _ <&3 && [ \"$code\" = 200 ]"]

# Drains: sessions go on for up to drain_timeout (30 s by default), so give the container more than that to stop
# (docker stop --time 40).
STOPSIGNAL SIGTERM
ENTRYPOINT ["portti"]
CMD ["run", "--config", "/etc/portti/portti.toml"]
