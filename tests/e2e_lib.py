"""What the end-to-end tests share: networks of one or several nodes, and plain HTTP against them.

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


def reported(path, seen):
    """Ids that the load generator has seen committed since the last call, whole lines only."""
    if not os.path.exists(path):
        return []
    with open(path) as file:
        fresh = [line.strip() for line in file if line.endswith("\n")]
    fresh = [line for line in fresh if line not in seen]
    seen.update(fresh)
    return fresh


class Node:
    """One process `cairn start` on a data directory. `enter`: what stands before the command (ip netns exec ...)."""

    def __init__(self, cairn, home, log, enter=()):
        self.cairn = cairn
        self.home = home
        self.log = log
        self.enter = list(enter)
        self.node = None
        self.url = None

    def run(self, *arguments, good=(0,), text=True, **more):
        done = subprocess.run([self.cairn, *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=text, check=False, **more)
        if good is not None and done.returncode not in good:
            fail("cairn %s: exit %d\n%s%s" % (" ".join(arguments), done.returncode,
                                              done.stdout[-2000:], done.stderr[-2000:]))
        return done

    def run_json(self, *arguments, good=(0,)):
        return json.loads(self.run(*arguments, "--json", good=good).stdout)

    def is_running(self):
        return self.node is not None and self.node.poll() is None

    def begin(self, *arguments):
        """Starts the process and does not wait for it."""
        api = os.path.join(self.home, "run", "api")
        if os.path.exists(api):
            os.unlink(api)
        with open(self.log, "ab") as log:
            self.node = subprocess.Popen([*self.enter, self.cairn, "start", "--home", self.home, *arguments],
                                         stdout=log, stderr=log)

    def wait_listening(self, wait=20.0, ready=False):
        """Until it answers requests (ready: and takes transactions); the seconds that took."""
        api = os.path.join(self.home, "run", "api")
        begin = time.monotonic()
        while time.monotonic() < begin + wait:
            if self.node.poll() is not None:
                fail("the node ended with %s" % self.node.returncode)
            if os.path.exists(api):
                with open(api) as file:
                    self.url = file.read().strip()
                if self.url and self.get("/readyz" if ready else "/livez", raw=True)[0] == 200:
                    return time.monotonic() - begin
            time.sleep(0.005)
        fail("the node of %s is not %s after %s s" % (self.home, "ready" if ready else "there", wait))

    def start(self, *arguments, wait=20.0):
        """Starts the node and answers the seconds until it was ready."""
        self.begin(*arguments)
        return self.wait_listening(wait, ready=True)

    def kill(self):
        """The power cord of the process: SIGKILL, by its id."""
        if self.node and self.node.poll() is None:
            self.node.send_signal(signal.SIGKILL)
            self.node.wait()
        self.node = None

    def stop(self):
        self.node.send_signal(signal.SIGTERM)
        code = self.node.wait(timeout=60)
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


class Network(Node):
    """One validator. `with Network(build) as net: ...` removes everything at the end."""

    def __init__(self, build, preset="bench", load_keys=100, extra=()):
        self.root = tempfile.mkdtemp(prefix="cairn-e2e-")
        self.net = os.path.join(self.root, "net")
        self.seed = os.path.join(self.net, "load.seed")
        super().__init__(os.path.join(build, "cairn"), os.path.join(self.net, "node0"),
                         os.path.join(self.root, "node.log"))
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


class Cluster:
    """Several validators and observers. `with Cluster(build, 4) as net: ...` removes everything at the end."""

    def __init__(self, build, validators, observers=0, preset="bench", load_keys=100, extra=(), enter=None):
        self.root = tempfile.mkdtemp(prefix="cairn-net-")
        self.net = os.path.join(self.root, "net")
        self.seed = os.path.join(self.net, "load.seed")
        cairn = os.path.join(build, "cairn")
        self.nodes = [Node(cairn, os.path.join(self.net, "node%d" % i), os.path.join(self.root, "node%d.log" % i),
                           enter(i) if enter else ())
                      for i in range(validators + observers)]
        self.validators = self.nodes[:validators]
        self.observers = self.nodes[validators:]
        self.nodes[0].run("testnet", "--validators", str(validators), "--observers", str(observers),
                          "--output-dir", self.net, "--preset", preset, "--base-port", "0",
                          "--load-keys", str(load_keys), *extra)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for node in self.nodes:
            node.kill()
        if kind is not None:
            for node in self.nodes:
                if os.path.exists(node.log):
                    with open(node.log, errors="replace") as log:
                        sys.stderr.write("== %s\n%s" % (node.home, "".join(log.readlines()[-30:])))
        if os.environ.get("CAIRN_KEEP") != "1":
            shutil.rmtree(self.root, ignore_errors=True)
        else:
            print("kept:", self.root)

    def start(self, nodes=None, wait=60.0):
        """Starts nodes together and waits until all of them are ready."""
        nodes = self.nodes if nodes is None else nodes
        for node in nodes:
            node.begin()
        for node in nodes:
            node.wait_listening(wait, ready=True)

    def heights(self, nodes=None):
        return [node.height() for node in (self.nodes if nodes is None else nodes) if node.is_running()]

    def wait_height(self, height, nodes=None, wait=120.0):
        """Until every running node has this height."""
        end = time.monotonic() + wait
        while time.monotonic() < end:
            heights = self.heights(nodes)
            if heights and min(heights) >= height:
                return
            time.sleep(0.05)
        fail("heights %s, wanted %d" % (self.heights(nodes), height))

    def load(self, node, txs, *more, keys=100, check_exit=True):
        """Sends transfers to one node until all are committed; the report of the load generator."""
        done = node.run("bench", "tx", "--node", node.url, "--keys-file", self.seed, "--keys", str(keys),
                        "--txs", str(txs), "--no-progress", "--json", *more, good=(0,) if check_exit else None)
        return json.loads(done.stdout) if done.stdout else {}

    def stop(self):
        for node in self.nodes:
            if node.is_running():
                node.stop()

    def audit(self):
        """Audits every node's log from genesis: no violation, the same root at every common height; and the files
        of the chain log hold the same bytes as far as both go."""
        roots, count = {}, 0
        for node in self.nodes:
            lines = node.run("audit", "replay", "--home", node.home, "--print-roots", "--json").stdout.splitlines()
            for line in lines:
                entry = json.loads(line)
                if "violations" in entry:
                    check(entry["violations"] == "0", "the audit of %s found %s" % (node.home, entry))
                    continue
                known = roots.setdefault(entry["height"], (entry["block"], entry["root"]))
                check(known == (entry["block"], entry["root"]), "two roots at height %s" % entry["height"])
                count += 1
        check(count > 0, "no roots to compare")
        for node in self.nodes[1:]:
            compare_logs(self.nodes[0].home, node.home)
        return count


def compare_logs(a, b):
    """Segments of record of two stopped nodes, byte by byte as far as both go."""
    a, b = os.path.join(a, "data", "log"), os.path.join(b, "data", "log")
    both = sorted(name for name in os.listdir(a) if name.startswith("seg-") and os.path.exists(os.path.join(b, name)))
    check(both, "%s and %s have no segment in common" % (a, b))
    for name in both:
        with open(os.path.join(a, name), "rb") as one, open(os.path.join(b, name), "rb") as other:
            left, right = one.read(), other.read()
        shared = min(len(left), len(right))
        check(left[:shared] == right[:shared], "%s differs between %s and %s" % (name, a, b))
