"""The guest's witness, compiled and run here: what it serves, writes, finds and says."""

import itertools
import select
import shutil
import socket
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import receiver, witness
from drivers.workloads import _hearing
from harness import integrity
from harness.errors import ToolError
from harness.integrity import Promise, Run

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
RECORD = 4096


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return str(witness.compiled(tmp_path_factory.mktemp("witness") / witness.PROGRAM))


@pytest.fixture
def inbox():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.settimeout(60)
        yield one


def port_of(inbox):
    return inbox.getsockname()[1]


def write(program, file, inbox, number, **how):
    """Write until `number` acknowledgements have come; return them and the epoch."""
    argv = witness.write(str(file), "127.0.0.1", port_of(inbox), 0.0005, program=program, **how)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        acks = [witness.parsed(inbox.recv(200).decode()) for _ in range(number)]
        process.terminate()
        first = process.stdout.readline().split()
        process.wait(60)
    while select.select([inbox], [], [], 0)[0]:
        acks.append(witness.parsed(inbox.recv(200).decode()))
    assert first[0] == "ready"
    return acks, int(first[1])


def checked(program, file):
    done = subprocess.run(witness.check(str(file), program=program), capture_output=True, text=True, check=True)
    return integrity.written(done.stdout)


def test_it_names_the_source_it_was_made_of(program):
    assert subprocess.run([program, "version"], capture_output=True, text=True).stdout.strip() == witness.version()


def test_what_is_promised_is_there_over_several_starts(program, tmp_path, inbox):
    file, promises = tmp_path / "records", []
    epochs = []
    for _ in range(3):
        acks, epoch = write(program, file, inbox, 20)
        assert {ack.epoch for ack in acks} == {epoch}
        promises += [Promise(ack.epoch, ack.sequence, ack.mono) for ack in acks]
        epochs.append(epoch)
    found = checked(program, file)
    assert epochs == sorted(set(epochs))
    assert [run.epoch for run in found.runs] == epochs
    assert [run.first for run in found.runs[1:]] == [run.last + 1 for run in found.runs[:-1]]
    assert found.bytes == found.records * RECORD
    compared = integrity.compare(promises, found)
    assert (compared.lost, compared.torn, compared.reordered, compared.duplicate) == ((), 0, 0, 0)


def test_damage_to_the_file_is_found_and_named(program, tmp_path, inbox):
    file = tmp_path / "records"
    acks, epoch = write(program, file, inbox, 12)
    data = bytearray(file.read_bytes())
    data[3 * RECORD + 3000] ^= 1                                        # the 4th record is torn
    first, second = data[5 * RECORD:6 * RECORD], data[6 * RECORD:7 * RECORD]
    data[5 * RECORD:7 * RECORD] = second + first                        # the 6th and the 7th change places
    data[7 * RECORD:8 * RECORD] = bytes(RECORD)                         # the 8th was never written
    file.write_bytes(data[:10 * RECORD + 100])                          # the 11th is half there
    found = checked(program, file)
    assert found.torn == 3
    assert found.runs == (Run(epoch, 1, 3), Run(epoch, 5, 5), Run(epoch, 7, 7), Run(epoch, 6, 6), Run(epoch, 9, 10))
    compared = integrity.compare([Promise(a.epoch, a.sequence, a.mono) for a in acks], found)
    assert [one.sequence for one in compared.lost[:3]] == [4, 8, 11]
    assert len(compared.lost) == len(acks) - 8
    assert (compared.reordered, compared.doubtful) == (1, 0)
    again, later = write(program, file, inbox, 3)       # it goes on after the damage, and overwrites nothing
    found = checked(program, file)
    assert found.torn == 3
    assert found.runs[-1][:2] == (later, 11)
    assert again[0].sequence == 11


def test_a_file_that_is_not_there_has_no_records(program, tmp_path):
    assert checked(program, tmp_path / "none") == integrity.Written(runs=(), records=0, torn=0, bytes=0)


def test_it_echoes_and_serves_on_one_port(program):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with subprocess.Popen(witness.serve(port, program=program), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.settimeout(60)
                udp.sendto(b"\x00 what you like", ("127.0.0.1", port))
                assert udp.recv(99) == b"\x00 what you like"
            for _ in range(300):
                with socket.create_connection(("127.0.0.1", port), 60) as tcp:
                    tcp.sendall(b"GET / HTTP/1.1\r\n")
                    tcp.sendall(b"Host: x\r\n\r\n")
                    answer = b"".join(iter(lambda tcp=tcp: tcp.recv(999), b""))
                assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
                assert answer.endswith(b"\r\n\r\nok\n")
        finally:
            process.terminate()
    assert process.returncode == 0


def test_it_beats(program, inbox):
    with subprocess.Popen(witness.beat("127.0.0.1", port_of(inbox), 0.001, program=program)) as process:
        beats = [witness.parsed(inbox.recv(200).decode()) for _ in range(20)]
        process.terminate()
    assert [beat.sequence for beat in beats] == list(range(1, 21))
    assert all(one.mono < other.mono for one, other in itertools.pairwise(beats))


def test_a_sweep_tells_what_it_did(program):
    with subprocess.Popen(witness.sweep(1 << 20, 0, program=program), stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(2)]
        process.terminate()
        told = witness.swept("".join(lines) + process.stdout.read())
    assert [one.final for one in told] == [False] * (len(told) - 1) + [True]
    assert (told[-1].pages, told[-1].mismatches, told[-1].first_bad) == (256, 0, -1)
    assert told[-1].checked == told[-1].dirtied + 256
    assert told[-1].passes == told[-1].dirtied // 256


@pytest.mark.parametrize("argv", [[], ["serve"], ["sweep", "x", "1"], ["write", "f", "localhost", "1", "1"],
                                  ["write", "f", "127.0.0.1", "1", "1", "carefree"],
                                  ["beat", "127.0.0.1", "70000", "1"]])
def test_a_wrong_command_line_is_an_error(program, argv):
    done = subprocess.run([program, *argv], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ")


def test_source_that_does_not_compile_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(witness, "FOLDER", tmp_path)
    (tmp_path / "main.c").write_text("int main(void) { return nothing; }\n")
    with pytest.raises(ToolError, match=r"^gcc: virtmark-witness: .*nothing"):
        witness.compiled(tmp_path / "out")


def test_the_receiver_stamps_what_comes():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = port_of(free)
    with subprocess.Popen([sys.executable, "-u", receiver.__file__, str(port)], stdout=subprocess.PIPE,
                          text=True) as process, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect(("127.0.0.1", port))
        lines = []
        while not lines:
            udp.settimeout(0.05)
            try:
                udp.send(b"ack 7 8 9000000000")
                udp.recv(1)     # nobody answers: this waits, or says that nobody listens yet
            except (TimeoutError, ConnectionRefusedError) as error:
                if isinstance(error, TimeoutError):
                    lines.append(process.stdout.readline())
        process.terminate()
    (one, *_) = _hearing.promises("".join(lines), offset=-1.0)
    assert one[:2] == (7, 8)
    assert one.time == int(lines[0].split()[0]) / 1e9 - 1.0


@given(st.text(max_size=40))
def test_datagrams_of_others_are_nothing(text):
    assert witness.parsed(text) is None or text.split()[0] in ("ack", "beat")
