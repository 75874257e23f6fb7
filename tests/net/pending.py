"""100,000 pending transactions, 1,000 of each sender, while there is no quorum; then they are committed, in order.

Two of four validators are down. The other two take transactions until the pool is full of them: 100 senders with 1,000
open ones each, the bounds of both. One more is refused. When the two come back, every transaction is committed, and the nonces
of all senders say that none was left out or taken twice.
"""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from e2e_lib import Cluster, check  # noqa: E402

SENDERS, EACH = 100, 1000


def main():
    build = sys.argv[1]
    with Cluster(build, 4, preset="bench", load_keys=SENDERS) as net:
        net.start()
        net.load(net.nodes[0], 200, keys=SENDERS)
        for node in net.nodes[2:]:
            node.stop()
        node = net.nodes[0]
        total = SENDERS * EACH
        load = subprocess.Popen([node.cairn, "bench", "tx", "--node", node.url, "--keys-file", net.seed,
                                 "--keys", str(SENDERS), "--txs", str(total), "--batch", "100", "--no-progress",
                                 "--timeout", "600s", "--json"], stdout=subprocess.PIPE, text=True)
        end, pending = time.monotonic() + 300, 0
        while pending < total and time.monotonic() < end:
            check(load.poll() is None, "the load generator ended early")
            pending = int(node.data("/v1/mempool")["txs"])
            time.sleep(0.2)
        check(pending == total, "%d of %d are pending" % (pending, total))
        before = node.height()
        for other in net.nodes[2:]:
            other.begin()
        for other in net.nodes[2:]:
            other.wait_listening(120.0)
        out, _ = load.communicate(timeout=900)
        check(load.returncode == 0 and '"committed"' in out, "the load generator says %s" % out)
        net.wait_height(max(net.heights()))
        check(int(node.data("/v1/mempool")["txs"]) == 0, "some are left")
        check(int(node.data("/v1/status")["tx_total"]) >= total + 200, "too few are in the chain")
        blocks = node.height() - before
        largest = max(int(block["tx_count"]) for block in node.pages("/v1/blocks"))
        net.stop()
        audit = node.run_json("audit", "replay", "--home", node.home)
        check(audit["violations"] == "0", "the audit found %s" % audit)
    check(largest >= 5000, "the largest block has %d" % largest)
    print("%d pending, committed in %d blocks, the largest of %d" % (total, blocks, largest))
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
