"""An HTTP/2 service for tests, which ends a stream or its connection in the way that the path names.

Options: `--tls CERT KEY`, `--streams N` (SETTINGS_MAX_CONCURRENT_STREAMS), `--window N` (SETTINGS_INITIAL_WINDOW_SIZE),
`--no-alpn`. Prints its port, then one line for each thing that it sees.
"""

import json
import os
import socket
import ssl
import struct
import sys
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

OPTIONS = sys.argv[1:]


def option(name, count=1):
    if name not in OPTIONS:
        return None
    at = OPTIONS.index(name)
    return OPTIONS[at + 1 : at + 1 + count]


OUT = threading.Lock()
HELD = []
SEEN = {}


def say(*words):
    with OUT:
        print(*words, flush=True)


class Connection:
    def __init__(self, sock, number):
        self.sock = sock
        self.number = number
        self.lock = threading.RLock()
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.requests = {}
        self.pending = {}

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.sock.sendall(data)

    def run(self):
        say("connection", self.number)
        try:
            with self.lock:
                codes = h2.settings.SettingCodes
                settings = dict(self.h2.local_settings)
                if option("--streams"):
                    settings[codes.MAX_CONCURRENT_STREAMS] = int(option("--streams")[0])
                if option("--window"):
                    settings[codes.INITIAL_WINDOW_SIZE] = int(option("--window")[0])
                self.h2.local_settings = h2.settings.Settings(client=False, initial_values=settings)
                self.h2.initiate_connection()
                self.flush()
            while True:
                data = self.sock.recv(65536)
                if not data:
                    break
                with self.lock:
                    for event in self.h2.receive_data(data):
                        try:
                            self.handle(event)
                        except h2.exceptions.StreamClosedError:
                            # What came behind the head of a stream that was ended at once.
                            pass
                    self.flush()
        except (OSError, h2.exceptions.ProtocolError) as error:
            say("error", self.number, type(error).__name__)
        say("closed", self.number)
        self.sock.close()

    def handle(self, event):
        if isinstance(event, h2.events.RequestReceived):
            fields = dict(event.headers)
            self.requests[event.stream_id] = {"fields": event.headers, "body": b"", "trailers": []}
            say("request", self.number, event.stream_id, fields[":path"])
            if event.stream_ended is None:
                self.begin(event.stream_id)
        elif isinstance(event, h2.events.DataReceived):
            self.requests[event.stream_id]["body"] += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.some(event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            self.requests[event.stream_id]["trailers"] = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            self.end(event.stream_id)
        elif isinstance(event, h2.events.WindowUpdated):
            self.pump()
        elif isinstance(event, h2.events.StreamReset):
            self.pending.pop(event.stream_id, None)
            HELD[:] = [held for held in HELD if held != (self, event.stream_id)]
            say("reset", self.number, event.stream_id, int(event.error_code))
        elif isinstance(event, h2.events.ConnectionTerminated):
            say("goaway", self.number, int(event.error_code))

    def pump(self):
        """Sends as much of large answers as their windows take."""
        for stream, left in list(self.pending.items()):
            while left:
                room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, left)
                if room <= 0:
                    break
                left -= room
                self.h2.send_data(stream, b"x" * room, end_stream=left == 0)
            self.pending[stream] = left
            if not left:
                del self.pending[stream]

    def path(self, stream):
        fields = dict(self.requests[stream]["fields"])
        return fields[":path"].split("?")[0].strip("/").split("/")

    def times(self, stream):
        """How often this path was asked for."""
        path = "/".join(self.path(stream))
        SEEN[path] = SEEN.get(path, 0) + 1
        return SEEN[path]

    def answer(self, stream, body=b"ok", status="200", fields=(), end=True):
        self.h2.send_headers(stream, [(":status", status), *fields])
        if body:
            self.h2.send_data(stream, body, end_stream=end)
        elif end:
            self.h2.end_stream(stream)

    def reset(self, stream, code):
        self.h2.reset_stream(stream, error_code=int(code))

    def begin(self, stream):
        """The head of a request with a body has come."""
        what = self.path(stream)[0]
        if what == "answer-early":
            self.answer(stream)
            self.reset(stream, 0)
        elif what == "head-early":
            self.answer(stream, b"part", end=False)
        elif what == "answer-at-once":
            self.answer(stream)

    def some(self, stream):
        """Some of a body has come."""
        what = self.path(stream)[0]
        if what == "refuse-late-once" and "/".join(self.path(stream)) not in SEEN:
            self.times(stream)
            self.reset(stream, 7)

    def end(self, stream):
        """All of a request has come."""
        what, *more = self.path(stream)
        if what == "echo":
            request = self.requests[stream]
            shown = {
                "fields": request["fields"],
                "body": request["body"].decode(),
                "trailers": request["trailers"],
                "connection": self.number,
            }
            self.answer(stream, json.dumps(shown).encode())
        elif what == "refuse-once":
            if self.times(stream) == 1:
                self.reset(stream, 7)
            else:
                self.answer(stream)
        elif what == "refuse":
            self.reset(stream, 7)
        elif what == "goaway-above" and self.times(stream) == 1:
            self.h2.close_connection(last_stream_id=stream - 2 if stream > 1 else 0)
        elif what == "goaway-below":
            self.h2.close_connection(last_stream_id=stream)
            # A closed connection of this library sends no more, so the answer is written by hand.
            self.flush()
            self.sock.sendall(struct.pack(">I", 1)[1:] + b"\x01\x04" + struct.pack(">I", stream) + b"\x88")
            self.sock.sendall(struct.pack(">I", 2)[1:] + b"\x00\x01" + struct.pack(">I", stream) + b"ok")
        elif what == "goaway-below-cut":
            self.h2.close_connection(last_stream_id=stream)
            self.flush()
            self.sock.shutdown(socket.SHUT_RDWR)
        elif what == "reset":
            self.reset(stream, more[0])
        elif what == "body-reset":
            self.answer(stream, b"part", end=False)
            self.flush()
            self.reset(stream, more[0])
        elif what == "length-reset":
            self.answer(stream, b"part", fields=[("content-length", "9")], end=False)
            self.flush()
            self.reset(stream, more[0])
        elif what == "drop":
            self.sock.shutdown(socket.SHUT_RDWR)
        elif what == "drop-three":
            HELD.append((self, stream))
            if len([it for it in HELD if it[0] is self]) == 3:
                HELD.clear()
                self.sock.shutdown(socket.SHUT_RDWR)
        elif what == "body-drop":
            self.answer(stream, b"part", end=False)
            self.flush()
            self.sock.shutdown(socket.SHUT_RDWR)
        elif what == "hang":
            pass
        elif what == "body-hang":
            self.answer(stream, b"part", end=False)
        elif what == "large":
            self.h2.send_headers(stream, [(":status", "200")])
            self.pending[stream] = int(more[0])
            self.pump()
        elif what == "hold":
            HELD.append((self, stream))
        elif what == "release":
            held, HELD[:] = list(HELD), []
            self.answer(stream)
            self.flush()
            for other, number in held:
                with other.lock:
                    try:
                        other.answer(number)
                        other.flush()
                    except (OSError, h2.exceptions.ProtocolError):
                        pass
        elif what == "trailers-only":
            self.h2.send_headers(
                stream,
                [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", more[0])],
                end_stream=True,
            )
        elif what == "trailers":
            self.answer(stream, b"body", end=False)
            self.h2.send_headers(stream, [("x-sum", "7")], end_stream=True)
        elif what == "big-head":
            # In parts, since this library takes long to encode a long value.
            self.answer(stream, fields=[("x-big", "x" * 1000) for _ in range(int(more[0]) // 1000)])
        elif what == "many-fields":
            self.answer(stream, fields=[(f"x-{at}", "1") for at in range(int(more[0]))])
        elif what == "early-hints":
            self.h2.send_headers(stream, [(":status", "103"), ("link", "</a>; rel=preload")])
            self.answer(stream)
        elif what == "garbage":
            self.flush()
            # DATA on stream 0.
            self.sock.sendall(b"\x00\x00\x01\x00\x00\x00\x00\x00\x00x")
        elif what == "status":
            self.answer(stream, status=more[0])
        elif what in ("answer-early", "head-early", "answer-at-once"):
            pass
        elif what == "refuse-late-once" and SEEN.get("/".join(self.path(stream))) == 1:
            SEEN["/".join(self.path(stream))] += 1
        else:
            self.answer(stream)


def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    context = None
    if option("--tls"):
        cert, key = option("--tls", 2)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(cert, key)
        if "--no-alpn" not in OPTIONS:
            context.set_alpn_protocols(["h2"])
    say(listener.getsockname()[1])

    def serve(sock, number):
        try:
            if context:
                sock = context.wrap_socket(sock, server_side=True)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            say("handshake", number, type(error).__name__)
            return
        Connection(sock, number).run()

    # The test holds the other end of stdin: when it is gone, so is this.
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    number = 0
    while True:
        sock, _ = listener.accept()
        number += 1
        threading.Thread(target=serve, args=(sock, number), daemon=True).start()


main()
