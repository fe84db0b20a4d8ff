"""The client of a PostgreSQL ledger: `python3 ledger.py ADDRESS PORT SECONDS SESSIONS PATIENCE SEED`.

The one thing to know: it needs nothing but Python's standard library and psql, and is sent to the machine that looks
from outside as it stands. Each session is a psql of its own and does one operation after the other: numbers inserted,
transfers between accounts, sums, and registers read, written and compared-and-set. A line of JSON each, in the form of
`harness.ledger.Operation`: an error that the server reports is "failed"; where the connection breaks or does not answer
within PATIENCE s once a change was sent, the outcome is "unknown".
"""

import json
import os
import random
import selectors
import signal
import subprocess
import sys
import threading
import time
from typing import Any

ACCOUNTS, BALANCE, REGISTERS = 8, 1000, 4
EACH = 1_000_000      # numbers that belong to a session
MARK = "virtmark-done"
SCHEMA = f"""
CREATE TABLE numbers (number bigint PRIMARY KEY);
CREATE TABLE transfers (id bigint PRIMARY KEY, source int, target int, amount int);
CREATE TABLE accounts (id int PRIMARY KEY, balance int);
CREATE TABLE registers (id int PRIMARY KEY, value bigint);
INSERT INTO accounts SELECT id, {BALANCE} FROM generate_series(1, {ACCOUNTS}) AS id;
INSERT INTO registers SELECT id, 0 FROM generate_series(1, {REGISTERS}) AS id;
"""
ANEW = f"""
TRUNCATE numbers, transfers;
UPDATE accounts SET balance = {BALANCE};
UPDATE registers SET value = 0;
"""
KEPT = "SELECT count(*) FROM numbers"
FINAL = """
SELECT json_build_object(
  'numbers', (SELECT coalesce(json_agg(number ORDER BY number), '[]') FROM numbers),
  'transfers', (SELECT coalesce(json_agg(json_build_array(id, source, target, amount) ORDER BY id), '[]')
                FROM transfers),
  'balances', (SELECT json_object_agg(id, balance) FROM accounts),
  'registers', (SELECT json_object_agg(id, value) FROM registers));
"""
ACTIONS = ("insert", "insert", "transfer", "transfer", "total", "read", "read", "write", "compare-and-set")


class Broken(Exception):
    """The connection ended, or did not answer in time."""


def client(address: str, port: str) -> list[str]:
    """Return the command line of a psql that takes statements from its input."""
    return ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=0",
            f"host={address} port={port} user=postgres dbname=postgres connect_timeout=30"]


class Connection:
    """A psql process; what it says ends with a line that holds the state and the number of rows."""

    def __init__(self, address: str, port: str, patience: float) -> None:
        self._patience = patience
        self._psql = subprocess.Popen(client(address, port), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL)
        self._said = b""
        try:
            self.ask("SELECT 1")
        except Broken:
            self.close()
            raise

    def ask(self, statement: str) -> tuple[bool, int, str]:
        """Return whether it went well, the number of rows, and what it printed; Broken without an answer."""
        assert self._psql.stdin is not None
        try:
            self._psql.stdin.write(f"{statement};\n\\echo {MARK} :ERROR :ROW_COUNT\n".encode())
            self._psql.stdin.flush()
        except OSError:
            raise Broken from None
        said = self._answer().split("\n")
        _, error, rows = said[-1].split()
        return error == "false", int(rows), "\n".join(said[:-1])

    def close(self) -> None:
        """End psql at once."""
        self._psql.kill()
        for stream in (self._psql.stdin, self._psql.stdout):
            try:
                if stream is not None:
                    stream.close()
            except OSError:
                pass          # what was not flushed cannot be any more
        self._psql.wait()

    def _answer(self) -> str:
        assert self._psql.stdout is not None
        until = time.monotonic() + self._patience
        with selectors.DefaultSelector() as selector:
            selector.register(self._psql.stdout, selectors.EVENT_READ)
            while True:
                head, mark, tail = self._said.partition(MARK.encode())
                if mark and b"\n" in tail:
                    line, _, self._said = tail.partition(b"\n")
                    return (head + mark + line).decode()
                left = until - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise Broken
                data = os.read(self._psql.stdout.fileno(), 65536)
                if not data:
                    raise Broken
                self._said += data


class Session(threading.Thread):
    """One client, which connects again whenever its connection broke."""

    def __init__(self, number: int, arguments: list[str], end: threading.Event) -> None:
        super().__init__(daemon=True)
        self._number, self._end = number, end
        self._address, self._port, self._patience = arguments[0], arguments[1], float(arguments[4])
        self._random = random.Random(f"{arguments[5]}/{number}")
        self._count, self._known = number * EACH, dict.fromkeys(range(1, REGISTERS + 1), 0)

    def run(self) -> None:
        """Work until the end."""
        while not self._end.is_set():
            connection = None
            try:
                connection = Connection(self._address, self._port, self._patience)
                while not self._end.is_set():
                    self._operate(connection)
            except Broken:
                self._end.wait(0.1)
            finally:
                if connection:
                    connection.close()

    def _operate(self, connection: Connection) -> None:
        action = self._random.choice(ACTIONS)
        told, statement = self._planned(action)
        told |= {"session": self._number, "action": action, "start": time.monotonic()}
        try:
            well, rows, said = connection.ask(statement)
        except Broken:
            tell(told | {"end": time.monotonic(), "outcome": "unknown"})
            raise
        told |= {"end": time.monotonic(), "outcome": "ok" if well else "failed"}
        if well and action in ("read", "total"):
            told["value"] = int(said)
        if well and action == "read":
            self._known[told["key"]] = int(said)
        if well and action == "compare-and-set":
            told["done"] = rows == 1
        tell(told)

    def _planned(self, action: str) -> tuple[dict[str, Any], str]:
        self._count += 1
        register = self._random.randint(1, REGISTERS)
        if action == "insert":
            return {"key": self._count}, f"INSERT INTO numbers VALUES ({self._count})"
        if action == "transfer":
            one, other = self._random.sample(range(1, ACCOUNTS + 1), 2)
            amount = self._random.randint(1, 9)
            return {"key": self._count, "value": amount}, (
                f"WITH moved AS (UPDATE accounts SET balance = balance + CASE id WHEN {one} THEN -{amount} ELSE "
                f"{amount} END WHERE id IN ({one}, {other})) "
                f"INSERT INTO transfers VALUES ({self._count}, {one}, {other}, {amount})")
        if action == "total":
            return {}, "SELECT sum(balance) FROM accounts"
        if action == "read":
            return {"key": register}, f"SELECT value FROM registers WHERE id = {register}"
        told = {"key": register, "value": self._count}
        change = f"UPDATE registers SET value = {self._count} WHERE id = {register}"
        if action == "write":
            return told, change
        expected = self._known[register]
        return told | {"expected": expected}, f"{change} AND value = {expected}"


def tell(line: dict[str, Any]) -> None:
    """Print one operation, whole."""
    os.write(1, f"{json.dumps(line)}\n".encode())


def main() -> int:
    """Run the sessions until the time is over or SIGTERM comes, and then for one more answer of each."""
    arguments = sys.argv[1:]
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    sessions = [Session(number, arguments, end) for number in range(1, int(arguments[3]) + 1)]
    for session in sessions:
        session.start()
    end.wait(float(arguments[2]))
    end.set()
    for session in sessions:
        session.join(float(arguments[4]) + 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
