"""A real gateway for the tests: the program that FUSEBOX_PROGRAM names, with a file of breakers alone."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import time
import urllib.request

PROGRAM = os.environ.get("FUSEBOX_PROGRAM") or str(pathlib.Path(__file__).parents[3] / "target/debug/fusebox")
# For what happens soon on a machine that is busy.
PATIENCE = 30


class Gateway:
    def __init__(self, breakers, port=0):
        self.dir = tempfile.TemporaryDirectory()
        path = pathlib.Path(self.dir.name)
        (path / "fusebox.yaml").write_text(f"breakers: {breakers}\n")
        self.log = path / "log"
        command = [PROGRAM, "run", str(path / "fusebox.yaml"), "--admin", f"127.0.0.1:{port},unix:{path}/admin.sock",
                   "--store", "memory:", "--workers", "1", "--log", "json"]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stderr=log, cwd=path)
        found = until(lambda: re.search(r"127\.0\.0\.1:([1-9]\d*)", self.log.read_text()))
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.socket = f"unix:{path}/admin.sock"
        until(self.is_ready)

    def is_ready(self):
        try:
            return urllib.request.urlopen(self.url + "/readyz", timeout=5).status == 200
        except OSError:
            return False

    def breaker(self, name):
        return json.load(urllib.request.urlopen(f"{self.url}/api/v1/breakers/{name}", timeout=PATIENCE))

    def act(self, name, word):
        fields = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/v1/breakers/{name}/{word}", b"{}", fields)
        urllib.request.urlopen(request, timeout=PATIENCE).read()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.dir.cleanup()


def until(holds):
    """What `holds` returns as soon as that is something."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")
