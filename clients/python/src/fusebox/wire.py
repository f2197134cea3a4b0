"""One kept connection to the API of a gateway, over TCP or a Unix socket. Used by one thread."""

from __future__ import annotations

import http.client
import json
import select
import socket
from typing import Any, Optional
from urllib.parse import quote, urlsplit

# How long the other side may take for one answer. A caller does not wait for so long: see client.PATIENCE.
ANSWER_WITHIN = 2.0
# The longest answer that is read.
BYTES_MAX = 1 << 20


class Away(Exception):
    """The gateway could not be asked, or its answer is no answer of Fusebox."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=ANSWER_WITHIN)
        self._path = path

    def connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(self.timeout)
        try:
            sock.connect(self._path)
        except OSError:
            sock.close()
            raise
        self.sock = sock


class Wire:
    """A connection that is opened when it is needed."""

    def __init__(self, url: str, token: Optional[str]) -> None:
        self._fields = {"Content-Type": "application/json"}
        if token:
            self._fields["Authorization"] = f"Bearer {token}"
        self._prefix = ""
        self._connection: http.client.HTTPConnection
        if url.startswith("unix:"):
            self._connection = _UnixConnection(url[len("unix:"):])
            return
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"the address of Fusebox is {url!r}; expected http://HOST:PORT, https://HOST or unix:/PATH")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=ANSWER_WITHIN)
        self._prefix = parts.path.rstrip("/")

    def post(self, name: str, word: str, body: Any) -> dict[str, Any]:
        """Answers to POST /api/v1/calls/NAME/WORD. Raises Away."""
        connection = self._connection
        try:
            if connection.sock is not None and _has_ended(connection.sock):
                connection.close()
            path = f"{self._prefix}/api/v1/calls/{quote(name, safe='')}/{word}"
            connection.request("POST", path, body=json.dumps(body), headers=self._fields)
            answer = connection.getresponse()
            text = answer.read(BYTES_MAX)
            if answer.status != 200:
                raise Away(f"{word} of {name!r}: {answer.status} {text[:200]!r}")
            read = json.loads(text)
        except Away:
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            # What has been read of it is of no use to another question.
            connection.close()
            raise Away(str(error) or type(error).__name__) from error
        if not isinstance(read, dict):
            raise Away(f"{word} of {name!r}: not an object: {text[:200]!r}")
        return read

    def close(self) -> None:
        self._connection.close()


def _has_ended(sock: socket.socket) -> bool:
    """True if an idle connection was closed, so that a question on it would be lost."""
    # Not select(), which knows no descriptor above 1023.
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
