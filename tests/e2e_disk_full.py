"""A 64 MiB disk under data/ fills up while the node runs under load, by a foreign file.

The node says so, refuses transactions, then signs nothing; it keeps answering, and goes on by itself when
the file is gone. With marks of 0 it meets the full disk unwarned, waits, and is killed while it waits. What
was reported committed is there at the end, and the audit finds nothing.
"""
import json
import os
import random
import subprocess
import sys
import time

from e2e_lib import Network, check, fail

MIB = 1 << 20
MARKS = ("--storage.warn-bytes", "24MiB", "--storage.refuse-bytes", "16MiB", "--storage.stop-bytes", "8MiB")
NO_MARKS = ("--storage.warn-bytes", "0", "--storage.refuse-bytes", "0", "--storage.stop-bytes", "0")


class Full:
    def __init__(self, net):
        self.net, self.data = net, os.path.join(net.home, "data")
        self.foreign = os.path.join(self.data, "foreign")
        self.committed = os.path.join(net.root, "committed")
        os.makedirs(self.data, exist_ok=True)
        subprocess.run(["mount", "-o", "loop", os.environ["CAIRN_DISK_IMAGE"], self.data], check=True)

    def free(self):
        info = os.statvfs(self.data)
        return info.f_bavail * info.f_frsize

    def leave(self, count):
        """The foreign file grows until `count` bytes are free."""
        subprocess.run(["fallocate", "-o", str(os.path.getsize(self.foreign) if os.path.exists(self.foreign) else 0),
                        "-l", str(max(4096, self.free() - count)), self.foreign], check=True)

    def fill(self):
        """It takes every block there is."""
        with open(self.foreign, "ab", buffering=0) as file:
            for size in (MIB, 4096):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    pass

    def empty(self):
        os.unlink(self.foreign)

    def load(self):
        return subprocess.Popen([self.net.cairn, "bench", "tx", "--node", self.net.url, "--keys-file",
                                 self.net.seed, "--keys", "64", "--txs", "100000", "--batch", "16", "--rate", "400",
                                 "--no-progress", "--timeout", "5s", "--committed-file", self.committed],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def reported(self):
        if not os.path.exists(self.committed):
            return []
        with open(self.committed) as file:
            return [line.strip() for line in file if line.endswith("\n")]

    def wait_state(self, *states, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            check(self.net.node.poll() is None, "the node ended with %s" % self.net.node.returncode)
            status, answer = self.net.get("/v1/status")
            if status == 200 and answer["data"]["disk"] in states:
                return answer["data"]
            time.sleep(0.05)
        fail("disk is not %s after %d s: %s" % (states, seconds, answer))

    def wait_reported(self, count, seconds=60):
        end = time.monotonic() + seconds
        while len(self.reported()) < count:
            check(time.monotonic() < end, "only %d transactions were committed" % len(self.reported()))
            time.sleep(0.05)

    def check_committed(self, most=300):
        seen = self.reported()
        for tx in random.Random(5).sample(seen, min(most, len(seen))):
            status, answer = self.net.get("/v1/txs/" + tx)
            check(status == 200 and answer["data"]["status"] == "committed", "%s is %s" % (tx, answer))

    def metrics(self):
        with open(os.path.join(self.net.home, "run", "metrics")) as file:
            url = file.read().strip()
        return subprocess.run(["curl", "-sf", url + "/metrics"], stdout=subprocess.PIPE, text=True, check=True).stdout


def submit_refused(net):
    status, body, headers = net.request("POST", "/v1/txs", body=b"x" * 200,
                                        headers={"Content-Type": "application/octet-stream"})
    answer = json.loads(body)
    check(status == 503 and answer["code"] == "no_space" and answer["retriable"], "refusal is %s %s" % (status, answer))
    check("Retry-After" in headers, "a refusal says when to come back")


def marks_in_order(net, disk):
    net.start(*MARKS, wait=60)
    load = disk.load()
    disk.wait_reported(300)
    disk.leave(20 * MIB)
    check(disk.wait_state("low")["ready"], "a node that warns takes transactions")
    disk.leave(12 * MIB)
    check(disk.wait_state("refusing")["signing"], "a node that refuses still signs")
    submit_refused(net)
    check(net.get("/readyz", raw=True)[0] == 503, "a node that refuses is not ready")
    disk.fill()
    state = disk.wait_state("stopped")
    check(not state["signing"], "a node without room signs")
    time.sleep(1)
    height, rounds = net.height(), net.data("/v1/consensus")["votes_total"]
    time.sleep(2)
    check(net.data("/v1/consensus")["votes_total"] == rounds, "a node without room votes")
    check(net.height() == height, "a node without room makes blocks")
    disk.check_committed()
    check("cairn_disk_state 3" in disk.metrics(), "the metrics do not say it")
    shown = net.run_json("status", "--node", net.url)
    check("stopped" in json.dumps(shown), "cairn status does not say it: %s" % shown)
    with open(net.log) as log:
        text = log.read()
    check("nothing is signed until there is room" in text, "the trace does not say it")
    before = len(disk.reported())
    disk.empty()
    disk.wait_state("good")
    load.kill()
    load.wait()
    load = disk.load()
    disk.wait_reported(before + 300)
    load.kill()
    load.wait()
    check(net.get("/readyz", raw=True)[0] == 200, "ready again")
    net.stop()
    return height


def unwarned(net, disk, kill):
    net.start(*NO_MARKS, wait=60)
    load = disk.load()
    disk.wait_reported(len(disk.reported()) + 100)
    disk.fill()
    disk.wait_state("stopped", seconds=180)
    load.kill()
    load.wait()
    disk.check_committed(100)
    if kill:
        net.kill()
        disk.empty()
        net.start(*NO_MARKS, wait=60)
    else:
        disk.empty()
    disk.wait_state("good")
    before = len(disk.reported())
    load = disk.load()
    disk.wait_reported(before + 100)
    load.kill()
    load.wait()
    disk.check_committed()
    net.stop()


def main():
    with Network(sys.argv[1], load_keys=64) as net:
        disk = Full(net)
        try:
            marks_in_order(net, disk)
            unwarned(net, disk, kill=False)
            unwarned(net, disk, kill=True)
            seen = disk.reported()
            audit = net.run_json("audit", "replay", "--home", net.home)
            check(audit["violations"] == "0", "the audit found %s" % audit)
            check(int(audit["transactions"]) >= len(set(seen)), "the audit counts too few transactions")
            net.run("log", "verify", "--home", net.home)
        finally:
            net.kill()
            subprocess.run(["umount", disk.data], check=False)
    print("reported committed %d, heights %s; full three times" % (len(seen), audit["heights"]))
    print("1 passed, 0 failed")


main()
