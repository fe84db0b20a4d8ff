"""Real processes for tests of load: a small server on the loopback, and the generator against it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

from drivers import witness
from drivers.load import reading

SPEC = {"role": "alone", "index": 0, "of": 1, "model": "open", "body": "", "process": "even", "seed": 1,
        "patience": 10.0, "connections": 512, "users": 4, "locustfile": "", "title": "", "master": ["", 0],
        "requests": [{"method": "GET", "path": "/", "name": "GET /", "weight": 1}]}
# A stage of one round; its parameters are filled in.
SCENARIO = """
name = "load"
title = "Load"
repetition = {{ rounds = 1 }}
[[stage]]
workload = "application"
params = {{ {params} }}
"""
# A stage of one round with load beside it, likewise.
BESIDE = SCENARIO.replace('"application"', '"{workload}"') + "background = {{ {background} }}\n"
# Answers on connections that stay open, from one thread.
KEPT = """
import asyncio, sys
PAGE = b"HTTP/1.1 200 OK\\r\\nContent-Type: text/plain\\r\\nContent-Length: 3\\r\\n\\r\\nok\\n"
class Answers(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(PAGE * data.count(b"\\r\\n\\r\\n"))
async def main():
    server = await asyncio.get_running_loop().create_server(Answers, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()
asyncio.run(main())
"""


def free_port():
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]


@contextmanager
def serving(argv):
    """Run a server, which gets a port as its last argument, until the context ends; yield its process and its URL."""
    port = free_port()
    server = subprocess.Popen([*argv, str(port)], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with socket.socket() as trial:
                if not trial.connect_ex(("127.0.0.1", port)):
                    break
            threading.Event().wait(0.02)
        yield server, f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGCONT)
        server.kill()
        server.wait()


def page(folder):
    """Return the command line of the guest's own server."""
    return [str(witness.compiled(folder / witness.PROGRAM)), "serve"]


def keeping():
    """Return the command line of a server that keeps connections."""
    return [sys.executable, "-c", KEPT]


@dataclass
class Generator:
    """A generator that runs; `begin` is when its schedule begins, in ns of the monotonic clock, once it has said so."""

    process: subprocess.Popen
    lines: list = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)
    begin: int = 0

    def __post_init__(self):
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith('{"begin"'):
                self.begin = json.loads(line)["begin"]
                self.begun.set()
        self.begun.set()

    def output(self):
        """Wait for its end and return what it wrote."""
        self.process.wait(120)
        self.reader.join(10)
        self.process.stdout.close()
        return reading.read("".join(self.lines))


def started(spec, before=(), launcher=()):
    """Start a generator; `before` stands for its module on the command line, `launcher` comes first."""
    argv = [*launcher, sys.executable, *(before or ("-m", reading.MODULE)), json.dumps({**SPEC, **spec})]
    return Generator(subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                      env={**os.environ, "PYTHONPATH": os.getcwd()}))


def sent(url, rate, seconds, **spec):
    """Run a generator at an even rate to its end; return what it wrote."""
    return started({"url": url, "segments": [[seconds, rate, rate]], "duration": seconds, **spec}).output()


def together(url, rate, seconds, of, launcher=(), **spec):
    """Run a master and its workers to their end, those by a `launcher`; return the workers' outputs and the master's.
    """
    whole = {"url": url, "segments": [[seconds, rate, rate]], "duration": seconds, "of": of,
             "master": ["127.0.0.1", free_port()], **spec}
    workers = [started({**whole, "role": "worker", "index": index}, launcher=launcher) for index in range(of)]
    master = started({**whole, "role": "master"})
    said = master.output()
    return [each.output() for each in workers], said
