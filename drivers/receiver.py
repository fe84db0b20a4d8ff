"""Receives datagrams and prints each with the time of its arrival: `python3 receiver.py PORT`.

The one thing to know: it needs nothing but Python's standard library and is sent to the machine that looks from
outside as it stands. The kernel stamps arrivals (SO_TIMESTAMPNS), so that a busy machine does not make them late; lines
are `MONOTONIC_NS TEXT`.
"""

import os
import signal
import socket
import struct
import sys
import time

STAMP = 35          # SO_TIMESTAMPNS; its control message holds seconds and ns of CLOCK_REALTIME


def main() -> int:
    """Receive until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, STAMP, 1)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    receiver.bind(("0.0.0.0", int(sys.argv[1])))
    while True:
        data, control, _, _ = receiver.recvmsg(2048, 64)
        now, real = time.monotonic_ns(), time.time_ns()
        stamps = [struct.unpack("qq", part[2][:16]) for part in control if part[1] == STAMP]
        waited = max(0, real - (stamps[0][0] * 10**9 + stamps[0][1])) if stamps else 0
        text = data.decode("ascii", "replace").replace("\n", " ")
        os.write(1, f"{now - waited} {text}\n".encode())


if __name__ == "__main__":
    sys.exit(main())
