"""Random clients of an HTTP/2 server: `h2_fuzz.py PORT FIRST COUNT`. Each seed is one sequence of frames and hang-ups."""

import random
import socket
import struct
import sys

from h2_frames import *

PATHS = [f"/{letter}" for letter in "abcdefghlx"]  # see support/hostile.rs


def u32(number):
    return struct.pack(">I", number)


def step(pick, streams):
    """The next frames of a client that begins well and errs more and more."""
    kind = pick.randrange(16)
    stream = pick.choice(streams or [1])
    if kind < 5:
        new = (streams[-1] + 2) if streams else 1
        streams.append(new)
        method = pick.choice(["GET", "POST", "PUT", "HEAD"])
        more = pick.sample([("content-length", "10"), ("expect", "100-continue"), ("te", "trailers"), ("cookie", "a=1"), ("x-y", "z")], pick.randrange(3))
        flags = END_HEADERS | (END_STREAM if pick.random() < 0.5 else 0)
        return frame(HEADERS, flags, new, get(pick.choice(PATHS), more, method=method))
    if kind < 8:
        return frame(DATA, pick.choice([0, 0, END_STREAM]), stream, pick.randbytes(pick.choice([0, 1, 10, 2000, 16384])))
    if kind < 10:
        return frame(RST, 0, stream, u32(pick.randrange(14)))
    if kind == 10:
        return frame(UPDATE, 0, pick.choice([0, stream]), u32(pick.choice([1, 65535, 1 << 20])))
    if kind == 11:
        return frame(SETTINGS, 0, 0, struct.pack(">HI", 4, pick.choice([0, 1, 65535, 1 << 20])))
    if kind == 12:
        return frame(HEADERS, END_HEADERS | END_STREAM, stream, literal("x-trailer", "1"))
    if kind == 13:
        return frame(PING, 0, 0, bytes(8))
    if kind == 14:
        whole = frame(HEADERS, END_HEADERS, (streams[-1] if streams else 0) + 3, get("/ok"))
        return whole[: pick.randrange(1, len(whole))]
    return frame(pick.randrange(12), pick.randrange(256), pick.choice([0, stream, 2]), pick.randbytes(pick.randrange(12)))


def play(port, seed):
    pick = random.Random(seed)
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    streams = []
    try:
        client.sendall(PREFACE + frame(SETTINGS, 0, 0))
        for _ in range(pick.randrange(1, 14)):
            client.sendall(step(pick, streams))
            if pick.random() < 0.4:
                client.settimeout(pick.choice([0.001, 0.02, 0.05]))
                try:
                    if not client.recv(65536):
                        break
                except TimeoutError:
                    pass
                client.settimeout(10)
        if pick.random() < 0.3:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif pick.random() < 0.3:
            client.shutdown(socket.SHUT_WR)
            client.settimeout(0.05)
            client.recv(65536)
    except OSError:
        pass
    client.close()


def main():
    port, first, count = map(int, sys.argv[1:4])
    threads = []
    for lane in range(8):
        seeds = range(first + lane, first + count, 8)
        threads.append(threading.Thread(target=lambda seeds=seeds: [play(port, seed) for seed in seeds]))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say(played=count)


main()
