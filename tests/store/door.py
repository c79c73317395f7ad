"""A port that hands bytes on to another, as a process of its own: `python door.py PORT`; prints its port, and takes a mode a line.

The mode is what befalls a connection: pass, refuse, stall (`refuse 2.5`: so many seconds long),
or lose (the answer to the next commit). Each line is answered with how many were lost.
A process of its own, because `deltalake` keeps Python waiting while it waits for a storage.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading


class Door:
    """The port, and the connections through it."""

    def __init__(self, target: int) -> None:
        self.target, self.mode, self.lost = target, "pass", 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.open: list[socket.socket] = []

    def turn(self, mode: str) -> None:
        """Another mode; connections that are open end."""
        self.mode, _, seconds = mode.partition(" ")
        if seconds:
            threading.Timer(float(seconds), self.turn, ["pass"]).start()
        for one in self.open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self.open.clear()

    def serve(self) -> None:
        """Take connections, for ever."""
        while True:
            came, _ = self.server.accept()
            if self.mode == "refuse":
                came.close()
                continue
            self.open.append(came)
            if self.mode != "stall":
                threading.Thread(target=self.join, args=(came,), daemon=True).start()

    def join(self, came: socket.socket) -> None:
        """One connection, both ways."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.target)) as there:
            self.open.append(there)
            committing = threading.Event()
            threading.Thread(target=self.pump, args=(came, there, committing, True), daemon=True).start()
            self.pump(there, came, committing, asking=False)

    def pump(self, source: socket.socket, sink: socket.socket, committing: threading.Event, asking: bool) -> None:
        """One way of a connection, to its end."""
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if asking and data.startswith((b"PUT ", b"GET ", b"HEAD ", b"POST ", b"DELETE ")):
                    head = data.partition(b"\r\n")[0]
                    (committing.set if head.startswith(b"PUT ") and b"_delta_log" in head else committing.clear)()
                elif not asking and self.mode == "lose" and committing.is_set():
                    self.lost, self.mode = self.lost + 1, "pass"
                    break
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def main() -> None:
    """Serve until standard input ends."""
    door = Door(int(sys.argv[1]))
    threading.Thread(target=door.serve, daemon=True).start()
    print(door.server.getsockname()[1], flush=True)
    for line in sys.stdin:
        door.turn(line.strip())
        print(door.lost, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
