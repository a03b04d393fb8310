# librdkafka and OpenSSL are built from their sources: that takes a C and a C++ compiler, make and perl, which this image
# brings along. cmake is not needed.
FROM rust:1-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked \
    && strip --strip-debug -o /coupon-gate target/release/coupon-gate

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --no-create-home --home-dir /data gate \
    && install --directory --owner=gate --group=gate --mode=0750 /data
COPY --from=build /coupon-gate /usr/local/bin/coupon-gate
COPY deploy/healthcheck /usr/local/bin/healthcheck
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/coupon-gate/
USER gate
WORKDIR /data
# Listening beyond the container takes a password: COUPON_GATE_PASSWORD_FILE or COUPON_GATE_PASSWORD.
ENV COUPON_GATE_LISTEN=0.0.0.0:6379 \
    COUPON_GATE_ADMIN=0.0.0.0:9379 \
    COUPON_GATE_DATA=/data \
    COUPON_GATE_LOCK_WAIT=60
VOLUME /data
EXPOSE 6379 9379
STOPSIGNAL SIGTERM
# Whether the loop turns. Replaying a long journal is no illness: /readyz tells that apart.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["healthcheck", "/healthz"]
ENTRYPOINT ["coupon-gate"]
