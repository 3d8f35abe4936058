#!/usr/bin/env bash
# Installs the system packages that a verb needs: `test` (Redis and its exporter, Node.js, Chromium, Prometheus, a C compiler, network
# namespaces), `cluster` (a container runtime, etcd, proxies), `sdks` (a JDK and Maven, for the stock SDK in Java),
# `apiserver` (etcd alone), `rabbitmq`, `model` (Spin), `proxies` (nginx, HAProxy, Caddy, Apache) or `debian` (what makes and
# enters the root of another Debian).
# On Debian or Ubuntu as root it installs them; elsewhere it says what is missing and ends with 1.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in
  test) wanted=(redis-server:redis-server node:nodejs npm:npm chromium:chromium chromedriver:chromium-driver cc:gcc
    ip:iproute2 iptables:iptables curl:curl promtool:prometheus prometheus-redis-exporter:prometheus-redis-exporter) ;;
  cluster) wanted=(containerd:containerd runc:runc buildah:buildah mmdebstrap:mmdebstrap etcd:etcd-server iptables:iptables
    nft:nftables ipset:ipset ip:iproute2 conntrack:conntrack openssl:openssl curl:curl gcc:gcc
    /usr/lib/cni/bridge:containernetworking-plugins haproxy:haproxy caddy:caddy) ;;
  sdks) wanted=(javac:default-jdk-headless mvn:maven) ;;
  apiserver) wanted=(etcd:etcd-server) ;;
  rabbitmq) wanted=(/usr/lib/rabbitmq/bin/rabbitmq-server:rabbitmq-server epmd:erlang-base) ;;
  model) wanted=(spin:spin gcc:gcc) ;;
  proxies) wanted=(nginx:nginx haproxy:haproxy caddy:caddy apache2:apache2-bin) ;;
  debian) wanted=(mmdebstrap:mmdebstrap ip:iproute2 setpriv:util-linux unshare:util-linux) ;;
  *) echo "usage: $0 test|cluster|sdks|apiserver|rabbitmq|model|proxies|debian" >&2; exit 2 ;;
esac

missing=()
for pair in "${wanted[@]}"; do
  program=${pair%%:*} package=${pair##*:}
  if [[ $program == /* ]]; then [[ -x $program ]] || missing+=("$package")
  else command -v "$program" >/dev/null || missing+=("$package"); fi
done
[[ ! $1 =~ ^(sdks|apiserver|rabbitmq|proxies|debian)$ && ! -e /usr/include/stdio.h ]] && missing+=(libc6-dev)

if ((${#missing[@]})); then
  if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
    echo "installing system packages: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    # Tests start their own Redis and RabbitMQ: no service of the distribution is to begin with the installation.
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
      trap 'rm -f "$policy"' EXIT
      printf '#!/bin/sh\nexit 101\n' >"$policy"
      chmod +x "$policy"
    fi
    { apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
    rm -f "$log"
  else
    echo "missing system packages: ${missing[*]} - install them, or run this as root on Debian or Ubuntu" >&2
    exit 1
  fi
fi

# The stock SDKs of the component and end-to-end tests.
if [[ $1 == test && -f tests/kit/sdk/package.json ]]; then
  if [[ ! tests/kit/sdk/node_modules/.installed -nt tests/kit/sdk/package-lock.json ]]; then
    (cd tests/kit/sdk && npm ci --silent --no-audit --no-fund && touch node_modules/.installed)
  fi
fi
