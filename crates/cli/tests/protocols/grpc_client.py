"""A gRPC client: ADDRESS SCENARIO [NUMBER]. Prints what it saw as one JSON object a call."""

import json
import sys
import threading

import grpc

address, scenario = sys.argv[1:3]
number = int(sys.argv[3]) if len(sys.argv) > 3 else 1
channel = grpc.insecure_channel(address, options=(("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0)))
grpc.channel_ready_future(channel).result(timeout=30)


def method(name):
    return channel.unary_unary("/t.T/" + name)


def show(**facts):
    print(json.dumps(facts), flush=True)


def told(error):
    trailers = {key: value for key, value in error.trailing_metadata() or () if isinstance(value, str)}
    show(code=error.code().value[0], message=error.details(), trailers=trailers)


def unary(name, body=b"hello", **more):
    try:
        answer = method(name)(body, timeout=more.pop("timeout", 20), **more)
        show(code=0, body=answer.decode())
    except grpc.RpcError as error:
        told(error)


if scenario == "late":
    for _ in range(number):
        messages = []
        try:
            for message in channel.unary_stream("/t.T/FailLate")(b"", timeout=20):
                messages.append(message.decode())
            show(code=0, messages=messages)
        except grpc.RpcError as error:
            show(code=error.code().value[0], messages=messages, message=error.details())
elif scenario == "deadlines":
    # At most so many at once, so that they fit into the streams of a connection.
    places, codes = threading.Semaphore(64), {}
    hang = method("Hang")

    def ended(call):
        code = call.code().value[0]
        codes[code] = codes.get(code, 0) + 1
        places.release()

    for _ in range(number):
        places.acquire()
        hang.future(b"", timeout=0.001).add_done_callback(ended)
    for _ in range(64):
        places.acquire()
    show(codes={str(code): count for code, count in codes.items()})
elif scenario == "chat":
    words, turn = [], threading.Semaphore(1)

    def say():
        for at in range(number):
            # Each word waits for the answer to the one before it.
            turn.acquire()
            yield f"word {at}".encode()

    for answer in channel.stream_stream("/t.T/Chat")(say(), timeout=20):
        words.append(answer.decode())
        turn.release()
    show(code=0, words=words)
elif scenario == "streams":
    collected = channel.stream_unary("/t.T/Collect")(iter([b"a", b"b", b"c"]), timeout=20)
    spread = list(channel.unary_stream("/t.T/Spread")(str(number).encode(), timeout=20))
    show(code=0, collected=collected.decode(), spread=len(spread))
elif scenario == "left":
    unary("Left", timeout=number)
else:
    for _ in range(number):
        unary(scenario)
