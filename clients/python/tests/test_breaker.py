"""The client before a real gateway, and before some that are none."""

import asyncio
import multiprocessing
import os
import socket
import threading
import time
import unittest

from fusebox import Breaker, BreakerOpen, Client, breaker
from gateway import Gateway, PATIENCE, until

FIVE = "{ stripe: { trip: { consecutive_failures: 5 }, cooldown: 60s } }"
SOON = "{ stripe: { trip: { consecutive_failures: 1 }, cooldown: 1s, half_open: { probe_timeout: 60s } } }"


class Down(Exception):
    """A failure of the service."""


def patient(url):
    """A client that waits for a gateway that has much to do."""
    return Client(url, patience=PATIENCE)


def fail(guard):
    try:
        with guard:
            raise Down
    except (Down, BreakerOpen):
        pass


def is_refused(guard):
    try:
        with guard:
            return False
    except BreakerOpen:
        return True


class Counting(Client):
    """Counts its round trips."""

    def _run(self):
        from fusebox import client

        real, trips = client.Wire, self.trips = client.Wire, []

        class Wire(real):
            def post(self, name, word, body):
                trips.append(word)
                return super().post(name, word, body)

        client.Wire = Wire
        try:
            super()._run()
        finally:
            client.Wire = real


def one_failure(url, ready, go, look, done):
    guard = breaker("stripe", client=patient(url))
    with guard:
        pass
    ready.release()
    go.wait(PATIENCE)
    fail(guard)
    look.wait(PATIENCE)
    done.put(bool(until(lambda: is_refused(guard))))


