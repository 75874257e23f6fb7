"""A validator whose key a signer holds: it commits; signer and node are killed, alone and together, under load,
and the chain goes on; garbage and strangers on the socket change nothing; a key without its sign state, and a
node that would use the signer's key itself, are refused. At the end the audit finds nothing, and the signer
never refused: what a node asks after its start is what it asked before.

CAIRN_KILLS sets the number of kills (6; 200 with --full).
"""
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

from e2e_lib import Network, check, fail, full


class Signer:
    def __init__(self, net):
        self.net = net
        self.path = os.path.join(net.home, "run", "signer")
        self.log = os.path.join(net.root, "signer.log")
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.net.cairn, "signer", "--home", self.net.home],
                                            stdout=log, stderr=log)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        check(self.process.wait(timeout=60) == 0, "the signer stopped badly")

    def wait(self):
        for _ in range(6000):
            check(self.process.poll() is None, "the signer ended with %s" % self.process.returncode)
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(self.path)
                    return
            except OSError:
                time.sleep(0.01)
        fail("the signer is not there")


def grows(net, blocks=3, wait=60):
    """The chain commits more blocks."""
    until, target = time.monotonic() + wait, net.height() + blocks
    while net.height() < target:
        check(net.is_running(), "the node ended")
        if time.monotonic() > until:
            fail("the chain stands at %d" % net.height())
        time.sleep(0.02)


def refusals(net):
    with open(os.path.join(net.home, "run", "metrics")) as file:
        url = file.read().strip()
    with urllib.request.urlopen(url + "/metrics", timeout=30) as answer:
        body = answer.read().decode()
    lines = [line for line in body.splitlines() if line.startswith("cairn_signer_refusals_total")]
    check(len(lines) > 5, "no metric of refusals")
    return sum(int(line.split()[-1]) for line in lines)


def pour(net):
    return subprocess.Popen([net.cairn, "bench", "tx", "--node", net.url, "--keys-file", net.seed, "--keys", "32",
                             "--txs", "2000", "--batch", "16", "--rate", "500", "--no-progress",
                             "--timeout", "5s"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def garbage(signer, rng):
    """Beside the node nobody is served; without it, what is no request ends its connection."""
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(signer.path)
        stranger.settimeout(30)
        try:
            stranger.sendall(rng.randbytes(400))
            while stranger.recv(4096):
                pass
        except OSError:
            pass


def refused_setups(net, signer):
    state = os.path.join(net.home, "validator", "sign_state")
    net.run("start", "--home", net.home, "--validator.signer", "", good=(2,))  # its signer may run
    second = net.run("signer", "--home", net.home, good=None)
    check(second.returncode != 0 and "another signer" in second.stderr, "two signers: %s" % second.stderr)
    signer.stop()
    shutil.move(state, state + ".away")
    alone = net.run("signer", "--home", net.home, good=None)
    check(alone.returncode != 0 and "no sign state" in alone.stderr, "no state: %s" % alone.stderr)
    with open(state + ".away", "rb") as file:
        bytes_ = bytearray(file.read())
    bytes_[100] ^= 1
    bytes_[612] ^= 1
    with open(state, "wb") as file:
        file.write(bytes_)
    rotten = net.run("signer", "--home", net.home, good=None)
    check(rotten.returncode != 0 and "damaged" in rotten.stderr, "damage: %s" % rotten.stderr)
    os.replace(state + ".away", state)
    again = net.run("validator", "init", "--signer", "--home", net.home, "--passphrase-file",
                    os.path.join(net.net, "passphrase"), good=None)
    check(again.returncode != 0 and "exists" in again.stderr, "init over a key: %s" % again.stderr)
    signer.start()
    signer.wait()


def main():
    build = sys.argv[1]
    kills = int(os.environ.get("CAIRN_KILLS", "200" if full() else "6"))
    rng = random.Random(5)
    with Network(build, load_keys=32, extra=("--signers",)) as net:
        signer = Signer(net)
        signer.start()
        try:
            signer.wait()
            check(os.stat(signer.path).st_mode & 0o777 == 0o600, "the socket is open to others")
            refused_setups(net, signer)
            net.start()
            net.run("bench", "tx", "--node", net.url, "--keys-file", net.seed, "--keys", "32", "--txs", "200",
                    "--no-progress")
            for i in range(kills):
                load = pour(net)
                time.sleep(rng.uniform(0.05, 0.4))
                garbage(signer, rng)
                which = i % 3
                height = net.height()
                if which != 0:
                    net.kill()
                    garbage(signer, rng)
                if which != 1:
                    signer.kill()
                    time.sleep(rng.uniform(0, 0.2))
                    signer.start()
                    signer.wait()
                load.kill()
                load.wait()
                if which != 0:
                    net.start()
                check(net.height() >= height, "the chain went back")
                load = pour(net)  # an idle chain only beats
                grows(net)
                load.kill()
                load.wait()
                check(refusals(net) == 0, "the signer refused")
            net.stop()
            signer.stop()
            check(not os.path.exists(signer.path), "the socket stays behind")
        finally:
            if signer.process.poll() is None:
                signer.kill()
        with open(signer.log) as file:
            log = file.read()
        check("refused" not in log.replace("a second node was refused", ""), "the signer refused:\n" + log[-2000:])
        audit = net.run_json("audit", "replay", "--home", net.home)
        check(audit["violations"] == "0", "the audit found %s" % audit)
    print("kills %d, heights %s, transactions %s" % (kills, audit["heights"], audit["transactions"]))
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
