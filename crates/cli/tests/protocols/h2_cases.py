"""What an HTTP/2 server must refuse, by the sections of RFC 9113: `h2_cases.py PORT`.

Prints every case whose end is not one of those expected. No request of a refused case may reach an upstream: they ask
for `/refused`, the others for `/begun` or `/fine`.
"""

import struct
import sys

from h2_frames import *

R = "/refused"


def u32(number):
    return struct.pack(">I", number)


def req(stream=1, flags=END_STREAM | END_HEADERS, fields=None):
    return frame(HEADERS, flags, stream, get(R) if fields is None else fields)


def post(stream=1, more=(), path="/begun"):
    """The head of a request whose fault comes later: it may have begun by then."""
    return frame(HEADERS, END_HEADERS, stream, get(path, more, method="POST"))


def fine(stream):
    return frame(HEADERS, END_STREAM | END_HEADERS, stream, get("/fine"))


def setting(key, value):
    return frame(SETTINGS, 0, 0, struct.pack(">HI", key, value))


def with_field(name, value):
    return req(fields=get(R, [(name, value)]))


def head(*fields):
    return req(fields=block(fields))


M, S, P, A = (":method", "GET"), (":scheme", "http"), (":path", R), (":authority", "gateway.test")
CLOSED = ("reset 5", "goaway 5")
PROTOCOL = ("goaway 1",)
STREAM = ("reset 1",)
SIZE = ("goaway 6",)

