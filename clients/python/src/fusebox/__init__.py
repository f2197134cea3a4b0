"""Circuit breakers that all processes share.

    from fusebox import breaker, BreakerOpen

    with breaker("stripe"):
        charge()

A process asks Fusebox before its calls and reports how they ended (docs/service.md). If Fusebox cannot be reached within 50 ms, calls
are made as if there were no breaker.
"""

from .breaker import Breaker, BreakerOpen, breaker
from .client import Client, configure

__all__ = ["Breaker", "BreakerOpen", "Client", "breaker", "configure"]
