"""A small insurer's service, to load and to break: a gateway, two replicas without state, a database and a cache.

    gateway (HAProxy) -> replicas a and b (shop.py) -> PostgreSQL, Redis

The one thing to know: all of it are Debian packages that the guest image carries, and shop.py is sent along as it
stands. What the gateway does for its replicas (checks, a breaker, weights, a limit) is in its configuration below; who
answered is in the header `BY` of every answer, and an answer without it is the gateway's own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
SHOP, WATCH = FOLDER / "shop.py", FOLDER / "watch.py"
BY, PYTHON = "x-served-by", "/usr/bin/python3"      # the Python that Debian's packages are for
JOURNEY = "GET /quote 6, POST /underwrite 2, POST /policy 1, POST /claim 1"
REPLICAS = ("a", "b")
REFUSED, LIMITED = 503, 429     # what the gateway says of its own where no replica is left, and beyond its limit
AGES = (18, 80)
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS tariff (age int PRIMARY KEY, rate double precision);
CREATE TABLE IF NOT EXISTS policy (id bigserial PRIMARY KEY, age int, premium double precision);
CREATE TABLE IF NOT EXISTS claim (id bigserial PRIMARY KEY, policy bigint REFERENCES policy, amount double precision);
CREATE TABLE IF NOT EXISTS reserve (id int PRIMARY KEY, amount double precision);
TRUNCATE tariff, claim, policy, reserve;
INSERT INTO tariff SELECT age, 0.5 * exp(0.05 * (age - {AGES[0]})) FROM generate_series({AGES[0]}, {AGES[1]}) AS age;
INSERT INTO policy (age, premium) VALUES (40, 100);
INSERT INTO reserve VALUES (1, 0);
"""
# Asks for everything a few times on each port of its arguments: what a replica does for the first time takes long.
WARM = """
import sys, urllib.request
for port in sys.argv[1:]:
    for method, path in (("GET", "/quote"), ("POST", "/underwrite"), ("POST", "/policy"), ("POST", "/claim")) * 5:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
        urllib.request.urlopen(request, timeout=30).read()
"""
# A replica that fails a check or five requests in a row is out until two checks are well again.
_GATEWAY = """
global
    maxconn 2000
    stats socket ipv4@127.0.0.1:{admin} level admin
    stats socket ipv4@0.0.0.0:{watch} level user
    stats timeout 1h
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server {patience:.0f}ms
    timeout queue 2s
    retries 2
    option redispatch 1
    default-server check inter 1s fall 2 rise 2 observe layer7 error-limit 5 on-error mark-down
frontend gateway
    bind :{gateway}
{limit}    default_backend shop
frontend one
    bind :{one}
    default_backend one
backend shop
    balance roundrobin
    option httpchk GET /health
{servers}backend one
    server {first} 127.0.0.1:{first_port}
"""
_SERVER = "    server {name} 127.0.0.1:{port} weight {weight}\n"
# What is let through is counted, not what came: else a caller who keeps asking would never be let through again.
_LIMIT = """    stick-table type string len 8 size 1 expire 10s store gpc0_rate(1s)
    http-request track-sc0 str(all)
    http-request deny deny_status {status} if {{ sc_gpc0_rate(0) ge {limit:.0f} }}
    http-request sc-inc-gpc0(0)
"""


class Ports(NamedTuple):
    """Where the parts listen: `one` is a gateway to the first replica alone, `admin` and `watch` the gateway's own."""

    gateway: int
    one: int
    admin: int
    watch: int
    a: int
    b: int
    database: int
    cache: int


def gateway(ports: Ports, *, patience: float, limit: float = 0.0, canary: float = 0.5) -> str:
    """Return the gateway's configuration; `limit` in 1/s (0: none), the last replica gets a share `canary`."""
    weights = (round(256 * (1 - canary)), round(256 * canary))
    servers = "".join(_SERVER.format(name=name, port=getattr(ports, name), weight=weight)
                      for name, weight in zip(REPLICAS, weights, strict=True))
    return _GATEWAY.format(
        **ports._asdict(), patience=1000 * patience, servers=servers, first=REPLICAS[0],
        first_port=getattr(ports, REPLICAS[0]), limit=_LIMIT.format(status=LIMITED, limit=limit) if limit else "")


def replica(name: str, version: int, ports: Ports, file: str) -> list[str]:
    """Return the command line of a replica, whose program is in `file`."""
    spec = {"name": name, "version": version, "port": getattr(ports, name), "database": ports.database,
            "cache": ports.cache, "ages": AGES, "by": BY}
    return [PYTHON, "-u", file, json.dumps(spec, separators=(",", ":"))]


def pattern(name: str) -> str:
    """Return what finds a replica among all processes by its command line, and not the one that looks."""
    return f'"[n]ame":"{name}"'


def cache(port: int) -> list[str]:
    """Return the command line of the cache, which keeps nothing on disk."""
    return ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
            "--daemonize", "no", "--set-proc-title", "no"]      # a title would be written over its environment


__all__ = ["AGES", "BY", "JOURNEY", "LIMITED", "PYTHON", "REFUSED", "REPLICAS", "SCHEMA", "SHOP", "WARM", "WATCH",
           "Ports", "cache", "gateway", "pattern", "replica"]
