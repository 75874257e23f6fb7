"""What the end-to-end tests share: a network of one validator, and plain HTTP against it.

Standard library only. Every test starts its own network in a temporary folder, on ports that the
kernel chooses, and ends the processes that it started by their id.
"""
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse


def fail(text):
    print("FAILED:", text, file=sys.stderr)
    sys.exit(1)


def check(condition, text):
    if not condition:
        fail(text)


def full():
    return os.environ.get("CAIRN_FULL") == "1"


class Network:
    """One validator. `with Network(build) as net: ...` removes everything at the end."""

    def __init__(self, build, preset="bench", load_keys=100, extra=()):
        self.cairn = os.path.join(build, "cairn")
        self.root = tempfile.mkdtemp(prefix="cairn-e2e-")
        self.net = os.path.join(self.root, "net")
        self.home = os.path.join(self.net, "node0")
        self.seed = os.path.join(self.net, "load.seed")
        self.log = os.path.join(self.root, "node.log")
        self.node = None
        self.url = None
        self.run("testnet", "--validators", "1", "--output-dir", self.net, "--preset", preset, "--base-port", "0",
                 "--load-keys", str(load_keys), *extra)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.kill()
        if kind is not None and os.path.exists(self.log):
            with open(self.log, errors="replace") as log:
                sys.stderr.write("".join(log.readlines()[-40:]))
        if os.environ.get("CAIRN_KEEP") != "1":
            shutil.rmtree(self.root, ignore_errors=True)
        else:
            print("kept:", self.root)

    def run(self, *arguments, good=(0,), text=True, **more):
        done = subprocess.run([self.cairn, *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=text, check=False, **more)
        if good is not None and done.returncode not in good:
            fail("cairn %s: exit %d\n%s%s" % (" ".join(arguments), done.returncode,
                                              done.stdout[-2000:], done.stderr[-2000:]))
        return done

    def run_json(self, *arguments, good=(0,)):
        return json.loads(self.run(*arguments, "--json", good=good).stdout)

    def start(self, *arguments, wait=20.0):
        """Starts the node and answers the seconds until it was ready."""
        api = os.path.join(self.home, "run", "api")
        if os.path.exists(api):
            os.unlink(api)
        begin = time.monotonic()
        with open(self.log, "ab") as log:
            self.node = subprocess.Popen([self.cairn, "start", "--home", self.home, *arguments],
                                         stdout=log, stderr=log)
        while time.monotonic() < begin + wait:
            if self.node.poll() is not None:
                fail("the node ended with %s" % self.node.returncode)
            if os.path.exists(api):
                with open(api) as file:
                    self.url = file.read().strip()
                if self.url and self.get("/readyz", raw=True)[0] == 200:
                    return time.monotonic() - begin
            time.sleep(0.005)
        fail("the node is not ready after %s s" % wait)

    def kill(self):
        """The power cord of the process: SIGKILL, by its id."""
        if self.node and self.node.poll() is None:
            self.node.send_signal(signal.SIGKILL)
            self.node.wait()
        self.node = None

    def stop(self):
        self.node.send_signal(signal.SIGTERM)
        code = self.node.wait(timeout=30)
        self.node = None
        check(code == 0, "the node stopped with exit %d" % code)

    # ---- HTTP ----

    def connect(self, timeout=30):
        parts = urllib.parse.urlsplit(self.url)
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)

    def request(self, method, path, body=None, headers=None):
        connection = self.connect()
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        except (OSError, http.client.HTTPException):
            return 0, b"", {}
        finally:
            connection.close()

    def get(self, path, raw=False, headers=None):
        status, body, _ = self.request("GET", path, headers=headers)
        return (status, body) if raw else (status, json.loads(body) if body else None)

    def data(self, path):
        status, answer = self.get(path)
        check(status == 200, "GET %s: %s %s" % (path, status, answer))
        return answer["data"]

    def pages(self, path):
        """Every element of a paged list."""
        cursor, glue = None, "&" if "?" in path else "?"
        while True:
            more = "" if cursor is None else "&cursor=" + urllib.parse.quote(cursor)
            status, answer = self.get("%s%slimit=500%s" % (path, glue, more))
            check(status == 200, "GET %s: %s %s" % (path, status, answer))
            yield from answer["data"]
            cursor = answer["page"]["next"]
            if cursor is None:
                return

    def height(self):
        return int(self.get("/v1/status")[1]["meta"]["height"])
