"""Validators in network namespaces: delay, loss, reordering, halves, a deaf one; then all of it heals.

Four validators over a wire with 20 to 30 ms and one packet in a hundred lost finalize transfers. Cut in two
halves, neither half commits anything; healed, both go on from the same block. One that hears nobody does not
stop the others and catches up. CAIRN_NET=full runs seven validators too.
"""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from e2e_lib import Cluster, check, full  # noqa: E402
from wire import Wire  # noqa: E402


def start(net, wire):
    addresses = [Wire.address(i) + ":26656" for i in range(len(net.nodes))]
    for i, node in enumerate(net.nodes):
        others = ",".join(address for j, address in enumerate(addresses) if j != i)
        node.begin("--p2p.listen-addr", addresses[i], "--p2p.persistent-peers", others,
                   "--api.listen-addr", Wire.address(i) + ":26657",
                   "--metrics.listen-addr", Wire.address(i) + ":26660")
    for node in net.nodes:
        node.wait_listening(120.0, ready=True)


def stands_still(net, seconds):
    """The heights do not move for so long; what was under way may still arrive in the first two seconds."""
    time.sleep(2)
    before = net.heights()
    time.sleep(seconds)
    check(net.heights() == before, "heights went from %s to %s without a quorum" % (before, net.heights()))
    return before


def run(build, count):
    with Wire(count) as wire, Cluster(build, count, preset="dev", load_keys=32, enter=wire.enter) as net:
        start(net, wire)
        wire.delay, wire.jitter, wire.loss = 0.02, 0.01, 0.01
        report = net.load(net.nodes[0], 1000, "--timeout", "120s", keys=32)
        check(int(report["committed"]) == 1000, "over a lossy wire: %s" % report)

        half = count // 2
        left, right = set(range(half)), set(range(half, half * 2))
        outside = set(range(half * 2, count))  # of an odd number: heard by neither
        wire.cut(left, right)
        wire.cut(outside, left | right)
        stopped = stands_still(net, 6)
        wire.heal()
        net.wait_height(max(stopped) + 5, wait=180.0)

        deaf = count - 1
        for other in range(count - 1):
            wire.cut_one_way(other, deaf)
        others = net.nodes[:deaf]
        net.wait_height(max(net.heights(others)) + 10, others, wait=180.0)
        wire.heal()
        net.wait_height(max(net.heights(others)), wait=180.0)
        wire.loss = 0.0
        net.stop()
        roots = net.audit()
        print("%d validators: %d packets carried, %d lost, %d roots compared" % (count, wire.carried, wire.lost, roots))


def main():
    why = Wire.missing()
    if why:
        print("skipped:", why)
        sys.exit(77)
    for count in (4, 7) if full() or os.environ.get("CAIRN_NET") == "full" else (4,):
        run(sys.argv[1], count)
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
