"""kill -9 over four validators under load: one, then two, then all at once, again and again.

Nothing that a client saw in a block is lost, no validator signs twice (the others would tell: evidence is
counted), each comes back by itself. At the end every log is audited and compared.

CAIRN_KILLS: how many kills (60; 1000 with --full). The slowest start is printed; CAIRN_RESTART_SECONDS=5 on a
quiet machine insists on it.
"""
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from e2e_lib import Cluster, check, full, reported  # noqa: E402

RESTART_SECONDS_MAX = float(os.environ.get("CAIRN_RESTART_SECONDS", "60"))


def wait_lines(path, count, wait=60.0):
    """Until the load generator has seen so many committed; its start takes a while."""
    end = time.monotonic() + wait
    while time.monotonic() < end:
        if os.path.exists(path):
            with open(path) as file:
                if sum(1 for _ in file) >= count:
                    return
        time.sleep(0.02)
    check(False, "nothing is committed")


def stands(data):
    """In the chain: paid, or beside a rival. The generator that was killed had signed another one of this nonce, which a
    validator still had; the generator itself counts what stands in a block."""
    inclusion = data.get("inclusion")
    return data["status"] == "committed" or (inclusion is not None and inclusion["outcome"] == "nonce_too_low")


def evidence_of(net):
    total = 0
    for node in net.nodes:
        if not node.is_running():
            continue
        with open(node.log, errors="replace") as log:
            total += sum("contradicts itself" in line for line in log)
    return total


def main():
    build = sys.argv[1]
    kills = int(os.environ.get("CAIRN_KILLS", "1000" if full() else "60"))
    rng = random.Random(5)
    with Cluster(build, 4, load_keys=64) as net:
        committed = os.path.join(net.root, "committed")
        seen, done, looked_up, rivals, slowest, turn = set(), 0, 0, 0, 0.0, 0
        net.start()
        while done < kills:
            victims = rng.sample(net.nodes, (1, 2, 4)[turn % 3])
            other = next((node for node in net.nodes if node not in victims), net.nodes[0])
            load = subprocess.Popen([other.cairn, "bench", "tx", "--node", other.url, "--keys-file", net.seed,
                                     "--keys", "64", "--txs", "100000", "--batch", "16", "--rate", "300",
                                     "--no-progress", "--timeout", "5s", "--committed-file", committed],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_lines(committed, len(seen) + 20)
            time.sleep(rng.uniform(0.0, 0.5))
            for node in victims:
                node.kill()
                done += 1
            time.sleep(rng.uniform(0.0, 0.5))
            load.kill()
            load.wait()
            for node in victims:
                node.begin()
            for node in victims:
                seconds = node.wait_listening(RESTART_SECONDS_MAX)
                slowest = max(slowest, seconds)
                check(seconds <= RESTART_SECONDS_MAX, "a start took %.2f s" % seconds)
            for node in net.nodes:
                node.wait_listening(120.0, ready=True)
            fresh = reported(committed, seen)
            net.wait_height(max(net.heights()))
            sample = fresh[-20:] + rng.sample(fresh, min(10, len(fresh)))
            for tx in sample:
                node = rng.choice(net.nodes)
                status, answer = node.get("/v1/txs/" + tx)
                check(status == 200 and stands(answer["data"]),
                      "%s was seen in the chain and is %s at %s" % (tx, answer, node.home))
                looked_up += 1
                rivals += answer["data"]["status"] != "committed"
            turn += 1
        check(rivals * 5 < looked_up, "%d of %d have a rival of the same nonce" % (rivals, looked_up))
        check(len(seen) > 5 * kills, "only %d transactions were reported committed" % len(seen))
        check(evidence_of(net) == 0, "a validator signed twice")
        net.stop()
        roots = net.audit()
    print("kills %d, seen in the chain %d, looked up %d (%d beside a rival), slowest restart %.2f s, roots compared %d"
          % (done, len(seen), looked_up, rivals, slowest, roots))
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
