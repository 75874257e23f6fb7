"""Strangers at the validators' doors: garbage, half-open floods, oversized frames, recorded handshakes played again.

Four validators and an observer that reaches them through a wire-tap of this test. While strangers press, transfers are
committed; afterwards every validator still has its three peers, no process has ended, and none has grown beyond a
bound. The recording of the observer's connection opens nothing.
"""
import os
import random
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from e2e_lib import Cluster, check  # noqa: E402

GROWTH_MAX_KIB = 128 * 1024


def peers_address(node):
    with open(os.path.join(node.home, "run", "p2p")) as file:
        text = file.read().strip().split("//")[-1]
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


def resident_kib(node):
    with open("/proc/%d/status" % node.node.pid) as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


class Tap:
    """A relay in front of a node's door that keeps what the dialler sent."""

    def __init__(self, target):
        self.target = target
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.kept = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.server.accept()
            try:
                far = socket.create_connection(self.target)
            except OSError:
                near.close()
                continue
            said = bytearray()
            self.kept.append(said)
            for source, sink, keep in ((near, far, said), (far, near, None)):
                threading.Thread(target=self.relay, args=(source, sink, keep), daemon=True).start()

    @staticmethod
    def relay(source, sink, keep):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                if keep is not None and len(keep) < 1 << 20:
                    keep += data
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Strangers:
    def __init__(self, doors, recording):
        self.doors, self.recording = doors, recording
        self.random = random.Random(3)
        self.stopping = False
        self.count = dict.fromkeys(("garbage", "half open", "oversized", "replayed", "held"), 0)
        self.threads = [threading.Thread(target=work, daemon=True)
                        for work in (self.garbage, self.half_open, self.oversized, self.replay)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()

    def knock(self, data, wait=0.2):
        """Sends bytes to one of the doors; what came back, None if nobody opened."""
        try:
            with socket.create_connection(self.random.choice(self.doors), timeout=2) as s:
                s.settimeout(wait)
                if data:
                    s.sendall(data)
                answer = b""
                try:
                    while len(answer) < 65536:
                        more = s.recv(4096)
                        if not more:
                            break
                        answer += more
                except socket.timeout:
                    pass
                return answer
        except OSError:
            return None

    def garbage(self):
        while not self.stopping:
            self.knock(self.random.randbytes(self.random.choice((1, 40, 284, 5000, 70000))))
            self.count["garbage"] += 1

    def half_open(self):
        held = []
        while not self.stopping:
            try:
                s = socket.create_connection(self.random.choice(self.doors), timeout=2)
                s.sendall(self.recording[:self.random.randrange(60)])
                held.append(s)
                self.count["half open"] += 1
            except OSError:
                time.sleep(0.01)
            if len(held) > 200:
                held.pop(0).close()
        self.count["held"] = len(held)
        for s in held:
            s.close()

    def oversized(self):
        """A genuine first message, then frames that claim and bring more than any may."""
        while not self.stopping:
            self.knock(self.recording[:self.first_message()] + b"\xff\xff" + self.random.randbytes(65536))
            self.count["oversized"] += 1

    def first_message(self):
        return min(len(self.recording), 128)

    def replay(self):
        while not self.stopping:
            self.knock(self.recording[:self.random.randrange(1, len(self.recording))], wait=0.5)
            self.knock(self.recording, wait=0.5)
            self.count["replayed"] += 2


def main():
    build = sys.argv[1]
    with Cluster(build, 4, observers=1, preset="bench", load_keys=32) as net:
        validators, observer = net.validators, net.observers[0]
        net.start(validators)
        doors = [peers_address(node) for node in validators]
        taps = [Tap(door) for door in doors]
        observer.begin("--p2p.persistent-peers", ",".join("127.0.0.1:%d" % tap.port for tap in taps))
        observer.wait_listening(60.0, ready=True)
        net.load(observer, 200, keys=32)
        recording = max((bytes(said) for tap in taps for said in tap.kept), key=len)
        check(len(recording) > 1000, "the tap heard nothing")

        before = [resident_kib(node) for node in validators]
        strangers = Strangers(doors, recording)
        strangers.start()
        report = net.load(validators[0], 3000, "--timeout", "120s", keys=32)
        time.sleep(10)
        strangers.stop()
        check(int(report["committed"]) == 3000, "beside strangers: %s" % report)
        check(min(strangers.count[kind] for kind in ("garbage", "half open", "oversized", "replayed")) > 5,
              "the strangers did little: %s" % strangers.count)
        for node, kib in zip(validators, before):
            check(node.is_running(), "%s has ended" % node.home)
            grown = resident_kib(node) - kib
            check(grown < GROWTH_MAX_KIB, "%s has grown by %d KiB" % (node.home, grown))
        height = max(net.heights(validators))
        net.load(validators[1], 200, keys=32)
        net.wait_height(height + 1, validators)
        for node in validators:
            mine = [peer for peer in node.data("/v1/peers") if peer["validator"]]
            check(len(mine) == 3, "%s has %d validators for peers" % (node.home, len(mine)))
        net.stop()
        net.audit()
    print("strangers: %s" % strangers.count)
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
