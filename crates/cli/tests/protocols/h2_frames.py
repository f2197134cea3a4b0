"""A client of HTTP/2 that writes frames by hand, for tests of what a server makes of them.

`Peer` sends whatever bytes it is given and reads frames in a thread of its own. Each script prints one line of JSON.
"""

import json
import socket
import struct
import sys
import threading
import time

from hpack import Decoder, Encoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
PATIENCE = 30


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A field that no table keeps, with any bytes."""
    name = name.encode() if isinstance(name, str) else name
    value = value.encode() if isinstance(value, str) else value
    assert len(name) < 127 and len(value) < 127
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def block(fields):
    return b"".join(literal(name, value) for name, value in fields)


def get(path="/", more=(), method="GET", authority="gateway.test"):
    head = [(":method", method), (":scheme", "http"), (":path", path)]
    if authority is not None:
        head.append((":authority", authority))
    return block(head + list(more))


class Peer:
    def __init__(self, port, settings=b"", preface=PREFACE, greets=True):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.decoder = Decoder()
        self.greets = greets
        self.sent = 0
        self.goaways = []
        self.resets = {}
        self.heads = {}
        self.bodies = {}
        self.ended = set()
        self.pings = []
        self.settings = 0
        self.closed = False
        self.raw = b""
        self.changed = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()
        self.send(preface + (frame(SETTINGS, 0, 0, settings) if greets else b""))

    def send(self, data, frames=0):
        try:
            self.socket.sendall(data)
            self.sent += frames
            return True
        except OSError:
            with self.changed:
                self.closed = True
            return False

    def read(self):
        data = b""
        while True:
            try:
                more = self.socket.recv(65536)
            except OSError:
                more = b""
            with self.changed:
                if not more:
                    self.closed = True
                    self.raw = data
                    self.changed.notify_all()
                    return
                data += more
                while len(data) >= 9:
                    length = int.from_bytes(data[:3], "big")
                    if data[:5] == b"HTTP/":
                        break
                    if len(data) < 9 + length:
                        break
                    self.take(data[3], data[4], int.from_bytes(data[5:9], "big"), data[9:9 + length])
                    data = data[9 + length:]
                self.changed.notify_all()

    def take(self, kind, flags, stream, payload):
        if kind == GOAWAY:
            self.goaways.append(int.from_bytes(payload[4:8], "big"))
        elif kind == RST:
            self.resets[stream] = int.from_bytes(payload, "big")
        elif kind == HEADERS:
            fields = dict(self.decoder.decode(payload))
            if stream in self.heads:
                self.heads[stream]["trailers"] = fields
            else:
                self.heads[stream] = fields
        elif kind == DATA:
            self.bodies[stream] = self.bodies.get(stream, b"") + payload
        elif kind == PING and not flags & ACK:
            self.pings.append(payload)
            self.socket.sendall(frame(PING, ACK, 0, payload))
        elif kind == SETTINGS and not flags & ACK:
            self.settings += 1
            if self.greets:
                self.socket.sendall(frame(SETTINGS, ACK, 0))
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            self.ended.add(stream)

    def wait(self, holds, patience=PATIENCE):
        """Waits for a condition; false if the time is over."""
        with self.changed:
            return self.changed.wait_for(holds, patience)

    def until_closed(self, patience=PATIENCE):
        return self.wait(lambda: self.closed, patience)

    def outcome(self, stream, patience=PATIENCE):
        """The end of a stream: `reset N`, `goaway N`, `closed`, a status, or `open`."""
        self.wait(lambda: self.closed or self.goaways or stream in self.resets or stream in self.ended, patience)
        if stream in self.ended:
            return self.heads[stream][":status"]
        if stream in self.resets:
            return f"reset {self.resets[stream]}"
        if self.goaways:
            return f"goaway {self.goaways[-1]}"
        return "closed" if self.closed else "open"


def flood(peer, part, frames, total):
    """Sends the part of so many frames until the total is out or the connection ends."""
    while peer.sent < total and not peer.closed and not any(peer.goaways):
        if not peer.send(part, frames):
            break


def say(**what):
    print(json.dumps(what), flush=True)
