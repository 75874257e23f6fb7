"""Validators in processes of their own finalize together; a crash, a stop and a latecomer.

3, 4, 5 and 7 validators with an observer: all commit the same blocks. With four or more, one that is killed
never halts the rest; it comes back and catches up block by block, as does a node that never ran before. At the
end every log is audited from genesis, all roots and all files are equal. With 3 equal validators the node says
at its start that no fault is tolerated.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from e2e_lib import Cluster, check, full  # noqa: E402


def says(node, text):
    with open(node.log, errors="replace") as log:
        return any(text in line for line in log)


def run(build, count):
    with Cluster(build, count, observers=1, load_keys=32) as net:
        late = net.observers[0]
        early = net.validators
        net.start(early)
        check(says(early[0], "no fault is tolerated") == (count == 3), "%d validators and the warning" % count)
        report = net.load(early[0], 2000, keys=32)
        check(int(report["committed"]) == 2000, "committed %s of 2000" % report)
        if count >= 4:
            victim = early[-1]
            victim.kill()
            before = max(net.heights(early))
            report = net.load(early[1], 2000, keys=32)
            check(int(report["committed"]) == 2000, "without one of %d: %s" % (count, report))
            check(max(net.heights(early)) > before, "the chain of %d stands still without one" % count)
            victim.begin()
        late.begin()
        for node in net.nodes:
            node.wait_listening(60.0, ready=True)
        height = max(net.heights())
        net.wait_height(height)
        net.load(late, 500, keys=32)  # an observer takes transactions too
        net.wait_height(max(net.heights()))
        net.stop()
        roots = net.audit()
        print("%d validators and an observer: height %d, %d roots compared" % (count, height, roots))


def main():
    build = sys.argv[1]
    for count in (3, 4, 5, 7) if full() or os.environ.get("CAIRN_NET") != "short" else (4,):
        run(build, count)
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
