"""kill -9 under load, again and again: nothing that was reported committed is lost.

In each round the node runs under load for a random moment and is killed. After the restart every
transaction that a client saw committed is there with a paid outcome and the chain goes on from where it
was. At the end the audit from genesis finds nothing. The slowest start is printed; 2 s is what an
operator may expect, and CAIRN_RESTART_SECONDS=2 on a quiet machine insists on it.

CAIRN_KILLS sets the number of kills (50; 1000 with --full).
"""
import os
import random
import subprocess
import sys
import time

from e2e_lib import Network, check, full, reported

RESTART_SECONDS_MAX = float(os.environ.get("CAIRN_RESTART_SECONDS", "30"))


def main():
    build = sys.argv[1]
    kills = int(os.environ.get("CAIRN_KILLS", "1000" if full() else "50"))
    rng = random.Random(11)
    # A start refolds the whole log, so that the load of all lives together is bounded.
    rate = max(100, 60000 // kills)
    with Network(build, load_keys=64) as net:
        committed = os.path.join(net.root, "committed")
        seen, height, slowest, checked = set(), 0, 0.0, 0
        for i in range(kills):
            seconds = net.start(wait=60.0)
            slowest = max(slowest, seconds)
            check(seconds <= RESTART_SECONDS_MAX, "start %d took %.2f s" % (i, seconds))
            now = net.height()
            check(now >= height, "height %d after the restart, %d before" % (now, height))
            # A sample of what clients saw committed before, and all of the last life's last ones.
            sample = last if i > 0 else []
            for tx in sample:
                status, answer = net.get("/v1/txs/" + tx)
                check(status == 200 and answer["data"]["status"] == "committed",
                      "%s was reported committed and is %s" % (tx, answer))
                checked += 1
            load = subprocess.Popen([net.cairn, "bench", "tx", "--node", net.url, "--keys-file", net.seed,
                                     "--keys", "64", "--txs", "4000", "--batch", "16",
                                     "--rate", str(rate), "--no-progress",
                                     "--timeout", "5s", "--committed-file", committed],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0.2, 1.0))
            height = net.height()
            net.kill()
            load.kill()
            load.wait()
            fresh = reported(committed, seen)
            last = fresh[-40:] + rng.sample(fresh, min(10, len(fresh)))
        check(len(seen) > 10 * kills, "only %d transactions were reported committed" % len(seen))
        net.start()
        for tx in rng.sample(sorted(seen), min(2000, len(seen))):
            status, answer = net.get("/v1/txs/" + tx)
            check(status == 200 and answer["data"]["status"] == "committed", "%s is lost" % tx)
            checked += 1
        net.stop()
        audit = net.run_json("audit", "replay", "--home", net.home)
        check(audit["violations"] == "0", "the audit found %s" % audit)
        check(int(audit["transactions"]) >= len(seen), "the audit counts too few transactions")
        net.run("log", "verify", "--home", net.home)
    print("kills %d, reported committed %d, looked up %d, slowest restart %.2f s, heights %s"
          % (kills, len(seen), checked, slowest, audit["heights"]))
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
