"""Clients of an HTTP/2 server, one for each scenario: `h2_clients.py PORT SCENARIO`. Prints what the client saw."""

import struct
import sys
import time

from h2_frames import *


def ask(peer, stream, path, flags=END_STREAM | END_HEADERS, **more):
    peer.send(frame(HEADERS, flags, stream, get(path, **more)))


def many(peer):
    """A hundred requests at once."""
    streams = [2 * number + 1 for number in range(100)]
    for stream in streams:
        ask(peer, stream, f"/held/{stream}")
    ends = [peer.outcome(stream) for stream in streams]
    bodies = [peer.bodies.get(stream, b"").decode() for stream in streams]
    return {"ends": sorted(set(ends)), "own": bodies == [f"/held/{stream}" for stream in streams]}


def form(peer):
    """A request with all that HTTP/1 writes otherwise: crumbs, trailers, no length."""
    crumbs = [("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers"), ("expect", "100-continue")]
    ask(peer, 1, "/form?q=%61", END_HEADERS, more=crumbs, method="POST")
    peer.send(frame(DATA, 0, 1, b"hello ") + frame(DATA, 0, 1, b"world"))
    peer.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, literal("x-sum", "11")))
    end = peer.outcome(1)
    head = dict(peer.heads[1])
    return {"end": end, "head": head, "body": peer.bodies[1].decode()}


def unread(peer):
    """Bodies that nobody reads: the answer comes, later the stream is reset, the connection goes on."""
    ends = []
    streams = [2 * number + 1 for number in range(20)]
    for stream in streams:
        ask(peer, stream, "/ping", END_HEADERS, method="POST")
        peer.send(frame(DATA, 0, stream, bytes(16_000)))
        ends.append(peer.outcome(stream))
    peer.wait(lambda: all(stream in peer.resets for stream in streams))
    ask(peer, 101, "/ping")
    return {"ends": sorted(set(ends)), "resets": sorted(set(peer.resets.values())), "after": peer.outcome(101)}


def ended_late(peer):
    """Bodies that nobody reads and that end after the answer: their streams are never reset."""
    ends = []
    for number in range(20):
        stream = 2 * number + 1
        ask(peer, stream, "/ping", END_HEADERS, method="POST", more=[("content-length", "16003")])
        peer.send(frame(DATA, 0, stream, bytes(16_000)))
        ends.append(peer.outcome(stream))
        peer.send(frame(DATA, END_STREAM, stream, b"end"))
    ask(peer, 101, "/ping")
    return {"ends": sorted(set(ends)), "resets": len(peer.resets), "after": peer.outcome(101)}


def bare(peer):
    """Answers that have no body, whatever their length."""
    ask(peer, 1, "/big", method="HEAD")
    ask(peer, 3, "/ping", method="HEAD")
    ask(peer, 5, "/none")
    ends = [peer.outcome(stream) for stream in (1, 3, 5)]
    return {"ends": ends, "lengths": [peer.heads[stream].get("content-length") for stream in (1, 3)], "bodies": len(peer.bodies)}


def leave(peer):
    """60 clients that leave: by a reset before the answer, within it, and by their connection."""
    for number in range(20):
        ask(peer, 2 * number + 1, "/slow")
    ask(peer, 41, "/drip")
    peer.wait(lambda: 41 in peer.bodies)
    for number in range(21):
        peer.send(frame(RST, 0, 2 * number + 1, struct.pack(">I", 8)))
    ask(peer, 43, "/ping")
    after = peer.outcome(43)
    for number in range(39):
        other = Peer(int(sys.argv[1]))
        path = "/drip" if number % 2 else "/slow"
        ask(other, 1, path, END_HEADERS, method="POST")
        other.send(frame(DATA, 0, 1, b"half"))
        if number % 2:
            other.wait(lambda: 1 in other.bodies)
        if number % 3:
            other.send(frame(DATA, END_STREAM, 3, b"x"))
        other.socket.close()
    return {"after": after}


def abandon(peer):
    """A client that waits a while and leaves."""
    ask(peer, 1, "/slow")
    time.sleep(0.3)
    peer.send(frame(RST, 0, 1, struct.pack(">I", 8)))
    ask(peer, 3, "/ping")
    return {"after": peer.outcome(3)}


def half_uploads(peer):
    """Uploads that break off by a reset, once the upstream has a part of them."""
    codes = (8, 0, 0, 0, 2, 8, 7, 11)
    for number, code in enumerate(codes):
        upload, look = 4 * number + 1, 4 * number + 3
        kind = [("content-type", "application/grpc")] if number % 2 else []
        ask(peer, upload, "/upload", END_HEADERS, method="POST", more=kind)
        peer.send(frame(DATA, 0, upload, b"half"))
        ask(peer, look, f"/seen/{number + 1}")
        assert peer.outcome(look) == "200", peer.outcome(look)
        # Data and reset at once: the task that sends the upload meets the reset before the one that awaits the answer.
        rest = frame(DATA, 0, upload, b"more") if number % 4 else b""
        peer.send(rest + frame(RST, 0, upload, struct.pack(">I", code)))
    return {"resets": len(codes)}


