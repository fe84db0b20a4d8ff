"""One replica of the insurer's service: `python3 shop.py '{"name": "a", "version": 1, "port": 8001, ...}'`.

Sent to the guest as it stands; needs bottle, waitress, psycopg2 and redis. The one thing to know: it keeps nothing, so
any replica can answer anything. What its database refuses is a status 500 at once; GET /health says whether it could
answer now.
"""

import itertools
import json
import sys
import threading
from typing import Any

import bottle
import psycopg2
import redis
import waitress

THREADS = 4
KEPT = 10       # s that a tariff stays in the cache
WORK = 2000     # steps of the risk model
SPEC: dict[str, Any] = json.loads(sys.argv[1])
app = bottle.Bottle()
numbers = itertools.count()
own = threading.local()
tariffs = redis.Redis("127.0.0.1", SPEC["cache"], socket_timeout=2)


def asked(statement: str, *values: Any) -> Any:
    """Return the first row of a statement, committed; on a connection that each thread keeps while it works."""
    try:
        if getattr(own, "connection", None) is None:
            own.connection = psycopg2.connect(host="127.0.0.1", port=SPEC["database"], user="postgres",
                                              dbname="postgres", connect_timeout=2)
            own.connection.autocommit = True
        with own.connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchone()
    except psycopg2.Error as error:
        own.connection = None
        raise bottle.HTTPError(500, f"database: {error}") from None


def customer() -> int:
    """Return the age of the next customer."""
    first, last = SPEC["ages"]
    return first + 7 * next(numbers) % (last - first)


def tariff(age: int) -> float:
    """Return the rate of an age, from the cache if it knows it."""
    try:
        known = tariffs.get(f"tariff:{age}")
    except redis.RedisError as error:
        raise bottle.HTTPError(500, f"cache: {error}") from None
    if known is None:
        known = asked("SELECT rate FROM tariff WHERE age = %s", age)[0]
        tariffs.set(f"tariff:{age}", known, ex=KEPT)
    return float(known)


@app.get("/health")
def health() -> str:
    """Say whether requests could be answered."""
    asked("SELECT 1")
    return "well\n"


@app.get("/quote")
def quote() -> dict[str, Any]:
    """Say what a policy would cost."""
    age = customer()
    return {"age": age, "premium": 200 * tariff(age)}


@app.post("/underwrite")
def underwrite() -> dict[str, Any]:
    """Weigh a risk: the part that needs the processor."""
    age, risk = customer(), 0.0
    for year in range(WORK):
        risk += (age + year % 40) ** 0.5 / WORK
    return {"age": age, "accepted": risk * tariff(age) < 1000}


@app.post("/policy")
def policy() -> dict[str, Any]:
    """Conclude a policy: a row that is on the disk before the answer leaves."""
    age = customer()
    row = asked("INSERT INTO policy (age, premium) VALUES (%s, %s) RETURNING id", age, 200 * tariff(age))
    return {"policy": row[0]}


@app.post("/claim")
def claim() -> dict[str, Any]:
    """Note a claim on the newest policy, and what must be kept for it, in one transaction."""
    row = asked("WITH noted AS (INSERT INTO claim (policy, amount) SELECT max(id), 1000 FROM policy RETURNING *)"
                " UPDATE reserve SET amount = reserve.amount + noted.amount FROM noted RETURNING noted.id")
    return {"claim": row[0]}


@app.hook("after_request")
def signed() -> None:
    """Say who answered."""
    bottle.response.set_header(SPEC["by"], f"{SPEC['name']}/{SPEC['version']}")


def failed(error: bottle.HTTPError) -> str:
    """Answer in a word where something failed."""
    bottle.response.set_header(SPEC["by"], f"{SPEC['name']}/{SPEC['version']}")
    return f"{error.body}\n"


if __name__ == "__main__":
    app.error_handler[500] = failed
    waitress.serve(app, host="0.0.0.0", port=SPEC["port"], threads=THREADS, clear_untrusted_proxy_headers=True)
