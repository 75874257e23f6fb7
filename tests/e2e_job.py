"""The main job on real input: signed transfers from many keys over HTTP, ordered, folded, read back,
tailed, and audited from genesis.

  - every transaction that was admitted is committed;
  - every balance, fee and burned unit equals an independent sum over the events;
  - a client that tails the events, is cut off again and again and resumes by position, sees every
    event exactly once;
  - the audit from genesis finds nothing; the log verifies; two audits print the same roots.
"""
import http.client
import json
import os
import random
import sys
import threading

from e2e_lib import Network, check

RESUMES = 20
KEYS = 1000
TXS = int(os.environ.get("CAIRN_JOB_TXS", "100000"))


class Tail(threading.Thread):
    """Follows /v1/events as NDJSON; hangs up after a random number of events, and resumes."""

    def __init__(self, net):
        super().__init__(daemon=True)
        self.net, self.random = net, random.Random(7)
        self.positions, self.events = [], []
        self.resumes, self.done = 0, threading.Event()

    def read_once(self, limit):
        path = "/v1/events?from=" + (self.positions[-1] if self.positions else "0")
        connection = self.net.connect(timeout=5)
        try:
            connection.request("GET", path, headers={"Accept": "application/x-ndjson"})
            answer = connection.getresponse()
            check(answer.status == 200, "the event stream answers %d" % answer.status)
            while limit > 0:
                line = answer.readline()
                if not line:
                    return
                if not line.strip():
                    continue
                event = json.loads(line)
                self.positions.append(event["position"])
                self.events.append(event)
                limit -= 1
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()

    def run(self):
        while not self.done.is_set():
            rest = self.resumes >= RESUMES
            self.read_once(10 ** 9 if rest else self.random.randrange(1, 2 * TXS // RESUMES))
            self.resumes += 1



def fold(events):
    """Balances from the events alone; each event must balance by itself."""
    balances, fees = {}, 0
    for line in events:
        event, sides = line["event"], {}
        for posting in event["postings"]:
            amount = int(posting["amount"])
            check(amount > 0, "a posting of nothing at " + line["position"])
            sign = 1 if posting["side"] == 1 else -1
            key = (posting["address"], posting["asset"])
            balances[key] = balances.get(key, 0) + sign * amount
            sides[posting["asset"]] = sides.get(posting["asset"], 0) + sign * amount
        check(all(v == 0 for v in sides.values()), "debits and credits differ at " + line["position"])
        if event["kind"] == "fee":
            fees += sum(int(p["amount"]) for p in event["postings"] if p["side"] == 1)
    return balances, fees


def main():
    build = sys.argv[1]
    with Network(build, load_keys=KEYS) as net:
        net.start()
        tail = Tail(net)
        tail.start()
        report = net.run_json("bench", "tx", "--node", net.url, "--keys-file", net.seed, "--keys",
                              str(KEYS), "--txs", str(TXS), "--timeout", "120s")
        print("load:", json.dumps(report))
        check(report["committed"] == TXS, "committed %d of %d" % (report["committed"], TXS))

        status = net.data("/v1/status")
        height, total = int(status["height"]), int(status["event_total"])
        check(int(status["tx_total"]) == TXS, "the node counts %s transactions" % status["tx_total"])

        # All events in one go, from the very first: the genesis credits at height 0.
        connection = net.connect(timeout=60)
        connection.request("GET", "/v1/events?from=0", headers={"Accept": "application/x-ndjson"})
        answer, everything, counted = connection.getresponse(), [], 0
        while counted < total: # event_total does not count those of the genesis
            line = answer.readline()
            check(line, "the stream ended after %d events" % len(everything))
            if line.strip():
                everything.append(json.loads(line))
                counted += everything[-1]["height"] != "0"
        connection.close()

        for _ in range(600):
            if len(tail.positions) >= len(everything):
                break
            threading.Event().wait(0.1)
        tail.done.set()
        check(tail.resumes >= RESUMES, "the tail resumed %d times only" % tail.resumes)
        expected = [e["position"] for e in everything]
        check(tail.positions[:len(expected)] == expected,
              "the resumed tail differs: %d of %d events" % (len(tail.positions), len(expected)))
        check(len(set(tail.positions)) == len(tail.positions), "an event was seen twice")
        print("tail: %d events, resumed %d times, each exactly once" % (len(expected), tail.resumes))

        # Every balance against the sum of its postings.
        balances, fees = fold(everything)
        issued = [v for v in balances.values() if v < 0]
        check(len(issued) == 1, "only the issuance pool may be negative")
        listed = {(a["address"], a["asset"]): int(a["amount"]) for a in net.pages("/v1/accounts")}
        folded = {k: v for k, v in balances.items() if v > 0}
        check(listed == folded, "balances differ from the sum of the events")
        supply = net.data("/v1/supply")
        print("supply:", json.dumps(supply))
        check(sum(folded.values()) == -issued[0] == 10 ** 18, "the supply is not 10^18 base units")
        split = [e["event"]["body"] for e in everything if e["event"]["kind"] == "fees_split"]
        for part in ("total", "burned", "stakers", "proposer", "treasury"):
            check(all(int(s[part]) >= 0 for s in split), "a negative share")
        check(sum(int(s["total"]) for s in split) == fees, "fees taken and fees split differ")
        for s in split:
            parts = sum(int(s[p]) for p in ("burned", "stakers", "proposer", "treasury"))
            check(parts == int(s["total"]), "a split does not add up")
        check(int(supply["burned"]) == sum(int(s["burned"]) for s in split), "burned differs")
        print("balances: %d records equal the sum of their events; fees %d, burned %s"
              % (len(folded), fees, supply["burned"]))

        net.stop()
        audit = net.run_json("audit", "replay", "--home", net.home)
        print("audit:", json.dumps(audit))
        check(audit["violations"] == "0" and int(audit["transactions"]) == TXS, "the audit is not clean")
        check(int(audit["heights"]) >= height, "the audit ends at height %s" % audit["heights"])
        net.run("log", "verify", "--home", net.home)
        roots = [net.run("audit", "replay", "--home", net.home, "--print-roots", "--skip-signatures",
                         "--json").stdout.splitlines()[:-1] for _ in range(2)]
        check(roots[0] == roots[1] and len(roots[0]) >= height, "two audits print different roots")
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
