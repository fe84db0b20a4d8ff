"""Commands in a container: the Docker SDK against a socket that answers with what Podman 4.3.1 was seen to send."""

import contextlib
import itertools
import json
import socket
import threading

import docker
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.targets._exec import Container
from harness.errors import TargetError

ENDED = {"Running": False, "ExitCode": 3}
UPGRADED = (b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
            b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
FRAMES = [b"\1\0\0\0\0\0\0\6hello\n", b"\2\0\0\0\0\0\0\4oops", b"\1\0\0\0\0\0\0\0", b"\1\0\0\0\0\0\0\4bye\n"]
OUTPUT = b"".join(FRAMES)


def answers(line, pieces):
    """Answer requests on one connection; the output of a command is sent in these pieces, then the line is cut."""
    with line, line.makefile("rb") as asked, contextlib.suppress(OSError):
        while request := asked.readline():
            length = 0
            while (header := asked.readline().strip().lower()):
                length = int(header.split(b":")[1]) if header.startswith(b"content-length:") else length
            asked.read(length)
            if b"/start " in request:
                for piece in pieces:
                    line.sendall(piece)
                line.shutdown(socket.SHUT_WR)
                return
            body = json.dumps(ENDED if b"/json " in request else {"Id": "e1"}).encode()
            line.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                         % (len(body), body))


@contextlib.contextmanager
def container(path, pieces):
    """Yield a container behind a socket at `path`."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=answers, args=(listening.accept()[0], pieces), daemon=True).start()

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        client = docker.APIClient(base_url=f"unix://{path}", version="1.41", timeout=60)
        try:
            yield Container(client, "c1", "sut", address="127.0.0.1", cwd="/")
        finally:
            client.close()
            listening.shutdown(socket.SHUT_RDWR)
            server.join()


@given(st.sets(st.integers(1, len(UPGRADED + OUTPUT) - 1), max_size=4))
@settings(max_examples=30, deadline=None)
def test_output_is_whole_however_it_arrives(tmp_path_factory, cuts):
    whole = UPGRADED + OUTPUT
    edges = [0, *sorted(cuts), len(whole)]
    pieces = [whole[a:b] for a, b in itertools.pairwise(edges)]
    with container(tmp_path_factory.mktemp("engine") / "socket", pieces) as machine:
        done = machine.run(["hello"], timeout=60)
    assert (done.stdout, done.stderr, done.code) == ("hello\nbye\n", "oops", 3)


@pytest.mark.parametrize("kept", [3, 8, 10, 17])
def test_output_cut_off_amid_a_frame_is_an_error(tmp_path, kept):
    with (container(tmp_path / "socket", [UPGRADED + OUTPUT[:kept]]) as machine,
          pytest.raises(TargetError, match="sut: the engine cut the output")):
        machine.run(["hello"], timeout=60)


def test_a_command_may_print_nothing(tmp_path):
    with container(tmp_path / "socket", [UPGRADED]) as machine:
        assert machine.run(["hello"], timeout=60).stdout == ""
