"""A gRPC server without generated code: every method takes and gives bytes, and its name says what it does."""

import sys
import threading
import time
from concurrent import futures

import grpc

seen = {}
lock = threading.Lock()
state = {"health": b"\x08\x01", "healthy": 0}


def note(name):
    with lock:
        seen[name] = seen.get(name, 0) + 1


def code_in(context):
    fields = dict(context.invocation_metadata())
    number = int(fields.get("x-code", "14"))
    return next(code for code in grpc.StatusCode if code.value[0] == number)


def echo(request, context):
    note("Echo")
    return request


def fail(request, context):
    note("Fail")
    pushback = dict(context.invocation_metadata()).get("x-pushback")
    if pushback:
        context.set_trailing_metadata((("grpc-retry-pushback-ms", pushback),))
    context.abort(code_in(context), "as asked")


def first_fails(request, context):
    """Fails before any message where it is asked for the first time."""
    note("FirstFails")
    if seen["FirstFails"] == 1:
        context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
    return request


def fail_late(request, context):
    """Fails in trailers, behind a message."""
    note("FailLate")
    yield b"message"
    context.abort(code_in(context), "as asked")


def count(request, context):
    with lock:
        return str(seen.get(request.decode(), 0)).encode()


def left(request, context):
    remaining = context.time_remaining()
    return b"none" if remaining is None or remaining > 1e9 else repr(remaining).encode()


def hang(request, context):
    note("Hang")
    gone = threading.Event()
    context.add_callback(gone.set)
    gone.wait(30)
    return b""


def chat(requests, context):
    note("Chat")
    for request in requests:
        yield b"re: " + request


def collect(requests, context):
    return b",".join(requests)


def spread(request, context):
    for number in range(int(request)):
        yield str(number).encode()


def health(request, context):
    return state["health"]


def set_health(request, context):
    state["health"] = request
    return b""


UNARY = {"Echo": echo, "Fail": fail, "FirstFails": first_fails, "Count": count, "Left": left, "Hang": hang, "SetHealth": set_health}


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        _, service, method = details.method.split("/")
        if service == "grpc.health.v1.Health":
            return grpc.unary_unary_rpc_method_handler(health)
        if method in UNARY:
            return grpc.unary_unary_rpc_method_handler(UNARY[method])
        return {
            "FailLate": grpc.unary_stream_rpc_method_handler(fail_late),
            "Spread": grpc.unary_stream_rpc_method_handler(spread),
            "Collect": grpc.stream_unary_rpc_method_handler(collect),
            "Chat": grpc.stream_stream_rpc_method_handler(chat),
        }.get(method)


server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), options=(("grpc.so_reuseport", 0),))
server.add_generic_rpc_handlers((Handler(),))
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
# The test closes our input when it is done.
sys.stdin.read()
server.stop(None)
