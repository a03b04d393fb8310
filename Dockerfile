FROM rust:1-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --no-create-home gate \
    && install --directory --owner=gate --group=gate --mode=0750 /data
COPY --from=build /source/target/release/coupon-gate /usr/local/bin/coupon-gate
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/coupon-gate/
USER gate
ENV COUPON_GATE_LISTEN=0.0.0.0:6379 \
    COUPON_GATE_ADMIN=0.0.0.0:9379 \
    COUPON_GATE_DATA=/data \
    COUPON_GATE_LOCK_WAIT=60
VOLUME /data
EXPOSE 6379 9379
ENTRYPOINT ["coupon-gate"]
