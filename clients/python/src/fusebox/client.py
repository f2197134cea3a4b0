"""What a process knows of its breakers: grants and refusals, and the outcomes that are still to be reported.

While a grant lasts, a call costs no question. One thread asks and reports for the whole process; a caller waits for it for a moment,
then goes on as if there were no breaker.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import logging
import os
import threading
import time
import weakref
from collections import deque
from typing import Any, NamedTuple, Optional, Union

from .wire import Away, Wire

# How long a call waits for an answer, by default.
PATIENCE = 0.05
# How long nobody is asked after a question without an answer: at first, and at most.
AWAY_FOR, AWAY_FOR_MAX = 0.5, 10.0
# A refusal is known for this long at most, so that a breaker that closes is noticed; while another call probes, shorter.
REFUSED_FOR, PROBING_FOR = 0.5, 0.1
# Failures of grants are reported at once, but not more often than this; successes with the next question, or this late.
BETWEEN_REPORTS, SUCCESSES_AFTER = 0.4, 0.5
# The outcomes that wait to be reported; the oldest give way.
WAITING_MAX = 20_000
# How long the end of the process waits for the last report.
FAREWELL = 0.2

log = logging.getLogger("fusebox")


class BreakerOpen(Exception):
    """The breaker refused the call, which was not made.

    name: the breaker. retry_after: whole seconds until another try has a chance; None: an operator holds it open without an end.
    reason: such as `breaker_open`, `breaker_probing` or `held_open`.
    """

    def __init__(self, name: str, retry_after: Optional[int], reason: str) -> None:
        wait = "" if retry_after is None else f"; try again in {retry_after} s"
        super().__init__(f"breaker {name!r} refused the call: {reason}{wait}")
        self.name, self.retry_after, self.reason = name, retry_after, reason

    def __reduce__(self) -> Any:
        return BreakerOpen, (self.name, self.retry_after, self.reason)


class Permit(NamedTuple):
    """The right to make one call; `text` is None where nobody could be asked."""

    name: str
    text: Optional[str]
    is_single: bool


class _Known:
    """What is known of one breaker now."""

    def __init__(self) -> None:
        self.grant: Optional[str] = None
        self.calls = self.left = 0
        self.until = 0.0
        self.refusal: Optional[tuple[Optional[int], str]] = None
        self.refused_until = 0.0
        self.asking: Optional[concurrent.futures.Future[None]] = None

    def forget(self) -> None:
        self.grant, self.refusal = None, None


class Client:
    """The breakers of one gateway. Safe to use from threads, from asyncio and after a fork."""

    def __init__(self, url: Optional[str] = None, token: Optional[str] = None, *, patience: float = PATIENCE) -> None:
        """`url` is `FUSEBOX_URL` by default, else http://127.0.0.1:9900; `unix:/PATH` is a socket. `token` is `FUSEBOX_TOKEN`.
        `patience`: the seconds that a call waits for an answer before it is made without."""
        self._url = url or os.environ.get("FUSEBOX_URL") or "http://127.0.0.1:9900"
        self._token = token or os.environ.get("FUSEBOX_TOKEN")
        self._patience = patience
        Wire(self._url, self._token)  # An address that is none is said here.
        self._begin()
        _ALL.add(self)

    def _begin(self) -> None:
        """A new process begins without grants, connection and thread: those of its parent are its parent's."""
        self._changed = threading.Condition()
        self._known: dict[str, _Known] = {}
        self._asked: deque[str] = deque()
        self._outcomes: dict[Permit, list[dict[str, Any]]] = {}
        self._waiting = 0
        self._due = float("inf")
        self._reported = 0.0
        self._away_until, self._away_for, self._is_away = 0.0, AWAY_FOR, False
        self._thread: Optional[threading.Thread] = None
        self._is_closing = False

    # The way of a call.

    def take(self, name: str) -> Permit:
        """Waits at most `patience` for the right to make one call. Raises BreakerOpen."""
        until = time.monotonic() + self._patience
        while True:
            found = self._look(name, until)
            if isinstance(found, Permit):
                return found
            try:
                found.result(max(0.0, until - time.monotonic()))
            except (Away, concurrent.futures.TimeoutError, concurrent.futures.CancelledError):
                return self._unguarded(name, found)

    async def take_soon(self, name: str) -> Permit:
        """The same without blocking the event loop."""
        until = time.monotonic() + self._patience
        while True:
            found = self._look(name, until)
            if isinstance(found, Permit):
                return found
            try:
                waiting = asyncio.shield(asyncio.wrap_future(found))
                await asyncio.wait_for(waiting, max(0.0, until - time.monotonic()))
            except (Away, asyncio.TimeoutError):
                return self._unguarded(name, found)

    def _look(self, name: str, until: float) -> Union[Permit, "concurrent.futures.Future[None]"]:
        """A permit, or the question whose answer decides."""
        now = time.monotonic()
        with self._changed:
            known = self._known.setdefault(name, _Known())
            if known.grant is not None and known.left > 0 and now < known.until:
                known.left -= 1
                return Permit(name, known.grant, known.calls == 1)
            if known.refusal is not None and now < known.refused_until:
                raise BreakerOpen(name, *known.refusal)
            if now < self._away_until or now >= until or self._is_closing:
                return Permit(name, None, True)
            if known.asking is None:
                known.asking = concurrent.futures.Future()
                self._asked.append(name)
                self._wake()
            return known.asking

    def _unguarded(self, name: str, asked: "concurrent.futures.Future[None]") -> Permit:
        """A call without an answer. Nobody else waits for one that is late."""
        with self._changed:
            if not asked.done():
                self._goes_away(f"no answer within {self._patience * 1000:.0f} ms")
        return Permit(name, None, True)

    def report(self, permit: Permit, ok: bool, seconds: float, kind: str = "") -> None:
        """Notes how a call ended; never waits."""
        outcome: dict[str, Any] = {"ok": ok, "ms": round(seconds * 1000, 3)}
        if kind:
            outcome["kind"] = kind[:64]
        now = time.monotonic()
        with self._changed:
            # Of a call that nobody was asked about, the outcome may still be told, but not to somebody who is away.
            if permit.text is None and (now < self._away_until or self._is_closing):
                return
            if self._waiting >= WAITING_MAX:
                oldest = next(iter(self._outcomes))
                self._waiting -= len(self._outcomes.pop(oldest))
            self._outcomes.setdefault(permit, []).append(outcome)
            self._waiting += 1
            if permit.is_single and permit.text is not None:
                due = now
            else:
                due = now + SUCCESSES_AFTER if ok else max(now, self._reported + BETWEEN_REPORTS)
            if due < self._due:
                self._due = due
                self._wake()

    # The thread.

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="fusebox", daemon=True)
            self._thread.start()
        self._changed.notify()

    def _run(self) -> None:
        wire = Wire(self._url, self._token)
        while True:
            with self._changed:
                while not self._asked and not self._is_closing and time.monotonic() < self._due:
                    wait = self._due - time.monotonic()
                    self._changed.wait(None if wait == float("inf") else max(0.0, wait))
                name = self._asked.popleft() if self._asked else None
                if name is None and self._is_closing and not self._outcomes:
                    wire.close()
                    return
            if name is not None:
                self._ask(wire, name)
            # Outcomes go along with a question, so that a healthy process has four round trips a second.
            self._send(wire)

    def _ask(self, wire: Wire, name: str) -> None:
        began = time.monotonic()
        try:
            answer = wire.post(name, "check", {})
            with self._changed:
                known = self._known[name]
                known.forget()
                if answer["tripped"] is False:
                    known.grant = str(answer["permit"])
                    known.calls = known.left = int(answer["calls"])
                    known.until = began + int(answer["valid_for_ms"]) / 1000
                elif answer["tripped"] is True:
                    self._refused(known, answer)
                else:
                    raise ValueError("`tripped` is neither true nor false")
                self._is_here()
                asking, known.asking = known.asking, None
            if asking is not None:
                asking.set_result(None)
        except (Away, KeyError, TypeError, ValueError) as error:
            with self._changed:
                self._goes_away(f"{error}" if isinstance(error, Away) else f"no answer of Fusebox: {error!r}")
                asking, self._known[name].asking = self._known[name].asking, None
            if asking is not None:
                asking.set_exception(Away(str(error)))

    def _send(self, wire: Wire) -> None:
        with self._changed:
            batches, self._outcomes = self._outcomes, {}
            self._waiting, self._due = 0, float("inf")
        for permit, outcomes in batches.items():
            body: dict[str, Any] = {"outcomes": outcomes}
            if permit.text is not None:
                body["permit"] = permit.text
            try:
                answer = wire.post(permit.name, "report", body)
            except Away as error:
                # Their breaker forgets them, as it forgets those of a process that has died.
                with self._changed:
                    self._goes_away(str(error))
                break
            with self._changed:
                self._reported = time.monotonic()
                self._is_here()
                if answer.get("tripped") is True:
                    known = self._known[permit.name]
                    known.forget()
                    self._refused(known, answer)

    def _refused(self, known: _Known, answer: dict[str, Any]) -> None:
        wait, reason = answer.get("retry_after"), str(answer.get("reason"))
        known.refusal = (wait if isinstance(wait, int) else None, reason)
        kept = PROBING_FOR if reason == "breaker_probing" else REFUSED_FOR
        known.refused_until = time.monotonic() + kept

    def _goes_away(self, why: str) -> None:
        now = time.monotonic()
        if now < self._away_until:
            return
        if not self._is_away:
            log.warning("fusebox at %s cannot be asked, so calls are made unguarded: %s", self._url, why)
        self._is_away = True
        self._away_until = now + self._away_for
        self._away_for = min(2 * self._away_for, AWAY_FOR_MAX)

    def _is_here(self) -> None:
        if self._is_away:
            log.info("fusebox at %s answers again", self._url)
        self._away_until, self._away_for, self._is_away = 0.0, AWAY_FOR, False

    def close(self, within: float = FAREWELL) -> None:
        """Reports what is left, within that many seconds; calls are then made unguarded."""
        with self._changed:
            self._is_closing = True
            thread = self._thread
            self._changed.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join(within)


_ALL: "weakref.WeakSet[Client]" = weakref.WeakSet()
_default: Optional[Client] = None
_default_lock = threading.Lock()


def configure(url: Optional[str] = None, token: Optional[str] = None, *, patience: float = PATIENCE) -> Client:
    """Sets the client of breakers that are given none, and returns it."""
    global _default
    client = Client(url, token, patience=patience)
    with _default_lock:
        _default = client
    return client


def default() -> Client:
    """The client of breakers that are given none."""
    global _default
    with _default_lock:
        if _default is None:
            _default = Client()
        return _default


def _forked() -> None:
    global _default_lock
    _default_lock = threading.Lock()
    for client in list(_ALL):
        client._begin()


def _farewell() -> None:
    until = time.monotonic() + FAREWELL
    for client in list(_ALL):
        client.close(max(0.0, until - time.monotonic()))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
atexit.register(_farewell)