# Name, the stream to look at, the ends that are expected, the bytes behind the preface.
CASES = [
    ("4.1 an unknown kind of frame is ignored", 1, ("200",), frame(0x16, 0, 0, b"xyz") + fine(1)),
    ("4.1 unknown flags are ignored", 1, ("200",), frame(PING, 0x16, 0, b"8 bytes!") + fine(1)),
    ("4.2 DATA above the frame size", 1, SIZE + ("reset 6",), post() + frame(DATA, END_STREAM, 1, bytes(16385))),
    ("4.2 HEADERS above the frame size", 1, SIZE, req(fields=get(R) + literal("x", "y" * 100) * 200)),
    ("4.3 a field block that cannot be read", 1, ("goaway 9",), req(fields=b"\xff\xff\xff\xff\xff\xff\xff")),
    ("4.3 PRIORITY within a field block", 1, PROTOCOL, req(flags=END_STREAM) + frame(PRIORITY, 0, 1, bytes(5))),
    ("4.3 another stream within a field block", 1, PROTOCOL, req(flags=END_STREAM) + req(3)),
    ("5.1 DATA on an idle stream", 1, PROTOCOL, frame(DATA, END_STREAM, 1, b"x")),
    ("5.1 RST_STREAM on an idle stream", 1, PROTOCOL, frame(RST, 0, 1, u32(8))),
    ("5.1 WINDOW_UPDATE on an idle stream", 1, PROTOCOL, frame(UPDATE, 0, 1, u32(1))),
    ("5.1 CONTINUATION on an idle stream", 1, PROTOCOL, frame(CONTINUATION, END_HEADERS, 1, get(R))),
    ("5.1 DATA behind the end of a request", 1, CLOSED, frame(HEADERS, 5, 1, get("/held")) + frame(DATA, END_STREAM, 1, b"x")),
    ("5.1 HEADERS behind the end of a request", 1, CLOSED, frame(HEADERS, 5, 1, get("/held")) + frame(HEADERS, 5, 1, get(R))),
    ("5.1.1 an even stream", 2, PROTOCOL, req(2)),
    ("5.1.1 a stream below the last one", 3, PROTOCOL + ("goaway 5",), frame(HEADERS, 5, 5, get("/held")) + req(3)),
    ("6.1 DATA on the connection", 1, PROTOCOL, frame(DATA, END_STREAM, 0, b"x")),
    ("6.1 padding longer than DATA", 1, PROTOCOL, post() + frame(DATA, END_STREAM | PADDED, 1, b"\x09xy")),
    ("6.2 HEADERS on the connection", 1, PROTOCOL, req(0)),
    ("6.2 padding longer than HEADERS", 1, PROTOCOL, frame(HEADERS, 5 | PADDED, 1, b"\xff" + get(R))),
    ("6.3 PRIORITY on the connection", 1, PROTOCOL, frame(PRIORITY, 0, 0, bytes(5))),
    ("6.3 PRIORITY of another size", 1, SIZE + ("reset 6",), frame(PRIORITY, 0, 1, bytes(4))),
    ("6.4 RST_STREAM on the connection", 1, PROTOCOL, frame(RST, 0, 0, u32(8))),
    ("6.4 RST_STREAM of another size", 1, SIZE, post() + frame(RST, 0, 1, bytes(3))),
    ("6.5 an acknowledgement with settings", 1, SIZE, frame(SETTINGS, ACK, 0, bytes(6))),
    ("6.5 SETTINGS on a stream", 1, PROTOCOL, frame(SETTINGS, 0, 1, bytes(6))),
    ("6.5 SETTINGS of another size", 1, SIZE, frame(SETTINGS, 0, 0, bytes(5))),
    ("6.5.2 ENABLE_PUSH of 2", 1, PROTOCOL, setting(2, 2)),
    ("6.5.2 a window that is too large", 1, ("goaway 3",), setting(4, 1 << 31)),
    ("6.5.2 a frame size that is too small", 1, PROTOCOL, setting(5, 16_383)),
    ("6.5.2 a frame size that is too large", 1, PROTOCOL, setting(5, 1 << 24)),
    ("6.5.2 an unknown setting is ignored", 1, ("200",), setting(0xff, 1) + fine(1)),
    ("6.7 PING on a stream", 1, PROTOCOL, frame(PING, 0, 1, bytes(8))),
    ("6.7 PING of another size", 1, SIZE, frame(PING, 0, 0, bytes(6))),
    ("6.8 GOAWAY on a stream", 1, PROTOCOL, frame(GOAWAY, 0, 1, bytes(8))),
    ("6.9 a window update of nothing on the connection", 1, PROTOCOL, frame(UPDATE, 0, 0, u32(0))),
    ("6.9 a window update of nothing on a stream", 1, STREAM, post() + frame(UPDATE, 0, 1, u32(0))),
    ("6.9 WINDOW_UPDATE of another size", 1, SIZE, frame(UPDATE, 0, 0, bytes(3))),
    ("6.9.1 a connection's window beyond the largest", 1, ("goaway 3",), frame(UPDATE, 0, 0, u32((1 << 31) - 1)) * 2),
    ("6.9.1 a stream's window beyond the largest", 1, ("reset 3",), post() + frame(UPDATE, 0, 1, u32((1 << 31) - 1)) * 2),
    ("6.10 CONTINUATION behind the end of a block", 1, PROTOCOL, post() + frame(CONTINUATION, END_HEADERS, 1, literal("a", "b"))),
    ("6.10 CONTINUATION on the connection", 1, PROTOCOL, req(flags=END_STREAM) + frame(CONTINUATION, END_HEADERS, 0)),
    ("6.6 PUSH_PROMISE of a client", 1, PROTOCOL, frame(PUSH, END_HEADERS, 1, u32(2) + get(R))),
    ("7 an unknown code of RST_STREAM", 3, ("200",), post() + frame(RST, 0, 1, u32(0xff)) + fine(3)),
    ("8.1 a second head without an end", 1, STREAM, post() + frame(HEADERS, END_HEADERS, 1, literal("a", "b"))),
    ("8.2 a name in upper case", 1, STREAM, with_field("X-Upper", "1")),
    ("8.2 a space in a name", 1, STREAM, with_field("a b", "1")),
    ("8.2 CR and LF in a value", 1, STREAM, with_field("x", "1\r\ny: 2")),
    ("8.2 NUL in a value", 1, STREAM, with_field("x", "1\x002")),
    ("8.2.2 connection", 1, STREAM, with_field("connection", "close")),
    ("8.2.2 keep-alive", 1, STREAM, with_field("keep-alive", "1")),
    ("8.2.2 proxy-connection", 1, STREAM, with_field("proxy-connection", "close")),
    ("8.2.2 transfer-encoding", 1, STREAM, with_field("transfer-encoding", "chunked")),
    ("8.2.2 upgrade", 1, STREAM, with_field("upgrade", "websocket")),
    ("8.2.2 te", 1, STREAM, with_field("te", "gzip")),
    ("8.2.2 te with trailers and more", 1, STREAM, with_field("te", "trailers, deflate")),
    ("8.3 an unknown pseudo-field", 1, STREAM, head(M, S, P, A, (":test", "1"))),
    ("8.3 a pseudo-field of answers", 1, STREAM, head(M, S, P, A, (":status", "200"))),
    ("8.3 a pseudo-field behind a field", 1, STREAM, head(M, S, A, ("x", "1"), P)),
    ("8.3 a pseudo-field among the trailers is dropped", 1, STREAM + ("200",), post(path="/fine") + frame(HEADERS, 5, 1, block([(":method", "GET")]))),
    ("8.3.1 no method", 1, STREAM, head(S, P, A)),
    ("8.3.1 no scheme", 1, STREAM + ("400",), head(M, P, A)),
    ("8.3.1 no path", 1, STREAM, head(M, S, A)),
    ("8.3.1 an empty path", 1, STREAM, head(M, S, (":path", ""), A)),
    ("8.3.1 two methods", 1, STREAM, head(M, M, S, P, A)),
    ("8.3.1 two schemes", 1, STREAM, head(M, S, S, P, A)),
    ("8.3.1 two paths", 1, STREAM, head(M, S, P, P, A)),
    ("8.3.1 two authorities", 1, STREAM, head(M, S, P, A, A)),
    ("8.3.1 a space in the path", 1, STREAM, head(M, S, (":path", R + " HTTP/1.1"), A)),
    ("8.3.1 a line end in the path", 1, STREAM, head(M, S, (":path", R + "\r\nx: 1"), A)),
    ("8.3.1 a path without a slash", 1, STREAM + ("400",), head(M, S, (":path", "refused"), A)),
    ("8.3.1 a whole URL for a path", 1, STREAM + ("400",), head(M, S, (":path", "http://other.test/refused"), A)),
    ("8.3.1 an asterisk for a GET", 1, STREAM + ("400",), head(M, S, (":path", "*"), A)),
    ("8.3.1 another host than the authority", 1, ("400",), with_field("host", "other.test")),
    ("8.3.1 two hosts", 1, ("400",), req(fields=get(R, [("host", "gateway.test"), ("host", "gateway.test")]))),
    ("8.3.1 neither authority nor host", 1, ("400",), head(M, S, P)),
    ("8.3.1 an authority with a user", 1, STREAM + ("400",), head(M, S, P, (":authority", "user@gateway.test"))),
    ("8.3.1 an authority that is none", 1, STREAM + ("400",), head(M, S, P, (":authority", "a,b"))),
    ("8.3.1 the scheme of another connection", 1, ("421",), head(M, (":scheme", "https"), P, A)),
    ("8.3.1 an unknown scheme", 1, STREAM + ("421",), head(M, (":scheme", "gopher"), P, A)),
    ("8.3.1 a method in lower case", 1, ("400",), head((":method", "get"), S, P, A)),
    ("8.5 CONNECT", 1, ("405",), head((":method", "CONNECT"), (":authority", "other.test:443"))),
    ("8441 an unknown protocol", 1, ("501",), head((":method", "CONNECT"), (":protocol", "ip"), S, P, A)),
    ("TRACE", 1, ("405",), head((":method", "TRACE"), S, P, A)),
    ("8.1.1 less data than the length", 1, STREAM + ("400",), post(path=R, more=[("content-length", "5")]) + frame(DATA, END_STREAM, 1, b"abc")),
    ("8.1.1 more data than the length", 1, STREAM + ("400",), post(path=R, more=[("content-length", "1")]) + frame(DATA, END_STREAM, 1, b"abc")),
    ("8.1.1 a length and no data", 1, STREAM + ("400",), req(fields=get(R, [("content-length", "5")], method="POST"))),
    ("8.1.1 two lengths", 1, STREAM + ("400",), post(path=R, more=[("content-length", "3"), ("content-length", "4")]) + frame(DATA, END_STREAM, 1, b"abc")),
    ("8.1.1 a length with a sign", 1, STREAM + ("400",), post(path=R, more=[("content-length", "+3")]) + frame(DATA, END_STREAM, 1, b"abc")),
    ("an empty segment", 1, ("400",), head(M, S, (":path", "//refused"), A)),
    ("dot segments", 1, ("400",), head(M, S, (":path", "/a/../refused"), A)),
    ("an encoded slash", 1, ("400",), head(M, S, (":path", "/a%2frefused"), A)),
    ("an encoded control character", 1, ("400",), head(M, S, (":path", "/refused%0d%0a"), A)),
    ("too many fields", 1, ("431",), req(fields=get(R, [(f"x{number}", "1") for number in range(120)]))),
]


def main():
    port = int(sys.argv[1])
    wrong = []
    for name, stream, expected, data in CASES:
        peer = Peer(port)
        peer.send(data)
        outcome = peer.outcome(stream, 10)
        # A server may end the connection for the fault of a stream, and h2 often says PROTOCOL_ERROR for a nearer code
        # (RFC 9113, section 5.4).
        is_ended = outcome.startswith("goaway") and peer.until_closed(5)
        may_end = any(it.startswith(("goaway", "reset")) for it in expected)
        if not (outcome in expected and not outcome.startswith("goaway")) and not (is_ended and may_end):
            wrong.append(f"{name}: {outcome}, expected {' or '.join(expected)}")
        peer.socket.close()
    peer = Peer(port, preface=b"INVALID CONNECTION PREFACE\r\n\r\n")
    if not peer.until_closed(10):
        wrong.append("3.4 another preface: the connection stays open")
    peer = Peer(port, preface=b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
    if not peer.until_closed(10):
        wrong.append("3.4 a preface with another end: the connection stays open")
    say(cases=len(CASES), wrong=wrong)


main()