class BeforeAGateway(unittest.TestCase):
    def test_failures_of_eight_processes_open_it_for_all(self):
        context = multiprocessing.get_context("fork")
        with Gateway(FIVE) as gateway:
            ready, go, look, done = context.Semaphore(0), context.Event(), context.Event(), context.Queue()
            given = (gateway.url, ready, go, look, done)
            processes = [context.Process(target=one_failure, args=given) for _ in range(8)]
            for process in processes:
                process.start()
            for _ in processes:
                self.assertTrue(ready.acquire(timeout=PATIENCE))
            # A success that is told behind a failure would break the row.
            until(lambda: gateway.breaker("stripe")["counts"]["success"] == 8)
            go.set()
            until(lambda: gateway.breaker("stripe")["state"] == "open")
            look.set()
            self.assertEqual([done.get(timeout=PATIENCE) for _ in processes], [True] * 8)
            for process in processes:
                process.join(PATIENCE)
            self.assertEqual(gateway.breaker("stripe")["state"], "open")
            # The machine counts to the threshold; what comes behind it is late.
            self.assertEqual(len(gateway.breaker("stripe")["last_failures"]), 5)

    def test_four_failures_do_not(self):
        with Gateway(FIVE) as gateway:
            guard = breaker("stripe", client=patient(gateway.url))
            for _ in range(4):
                fail(guard)
            until(lambda: len(gateway.breaker("stripe")["last_failures"]) == 4)
            self.assertFalse(is_refused(guard))

    def test_half_open_lets_one_through(self):
        with Gateway(SOON) as gateway:
            clients = [patient(gateway.url) for _ in range(4)]
            guards = [breaker("stripe", client=client) for client in clients]
            fail(guards[0])
            until(lambda: gateway.breaker("stripe")["state"] == "open")
            inside, let_go, refused = threading.Semaphore(0), threading.Event(), []

            def attempt(guard):
                def is_in():
                    try:
                        with guard:
                            inside.release()
                            let_go.wait(PATIENCE)
                        return True
                    except BreakerOpen as error:
                        refused.append(error.reason)
                        return let_go.is_set()

                until(is_in)

            threads = [threading.Thread(target=attempt, args=(guard,)) for guard in guards]
            for thread in threads:
                thread.start()
            self.assertTrue(inside.acquire(timeout=PATIENCE))
            until(lambda: refused.count("breaker_probing") >= 20)
            self.assertFalse(inside.acquire(blocking=False), "one probe at a time")
            let_go.set()
            for thread in threads:
                thread.join(PATIENCE)
            until(lambda: gateway.breaker("stripe")["state"] == "closed")

    def test_a_thousand_calls_a_second_take_five_round_trips(self):
        with Gateway(FIVE) as gateway:
            client = Counting(gateway.url, patience=PATIENCE)
            guard = breaker("stripe", client=client)
            began, calls = time.monotonic(), 0
            while time.monotonic() - began < 2:
                with guard:
                    calls += 1
                time.sleep(0.0008)
            took = time.monotonic() - began
            self.assertGreater(calls, 200)
            self.assertLessEqual(len(client.trips), 5 * took + 2, client.trips)
            client.close()
            counted = gateway.breaker("stripe")["counts"]["success"]
            self.assertEqual(counted, calls)

    def test_a_gateway_that_is_killed_costs_the_application_no_error(self):
        with Gateway(FIVE) as gateway:
            guard = breaker("stripe", client=patient(gateway.url))
            with guard:
                gateway.kill()
            began = time.monotonic()
            for _ in range(1000):
                with guard:
                    pass
            self.assertLess(time.monotonic() - began, 5)

    def test_a_gateway_that_comes_back_is_asked_again(self):
        with Gateway(FIVE) as gateway:
            guard = breaker("stripe", client=patient(gateway.url))
            self.assertFalse(is_refused(guard))
            port = gateway.port
            gateway.kill()
            until(lambda: guard._asked().take("stripe").text is None)
            with Gateway(FIVE, port) as again:
                again.act("stripe", "open")
                until(lambda: is_refused(guard))

    def test_a_hold_without_an_end_has_no_time_to_come_back(self):
        with Gateway(FIVE) as gateway:
            gateway.act("stripe", "open")
            with self.assertRaises(BreakerOpen) as caught:
                with breaker("stripe", client=patient(gateway.socket)):
                    pass
            self.assertEqual((caught.exception.retry_after, caught.exception.reason), (None, "held_open"))

    def test_a_name_that_the_gateway_does_not_know_is_said_and_calls_go_on(self):
        with Gateway(FIVE) as gateway, self.assertLogs("fusebox", "WARNING") as logged:
            self.assertFalse(is_refused(breaker("strip", client=patient(gateway.url))))
            self.assertIn("404", logged.output[0])

    def test_a_child_has_nothing_of_its_parent(self):
        with Gateway(FIVE) as gateway:
            client = patient(gateway.url)
            guard = breaker("stripe", client=client)
            with guard:
                pass
            context = multiprocessing.get_context("fork")
            found = context.Queue()

            def child():
                found.put(len(client._known))
                found.put(is_refused(guard))
                found.put(client.take("stripe").text)

            process = context.Process(target=child)
            process.start()
            self.assertEqual(found.get(timeout=PATIENCE), 0)
            self.assertFalse(found.get(timeout=PATIENCE))
            self.assertNotIn(found.get(timeout=PATIENCE), (None, client.take("stripe").text))
            process.join(PATIENCE)

    def test_coroutines(self):
        with Gateway(FIVE) as gateway:
            guard = breaker("stripe", client=patient(gateway.url))

            @guard
            async def charge(ok):
                await asyncio.sleep(0)
                if not ok:
                    raise Down
                return 7

            async def run():
                self.assertEqual(await asyncio.gather(*(charge(True) for _ in range(50))), [7] * 50)
                ends = await asyncio.gather(*(charge(False) for _ in range(5)), return_exceptions=True)
                self.assertEqual([type(end) for end in ends], [Down] * 5)
                async with guard:
                    pass

            with self.assertRaises(BreakerOpen):
                asyncio.run(run())
                until(lambda: is_refused(guard) and asyncio.run(charge(True)))

    def test_what_counts(self):
        with Gateway(FIVE) as gateway:
            client = patient(gateway.url)
            guard = Breaker("stripe", failure=(Down, TimeoutError), client=client)

            def end(error):
                try:
                    guard.call(lambda: (_ for _ in ()).throw(error))
                except BaseException:
                    pass

            end(ValueError("an answer that says no"))
            end(KeyboardInterrupt())
            end(BreakerOpen("other", 1, "breaker_open"))
            end(TimeoutError())
            client.close()
            shown = gateway.breaker("stripe")
            self.assertEqual((shown["counts"]["success"], shown["counts"]["failure"]), (2, 1))
            self.assertEqual(shown["last_failures"][0]["error"], "timeout")


class BeforeNoGateway(unittest.TestCase):
    def server(self, answer):
        """A server that answers each connection so; its address."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    def test_one_that_hangs_costs_little_and_seldom(self):
        url = self.server(lambda connection: time.sleep(PATIENCE))
        guard = breaker("stripe", client=Client(url))
        began = time.monotonic()
        self.assertFalse(is_refused(guard))
        # 50 ms, on a machine that may be busy.
        self.assertLess(time.monotonic() - began, 1)
        waits = []
        for _ in range(200):
            before = time.monotonic()
            self.assertFalse(is_refused(guard))
            waits.append(time.monotonic() - before)
        self.assertLess(sorted(waits)[150], 0.02)

    def test_ones_that_answer_nonsense_refuse_nothing(self):
        head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s"
        bodies = [b"", b"null", b"[]", b"{}", b'{"tripped":0}', b'{"tripped":false}', b'{"tripped":false,"permit":"x","calls":"y"}', b"\xff"]
        answers = [head % (len(body), body) for body in bodies] + [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"]
        for answer in answers:

            def say(connection, answer=answer):
                connection.recv(4096)
                connection.sendall(answer)
                connection.close()

            self.assertFalse(is_refused(breaker("stripe", client=Client(self.server(say)))), answer)

    def test_an_address_that_is_none_is_said_at_once(self):
        with self.assertRaisesRegex(ValueError, "expected http://HOST:PORT"):
            Client("localhost:9900")


if __name__ == "__main__":
    unittest.main()