def improper(peer):
    """Values with white space around them, which no message of HTTP/2 has, in heads and in trailers; and many crumbs."""
    heads, trailers = [], []
    for number, value in enumerate((" a", "a ", "\ta", "a\t", " ")):
        head, trailer = 4 * number + 1, 4 * number + 3
        ask(peer, head, "/ok", more=[("x-a", value)])
        ask(peer, trailer, "/ok", END_HEADERS, method="POST")
        peer.send(frame(DATA, 0, trailer, b"body"))
        peer.send(frame(HEADERS, END_STREAM | END_HEADERS, trailer, literal("x-a", value)))
        heads.append(peer.outcome(head))
        trailers.append(peer.outcome(trailer))
    ask(peer, 101, "/ok", more=[("cookie", f"c{number}=1") for number in range(150)])
    return {"heads": heads, "trailers": trailers, "crumbs": peer.outcome(101)}


def broken(peer):
    """An answer that its upstream cuts, and one behind it."""
    ask(peer, 1, "/cut")
    cut = peer.outcome(1)
    ask(peer, 3, "/ping")
    return {"cut": cut, "bytes": len(peer.bodies.get(1, b"")), "after": peer.outcome(3)}


def large(peer):
    """A body over the limit, and a request behind it."""
    peer.wait(lambda: peer.settings)
    ask(peer, 1, "/large", END_HEADERS, method="POST")
    for _ in range(4):
        peer.send(frame(DATA, 0, 1, bytes(16_000)))
    end = peer.outcome(1)
    ask(peer, 3, "/ping")
    return {"end": end, "after": peer.outcome(3)}


def stalled(peer):
    """Answers whose client opens no window."""
    began = time.monotonic()
    streams = [2 * number + 1 for number in range(20)]
    for stream in streams:
        ask(peer, stream, "/big")
    peer.wait(lambda: all(stream in peer.heads for stream in streams))
    peer.wait(lambda: all(stream in peer.resets for stream in streams))
    ask(peer, 101, "/none")
    return {
        "resets": sorted(set(peer.resets.values())), "count": len(peer.resets), "bytes": sum(map(len, peer.bodies.values())),
        "ms": int(1000 * (time.monotonic() - began)), "after": peer.outcome(101),
    }


def idle(peer):
    """A client that asks once and then nothing: it gets GOAWAY and the end."""
    ask(peer, 1, "/ping")
    end = peer.outcome(1)
    return {"end": end, "closed": peer.until_closed(), "goaways": peer.goaways}


def ending(peer):
    """A client with a request in flight when the listener closes."""
    ask(peer, 1, "/held")
    say(asked=True)
    peer.wait(lambda: peer.goaways)
    say(told=True)
    peer.wait(lambda: 1 in peer.ended or peer.closed)
    return {"end": peer.outcome(1), "closed": peer.until_closed(), "goaways": peer.goaways}


def silent(peer):
    """A connection that stops within its preface."""
    return {"closed": peer.until_closed()}


def half(peer):
    """Half of a head, and nothing more."""
    peer.send(frame(HEADERS, END_STREAM, 1, get("/ping")))
    return {"closed": peer.until_closed(), "goaways": peer.goaways}


def websocket(peer):
    """A tunnel by extended CONNECT (RFC 8441)."""
    head = [
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/chat"),
        (":authority", "gateway.test"), ("sec-websocket-version", "13"), ("origin", "http://gateway.test"),
    ]
    peer.send(frame(HEADERS, END_HEADERS, 1, block(head)))
    peer.wait(lambda: 1 in peer.heads)
    answer = dict(peer.heads.get(1, {}))
    sent = b""
    for size in (1, 125, 16_000):
        part = bytes([size % 251]) * size
        peer.send(frame(DATA, 0, 1, part))
        sent += part
    echoed = peer.wait(lambda: peer.bodies.get(1, b"") == sent, 10)
    peer.send(frame(DATA, END_STREAM, 1))
    return {"head": answer, "echoed": echoed, "end": peer.outcome(1)}


def slow_reader(peer):
    """An answer read by small windows, with an update for every frame, is never taken for a flood."""
    ask(peer, 1, "/huge")
    taken = 0
    while 1 not in peer.ended and not peer.closed and not peer.goaways:
        peer.wait(lambda: len(peer.bodies.get(1, b"")) > taken or peer.closed or 1 in peer.ended, 10)
        more = len(peer.bodies.get(1, b"")) - taken
        taken += more
        if more:
            update = struct.pack(">I", more)
            peer.send(frame(UPDATE, 0, 0, update) + frame(UPDATE, 0, 1, update))
    return {"end": peer.outcome(1), "bytes": len(peer.bodies[1])}


SETTINGS_OF = {"stalled": struct.pack(">HI", 4, 0), "slow_reader": struct.pack(">HI", 4, 1024)}


def main():
    name = sys.argv[2]
    if name == "silent":
        peer = Peer(int(sys.argv[1]), preface=PREFACE[:16], greets=False)
    else:
        peer = Peer(int(sys.argv[1]), settings=SETTINGS_OF.get(name, b""))
    say(**globals()[name](peer))


main()
