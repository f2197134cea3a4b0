"""A breaker around a block, a function or a coroutine."""

from __future__ import annotations

import functools
import inspect
import time
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Awaitable, Callable, Optional, Tuple, Type, TypeVar, Union, cast

from . import client as _client
from .client import BreakerOpen, Client, Permit

__all__ = ["Breaker", "BreakerOpen", "breaker"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
Failure = Union[Type[BaseException], Tuple[Type[BaseException], ...], Callable[[BaseException], bool]]

# The calls that this thread or task is in, the innermost last.
_entered: ContextVar[Tuple[Tuple[Permit, float], ...]] = ContextVar("fusebox", default=())


class Breaker:
    """Before a block (`with`, `async with`), a function (`@`, `call`) or a coroutine (`@`, `acall`).

    `failure` says which exceptions are the service's failures: a type, types, or a function; by default every Exception. Another
    Exception is an answer of the service, and counts as a success. What is no Exception (a cancelled task, Ctrl-C) counts as nothing.
    """

    def __init__(self, name: str, *, failure: Failure = Exception, client: Optional[Client] = None) -> None:
        self.name = name
        self._failure = failure
        self._client = client

    def _asked(self) -> Client:
        return self._client or _client.default()

    def __enter__(self) -> "Breaker":
        self._enter(self._asked().take(self.name))
        return self

    async def __aenter__(self) -> "Breaker":
        self._enter(await self._asked().take_soon(self.name))
        return self

    def _enter(self, permit: Permit) -> None:
        _entered.set((*_entered.get(), (permit, time.monotonic())))

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        *outer, (permit, began) = _entered.get()
        _entered.set(tuple(outer))
        seconds = time.monotonic() - began
        if error is None:
            self._asked().report(permit, True, seconds)
        elif self._is_failure(error):
            self._asked().report(permit, False, seconds, _kind(error))
        elif isinstance(error, Exception):
            self._asked().report(permit, True, seconds)

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.__exit__(kind, error, trace)

    def _is_failure(self, error: BaseException) -> bool:
        # A refusal of a breaker further in says nothing of this one's service.
        if isinstance(error, BreakerOpen):
            return False
        failure = self._failure
        if isinstance(failure, (type, tuple)):
            return isinstance(error, failure)
        return failure(error)

    def call(self, function: Callable[..., T], *args: Any, **named: Any) -> T:
        """Calls a function if the breaker lets it."""
        with self:
            return function(*args, **named)

    async def acall(self, function: Callable[..., Awaitable[T]], *args: Any, **named: Any) -> T:
        """Awaits a coroutine function if the breaker lets it."""
        async with self:
            return await function(*args, **named)

    def __call__(self, function: F) -> F:
        """The function with this breaker before it."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def guarded_soon(*args: Any, **named: Any) -> Any:
                return await self.acall(function, *args, **named)

            return cast(F, guarded_soon)

        @functools.wraps(function)
        def guarded(*args: Any, **named: Any) -> Any:
            return self.call(function, *args, **named)

        return cast(F, guarded)


def breaker(name: str, *, failure: Failure = Exception, client: Optional[Client] = None) -> Breaker:
    """The breaker of that name: one of `breakers:` in the gateway's file, or an upstream."""
    return Breaker(name, failure=failure, client=client)


def _kind(error: BaseException) -> str:
    return "timeout" if isinstance(error, TimeoutError) else type(error).__name__
