#!/bin/sh
# Starts HAProxy as Ray asks for it, with its metrics and statistics on the loopback address: Ray's
# template binds both to every interface. Adds haproxy_defaults.cfg. Ray names this file in place of
# the binary.
set -eu
config=
previous=
for argument in "$@"; do
    [ "$previous" = "-f" ] && config=$argument
    previous=$argument
done
sed -i \
    -e "s/bind :${RAY_SERVE_HAPROXY_METRICS_PORT}\$/bind 127.0.0.1:${RAY_SERVE_HAPROXY_METRICS_PORT}/" \
    -e "s/bind \\*:${RAY_SERVE_HAPROXY_STATS_PORT}\$/bind 127.0.0.1:${RAY_SERVE_HAPROXY_STATS_PORT}/" \
    -e "/^    option redispatch 1\$/r ${0%/*}/haproxy_defaults.cfg" \
    "$config"
exec "$OFFRAMP_HAPROXY_BINARY" "$@"
