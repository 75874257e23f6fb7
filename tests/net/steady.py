"""A steady load for a while: 500 transfers a second through four validators.

    python3 tests/net/steady.py build [--seconds 3600] [--rate 500]

Every transfer is committed, no generator sees a refusal it cannot explain, all logs hold the same bytes and an audit
from genesis finds nothing. What it took is printed: seconds, commits, the longest time without a block, memory.
"""
import argparse
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from e2e_lib import Cluster, check  # noqa: E402

KEYS = 1000


def memory_bytes(node):
    with open("/proc/%d/status" % node.node.pid) as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


def watch(net, load):
    """Samples until the generator ends: the longest time in which no height was seen to grow, and memory by quarter hour."""
    last, seen, gap, memory, due = time.monotonic(), 0, 0.0, [], 0.0
    begin = last
    while load.poll() is None:
        height, now = net.nodes[0].height(), time.monotonic()
        if height > seen:
            gap, last, seen = max(gap, now - last), now, height
        if now >= begin + due:
            memory.append(max(memory_bytes(node) for node in net.nodes))
            due += 900
        time.sleep(0.2)
    memory.append(max(memory_bytes(node) for node in net.nodes))
    return gap, memory


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rate", type=int, default=500)
    wanted = parser.parse_args()
    total = wanted.seconds * wanted.rate
    with Cluster(wanted.build, 4, preset="dev", load_keys=KEYS) as net:
        net.start()
        urls = [word for node in net.nodes for word in ("--node", node.url)]
        begin = time.monotonic()
        load = subprocess.Popen([net.nodes[0].cairn, "bench", "tx", *urls, "--keys-file", net.seed, "--keys", str(KEYS),
                                 "--txs", str(total), "--rate", str(wanted.rate), "--no-progress", "--json",
                                 "--timeout", "300s"], stdout=subprocess.PIPE, text=True)
        gap, memory = watch(net, load)
        out, _ = load.communicate(timeout=600)
        seconds = time.monotonic() - begin
        check(load.returncode == 0 and out, "the load generator says %s" % out)
        report = json.loads(out)
        check(int(report["committed"]) == total and int(report["missing"]) == 0, "not all are committed: %s" % out)
        net.wait_height(max(net.heights()))
        evidence = list(net.nodes[0].pages("/v1/evidence"))
        check(not evidence, "evidence against %s" % evidence)
        blocks = net.nodes[0].height()
        net.stop()
        roots = net.audit()
    print("%d transfers in %.0f s, %d blocks, longest time without one %.1f s, memory of a node %s MB, %d roots compared" %
          (total, seconds, blocks, gap, " ".join(str(bytes // 1000000) for bytes in memory), roots))
    print(json.dumps(report))
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
