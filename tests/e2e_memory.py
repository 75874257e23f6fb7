"""Memory runs out in the command line: the n-th allocation of a process fails, those in libraries included.

Each command runs once for each n (a spread of them; all with CAIRN_FULL=1) with preload_memory.so. It ends by
itself: with what it prints otherwise and 0, or with an error on its output and an exit code. What a library
does not survive is listed by name in KNOWN and counted, not hidden.
"""
import json
import os
import shutil
import subprocess
import sys

from e2e_lib import Network, check, full

SHARE = 10**9 if full() else 6  # allocations tried of a command, beside the first ones
FIRST = 4
KNOWN = {}  # text on stderr: the library that aborts


class Memory:
    def __init__(self, net, shim):
        self.net, self.shim = net, shim
        self.report = os.path.join(net.root, "report")
        self.runs = self.struck = self.passed = self.refused = 0
        self.bad, self.aborts = [], {}

    def one(self, arguments, nth, sticky):
        if os.path.exists(self.report):
            os.unlink(self.report)
        environment = dict(os.environ, LD_PRELOAD=self.shim, CAIRN_MEMORY_FAIL_AT=str(nth),
                           CAIRN_MEMORY_STICKY=str(int(sticky)), CAIRN_MEMORY_REPORT=self.report)
        done = subprocess.run([self.net.cairn, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=environment, check=False, timeout=120)
        count = open(self.report).read() if os.path.exists(self.report) else ""
        return done, int(count) if count else None

    def command(self, name, arguments, prepare=lambda: None, stable=True, sticks=(False, True)):
        prepare()
        reference, count = self.one(arguments, 0, False)
        check(count is not None, "%s: the shim is not in the process" % name)
        check(reference.returncode == 0, "%s: exit %d: %s" % (name, reference.returncode, reference.stderr))
        step = max(1, count // SHARE)
        chosen = sorted(set(range(1, min(FIRST, count) + 1)) | set(range(1 + count % step, count + 1, step)))
        for nth in chosen:
            for sticky in sticks:
                prepare()
                done, unmet = self.one(arguments, nth, sticky)
                self.runs += 1
                if unmet is not None:
                    continue
                self.struck += 1
                self.judge("%s, allocation %d%s" % (name, nth, " and on" if sticky else ""), done, reference, stable)
        return count

    def judge(self, what, done, reference, stable):
        said = done.stderr.decode(errors="replace")
        if done.returncode < 0:
            for text, library in KNOWN.items():
                if text in said:
                    self.aborts[library] = self.aborts.get(library, 0) + 1
                    return
            self.bad.append("%s: signal %d: %s" % (what, -done.returncode, said[-200:]))
        elif done.returncode == 0:
            self.passed += 1
            if stable and done.stdout != reference.stdout:
                self.bad.append("%s: exit 0 with other output: %r" % (what, done.stdout[:200]))
        else:
            self.refused += 1
            if not said.strip() and not done.stdout.strip():
                self.bad.append("%s: exit %d without a word" % (what, done.returncode))


def genesis_json(net, path):
    shown = net.run_json("genesis", "show", "--home", net.home)
    with open(path, "w") as file:
        json.dump(shown.get("genesis", shown), file)


def main():
    build, shim = sys.argv[1], os.path.join(sys.argv[1], "libpreload_memory.so")
    with Network(build, load_keys=4) as net:
        memory = Memory(net, os.path.abspath(shim))
        passphrase = os.path.join(net.net, "passphrase")
        wallet = ("--home", os.path.join(net.net, "wallet"), "--passphrase-file", passphrase)
        scratch = os.path.join(net.root, "scratch")
        home = ("--home", net.home)

        def fresh():
            shutil.rmtree(scratch, ignore_errors=True)

        def fresh_home():
            fresh()
            os.makedirs(os.path.join(scratch, "config"))
            shutil.copytree(os.path.join(net.home, "config"), os.path.join(scratch, "config"), dirs_exist_ok=True)

        net.start()
        node = ("--node", net.url)
        paid = net.run_json("tx", "transfer", *wallet, *node, "--from", "faucet", "--to", "operator", "--amount", "12.5")
        unsigned = os.path.join(net.root, "unsigned.json")
        with open(unsigned, "w") as file:
            file.write(net.run("tx", "build", *wallet, *node, "--from", "operator", "--to", "faucet",
                               "--amount", "1").stdout)
        signed = os.path.join(net.root, "signed.json")
        with open(signed, "w") as file:
            file.write(net.run("tx", "sign", unsigned, *wallet, *node, "--from", "operator").stdout)
        counts = {}

        def run(name, *arguments, **more):
            counts[name] = memory.command(name, arguments, **more)
            print("%-16s %6d allocations" % (name, counts[name]), flush=True)

        run("version", "version")
        run("config show", "config", "show", *home, "--json")
        run("config check", "config", "check", *home)
        run("status", "status", *node, stable=False)
        run("account show", "account", "show", "operator", *wallet, *node, stable=False)
        run("tx status", "tx", "status", paid["hash"], *node, stable=False)
        run("tx show", "tx", "show", signed, *wallet, *node)
        run("tx build", "tx", "build", *wallet, *node, "--from", "operator", "--to", "faucet", "--amount", "1",
            stable=False)
        run("tx sign", "tx", "sign", unsigned, *wallet, *node, "--from", "operator")
        run("tx submit", "tx", "submit", signed, *wallet, *node, "--json", stable=False)
        check(net.get("/readyz", raw=True)[0] == 200, "the node lives through it")
        net.stop()
        run("genesis show", "genesis", "show", *home, "--json")
        run("genesis hash", "genesis", "hash", *home)
        run("log verify", "log", "verify", *home)
        run("log stats", "log", "stats", *home, "--json")
        run("audit replay", "audit", "replay", *home, "--print-roots", stable=False)
        run("audit supply", "audit", "supply", *home, "--json")
        run("keys list", "keys", "list", *wallet, "--json")
        run("keys show", "keys", "show", "operator", *wallet)
        run("keys add", "keys", "add", "alice", "--home", scratch, "--passphrase-file", passphrase, "--dev-kdf", "--no-backup",
            prepare=fresh, stable=False)
        run("validator init", "validator", "init", "--home", scratch, "--passphrase-file", passphrase,
            prepare=fresh_home, stable=False)
        run("testnet", "testnet", "--output-dir", scratch, "--load-keys", "2", prepare=fresh, stable=False)
        print("runs %d, struck %d: passed %d, refused %d, library aborts %s"
              % (memory.runs, memory.struck, memory.passed, memory.refused, memory.aborts))
        for text in memory.bad:
            print("  " + text)
        check(not memory.bad, "%d ended badly" % len(memory.bad))
    print("1 passed, 0 failed")


main()
