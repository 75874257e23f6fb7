#!/usr/bin/env python3
"""Mutation testing: are the tests able to fail?

    bash tests/coverage.sh                        which test runs which line (once)
    chrt -i 0 python3 tests/mutants.py            200 mutants of log/ and apply/, seed 1
    python3 tests/mutants.py --again              only those that survived the last run, or were not run
    python3 tests/mutants.py --resume --minutes 20   go on with those that were not run, for so long
    python3 tests/mutants.py --only log/block.c --count 20 --seed 7
    python3 tests/mutants.py --show m0042         the change that a mutant makes

A mutant is one small wrong change of the source (the operators are in tests/mutants_make.py): drawn
by seed, spread over the files by their lines of code. Each is compiled, then the unit, model, fault and crash
tests that run a changed line are run, the quickest first and those named like its file before them, until one
fails. With --slow, tests that usually take longer are left out, which can only let more survive. Verdicts:

    killed     a test failed, leaked memory, or used many times its usual processor time, or gigabytes of memory; the
               changed source is compiled with the address and undefined-behaviour sanitizers, as in the test run
    survived   none did
    same       the compiler makes the same object of it (not counted)
    listed     tests/mutants_equivalent.txt says why it changes no behaviour (not counted)
    invalid    it does not compile (not counted)

What is not mutated, because it states what cannot happen: conditions of assert, _Static_assert and CHECK.
Exit status 0 if at least --goal percent of the counted mutants are killed.
"""
import argparse
import collections
import concurrent.futures
import hashlib
import json
import os
import queue
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
import mutants_make  # pylint: disable=wrong-import-position

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
PROFILES = os.path.join(ROOT, 'build-coverage', 'profiles')
EQUIVALENT = os.path.join(ROOT, 'tests', 'mutants_equivalent.txt')
MEMORY_MAX = 3 << 30
FILE_MAX = 4 << 30
HANG_SECONDS = 30  # asleep for so long
SANITIZE = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer']  # of what was changed
FLAGS = ['-DCMAKE_BUILD_TYPE=Mutants', '-DCMAKE_C_FLAGS=-O1 -w', '-DCAIRN_WERROR=OFF',
         '-DCMAKE_C_COMPILER=gcc', '-DCMAKE_POSITION_INDEPENDENT_CODE=ON', '-G', 'Ninja']


def run(command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


# ---- which test runs which line ----

def tool(name):
    """The version of an LLVM tool that fits the clang of build-coverage."""
    found = shutil.which(name)
    return found or os.path.join(os.path.dirname(os.path.realpath(shutil.which('clang'))), name)


def has_profile(name):
    return os.path.exists(os.path.join(PROFILES, name + '.profraw'))


def lines_of_test(name):
    """{file: set of lines that the test runs}; None, any line, of a test that coverage.sh has not run"""
    if not has_profile(name):
        return None
    profile = os.path.join(PROFILES, name)
    run([tool('llvm-profdata'), 'merge', '-sparse', profile + '.profraw', '-o', profile + '.profdata'])
    text = subprocess.run([tool('llvm-cov'), 'export', '-format=lcov', '-instr-profile', profile + '.profdata',
                           os.path.join(ROOT, 'build-coverage', name)], check=True, stdout=subprocess.PIPE, text=True)
    lines, current = {}, None
    for row in text.stdout.splitlines():
        if row.startswith('SF:'):
            current = lines.setdefault(os.path.relpath(row[3:], ROOT), set())
        elif row.startswith('DA:'):
            line, count = row[3:].split(',')[:2]
            if int(count):
                # What stands behind an assertion counts as never run (clang 14): nearby is run enough.
                current.update(range(int(line), int(line) + 5))
    return lines


def load_map(skip, by_lines):
    """{test: {file: lines}}; made by tests/coverage.sh. Without it every test may run every line: None."""
    names = sorted(n[:-2] for n in os.listdir(os.path.join(ROOT, 'tests')) if re.fullmatch(r'test_\w+\.c', n))
    names = [name for name in names if name not in skip]
    if not by_lines:
        return {name: None for name in names}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return dict(zip(names, pool.map(lines_of_test, names)))


# ---- one worker: a copy of the sources and its build ----

class Worker:
    """All objects but the tests' own go into one shared library: a mutant is one object and one link."""

    def __init__(self, folder, tests):
        self.tests = tests
        self.source = os.path.join(folder, 'source')
        self.build = os.path.join(self.source, 'build')
        self.scratch = os.path.join(folder, 'tmp')
        self.mutated = os.path.join(self.build, 'mutated')  # the changed source and its object
        self.commands, self.objects, self.sums, self.linked = {}, {}, {}, set()

    def prepare(self):
        os.makedirs(self.scratch, exist_ok=True)
        names = run(['git', 'ls-files', '-co', '--exclude-standard'], cwd=ROOT).stdout.split('\n')
        for name in filter(None, names):
            if os.path.isfile(os.path.join(ROOT, name)):
                copy_if_changed(os.path.join(ROOT, name), os.path.join(self.source, name))
        run(['cmake', '-S', self.source, '-B', self.build] + FLAGS)
        with open(os.path.join(self.build, 'compile_commands.json'), encoding='utf-8') as file:
            for entry in json.load(file):
                name, words = os.path.relpath(entry['file'], self.source), shlex.split(entry['command'])
                object_path = words[words.index('-o') + 1]
                of = re.search(r'CMakeFiles/(cairn_(?:log|apply|replica|api|tools|test_support)|test_\w+)\.dir/', object_path)
                if of and (of.group(1).startswith('cairn_') or of.group(1) in self.tests):
                    self.commands[name], self.objects[name] = words, os.path.join(self.build, object_path)
        run(['ninja', '-C', self.build, '-j', '1'] + [os.path.relpath(o, self.build) for o in self.objects.values()])
        with open(os.path.join(self.build, 'build.ninja'), encoding='utf-8') as file:
            block = file.read().split('build test_bytes: C_EXECUTABLE_LINKER', 1)[1]
        words = re.search(r'LINK_LIBRARIES = (.*)', block).group(1).split()
        self.libraries = [w for w in words if not w.endswith('.a')]
        self.options = re.search(r'LINK_FLAGS = (.*)', block).group(1).split()
        self.link_subject(None)

    def link_subject(self, mutant):
        """The library with the object of the mutant in its original's place."""
        objects = [os.path.join(self.mutated, 'mutant.o') if mutant and name == mutant.file else path
                   for name, path in self.objects.items() if not os.path.basename(name).startswith('test_')]
        subject = os.path.join(self.build, 'libsubject.so')
        run(['gcc', '-shared', '-o', subject] + objects + self.options + self.libraries, cwd=self.build)

    def object_of(self, name, text, options=()):
        """Compiles `text` as the source `name`; the digest of its object, None if it does not compile."""
        source, target = os.path.join(self.mutated, name), os.path.join(self.mutated, 'mutant.o')
        os.makedirs(os.path.dirname(source), exist_ok=True)
        with open(source, 'w', encoding='utf-8') as file:
            file.write(text)
        words = list(self.commands[name])
        words[words.index('-c') + 1] = source
        words[words.index('-o') + 1] = target
        for option in ('-MT', '-MF'):
            if option in words:
                at = words.index(option)
                del words[at:at + 2]
        words = [w for w in words if w != '-MD'] + list(options)
        done = subprocess.run(words, cwd=self.build, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        return digest(target) if done.returncode == 0 else None

    def compile(self, mutant):
        """None: does not compile; False: the same object; True: another one."""
        if mutant.file not in self.sums:
            with open(os.path.join(self.source, mutant.file), encoding='utf-8') as file:
                self.sums[mutant.file] = self.object_of(mutant.file, file.read())
        made = self.object_of(mutant.file, mutant.text)
        if made is None or made == self.sums[mutant.file]:
            return None if made is None else False
        self.object_of(mutant.file, mutant.text, SANITIZE)
        self.link_subject(mutant)
        return True

    def link_test(self, name):
        if name not in self.linked:
            run(['gcc', SANITIZE[0], '-o', os.path.join(self.build, name), self.objects[f'tests/{name}.c'], '-L' + self.build,
                 '-lsubject'] + self.options + self.libraries, cwd=self.build)
            self.linked.add(name)

    def test(self, name, cpu_seconds):
        """'' if the test passes, else how it failed, and the processor time it took. What it leaves in
        /tmp stays in a folder of its own, if mounting is allowed."""
        self.link_test(name)
        command = ['./build/' + name]
        if os.geteuid() == 0:
            command = ['unshare', '--mount', 'sh', '-c', 'mount --bind "$0" /tmp && exec "$@"', self.scratch] + command
        limit = int(cpu_seconds) + 1

        def limits():
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 2))
            resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_MAX, FILE_MAX))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        place = dict(os.environ, LD_LIBRARY_PATH='./build', ASAN_OPTIONS='detect_stack_use_after_return=0')
        child = subprocess.Popen(command, cwd=self.source, env=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 stdin=subprocess.DEVNULL, preexec_fn=limits, start_new_session=True)
        verdict, start, moved, last = None, time.monotonic(), time.monotonic(), None
        while verdict is None:
            try:
                code = child.wait(0.05 if time.monotonic() - start < 2 else 0.5)
                verdict = '' if code == 0 else 'time' if code in (-signal.SIGXCPU, -signal.SIGKILL) else 'fails'
            except subprocess.TimeoutExpired:
                state, now = progress(child.pid), time.monotonic()
                if state is None or state != last:
                    moved, last = now, state
                if now - moved > HANG_SECONDS:
                    verdict = 'hangs'
                elif resident_bytes(child.pid) > MEMORY_MAX:
                    verdict = 'memory'
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        shutil.rmtree(self.scratch, ignore_errors=True)
        os.makedirs(self.scratch, exist_ok=True)
        return verdict, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def copy_if_changed(source, copy):
    with open(source, 'rb') as file:
        text = file.read()
    if os.path.exists(copy):
        with open(copy, 'rb') as file:
            if file.read() == text:
                return
    os.makedirs(os.path.dirname(copy), exist_ok=True)
    with open(copy, 'wb') as file:
        file.write(text)


def digest(path):
    with open(path, 'rb') as file:
        return hashlib.sha256(file.read()).hexdigest()


def progress(pid):
    """What does not change while a process waits for good: its processor time; None while it could run."""
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii', errors='replace') as file:
            fields = file.read().rsplit(')', 1)[1].split()
        return None if fields[0] == 'R' else fields[11:13]
    except (OSError, IndexError):
        return None


def resident_bytes(pid):
    try:
        with open(f'/proc/{pid}/statm', encoding='ascii') as file:
            return int(file.read().split()[1]) * 4096
    except (OSError, IndexError, ValueError):
        return 0


# ---- the run ----

def load_equivalent():
    """{(file, before, after): reason}"""
    listed = {}
    if os.path.exists(EQUIVALENT):
        with open(EQUIVALENT, encoding='utf-8') as file:
            rows = [row.rstrip('\n') for row in file if row.strip() and not row.startswith('#')]
        for at in range(0, len(rows), 4):
            file, before, after, reason = (row.strip() for row in rows[at:at + 4])
            listed[file, before.removeprefix('- '), after.removeprefix('+ ')] = reason
    return listed


def judge(worker, mutant, lines, usual, listed):
    """(verdict, by which test, how)"""
    if (mutant.file, mutant.before, mutant.after) in listed:
        return 'listed', '', listed[mutant.file, mutant.before, mutant.after]
    compiled = worker.compile(mutant)
    if compiled is None:
        return 'invalid', '', ''
    if compiled is False:
        return 'same', '', ''
    touched = set(range(mutant.line, mutant.line_end + 1))
    parts = set(re.split(r'[_.]', os.path.basename(mutant.file)))
    cost = lambda test: usual[test] / (1 + 20 * len(parts & set(test.split('_')[1:])))  # named like the file: sooner
    tests = [t for t in sorted(usual, key=cost) if lines[t] is None or touched & lines[t].get(mutant.file, set())]
    for test in tests:
        how, _ = worker.test(test, 20 + 6 * usual[test])
        if how:
            return 'killed', test, how
    return 'survived', '', f'{len(tests)} tests run this line'


def measure(worker, names):
    """The usual processor time of tests on the unchanged sources; all must pass."""
    usual = {}
    for name in names:
        how, seconds = worker.test(name, 900)
        if how:
            sys.exit(f'mutants: {name} {how} on the unchanged sources')
        usual[name] = max(seconds, 0.01)
    return usual


def same_mutant(row, mutant):
    return all(row[name] == getattr(mutant, name) for name in ('id', 'file', 'line', 'before', 'after'))


def kept_rows(path, mutants, survivors_too):
    """Verdicts of an earlier run on these mutants that need no second look."""
    if not os.path.exists(path):
        return []
    with open(path, encoding='utf-8') as file:
        earlier = {row['id']: row for row in json.load(file) if survivors_too or row['verdict'] != 'survived'}
    return [earlier[m.id] for m in mutants if m.id in earlier and same_mutant(earlier[m.id], m)]


def report(rows, path, seconds):
    counts = collections.Counter(row['verdict'] for row in rows)
    counted = counts['killed'] + counts['survived']
    per_file = collections.defaultdict(collections.Counter)
    for row in rows:
        per_file[row['file']][row['verdict']] += 1
    out = []
    out.append(f'{"file":26} {"killed":>7} {"survived":>9} {"same":>5} {"listed":>7} {"invalid":>8}')
    for file in sorted(per_file):
        c = per_file[file]
        out.append(f'{file:26} {c["killed"]:7} {c["survived"]:9} {c["same"]:5} {c["listed"]:7} {c["invalid"]:8}')
    out.append('')
    for row in sorted(rows, key=lambda r: r['id']):
        how = f'{row["test"]} {row["how"]}'.strip()
        out.append(f'{row["id"]} {row["verdict"]:8} {row["operator"]:12} {row["file"]}:{row["line"]}  {how}')
        if row['verdict'] == 'survived':
            out.append(f'      - {row["before"]}\n      + {row["after"]}')
    share = 100.0 * counts['killed'] / counted if counted else 0.0
    out.append('')
    out.append(f'{counted} mutants counted, {counts["killed"]} killed ({share:.1f} %), {counts["survived"]} survived; '
               f'not counted: {counts["same"]} same object, {counts["listed"]} listed as equivalent, '
               f'{counts["invalid"]} invalid; {seconds:.0f} s')
    with open(path, 'w', encoding='utf-8') as file:
        file.write('\n'.join(out) + '\n')
    print('\n'.join(out))
    return share


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--count', type=int, default=200)
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('--goal', type=float, default=90.0)
    parser.add_argument('--only', action='append', default=[], help='a source file; may be repeated')
    parser.add_argument('--id', action='append', default=[], help='only these mutants of the drawn ones')
    parser.add_argument('--skip', action='append', default=[], help='a test that is not run; may be repeated')
    parser.add_argument('--all-tests', action='store_true', help='do without tests/coverage.sh: any test may kill')
    parser.add_argument('--again', action='store_true', help='keep the verdicts of the last run but "survived"')
    parser.add_argument('--resume', action='store_true', help='keep all verdicts of the last run')
    parser.add_argument('--minutes', type=float, default=1e9, help='begin no mutant after so long')
    parser.add_argument('--slow', type=float, default=1e9, help='leave out tests that take more seconds of the processor')
    parser.add_argument('--show', help='print the change of one mutant and end')
    parser.add_argument('--build', default=os.path.join(ROOT, 'build-mutants'))
    arguments = parser.parse_args()

    mutants = mutants_make.draw(ROOT, arguments.seed, arguments.count, arguments.only)
    if arguments.show:
        for m in mutants:
            if m.id == arguments.show:
                print(f'{m.file}:{m.line} {m.operator}\n- {m.before}\n+ {m.after}')
        return 0
    if arguments.id:
        mutants = [m for m in mutants if m.id in arguments.id]
    start = time.monotonic()
    lines, listed = load_map(arguments.skip, not arguments.all_tests), load_equivalent()
    workers = [Worker(os.path.join(arguments.build, str(i)), set(lines)) for i in range(arguments.jobs)]
    idle = queue.Queue()  # a worker begins as soon as its build stands

    def start_worker(worker):
        try:
            worker.prepare()
        except subprocess.CalledProcessError as error:
            print(error.output[-3000:], file=sys.stderr, flush=True)
            os._exit(2)
        idle.put(worker)

    for worker in workers:
        threading.Thread(target=start_worker, args=(worker,), daemon=True).start()
    first = idle.get()
    usual_path = os.path.join(arguments.build, 'usual.json')
    usual = {}
    if os.path.exists(usual_path):
        with open(usual_path, encoding='utf-8') as file:
            usual = json.load(file)
    usual = {name: seconds for name, seconds in usual.items() if name in lines}
    usual.update(measure(first, sorted(set(lines) - set(usual))))
    with open(usual_path, 'w', encoding='utf-8') as file:
        json.dump(usual, file)
    usual = {name: seconds for name, seconds in usual.items() if seconds <= arguments.slow}
    idle.put(first)

    rows_path = os.path.join(arguments.build, 'rows.json')
    rows = kept_rows(rows_path, mutants, arguments.resume) if arguments.again or arguments.resume else []
    kept = {row['id'] for row in rows}
    writing = threading.Lock()

    def one(mutant):
        if time.monotonic() - start > 60 * arguments.minutes:
            return
        worker = idle.get()
        try:
            verdict, test, how = judge(worker, mutant, lines, usual, listed)
        finally:
            idle.put(worker)
        row = {'id': mutant.id, 'verdict': verdict, 'test': test, 'how': how, 'file': mutant.file, 'line': mutant.line,
               'operator': mutant.operator, 'before': mutant.before, 'after': mutant.after}
        print(f'{mutant.id} {verdict} {mutant.file}:{mutant.line} {mutant.operator} {test} {how}', file=sys.stderr, flush=True)
        with writing:
            rows.append(row)
            with open(rows_path, 'w', encoding='utf-8') as file:
                json.dump(rows, file, indent=1)

    order = [m for m in mutants if m.id not in kept]
    random.Random(arguments.seed).shuffle(order)  # a run that is cut short has seen some of everything
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(one, order))
    return report(rows, os.path.join(arguments.build, 'report.txt'), time.monotonic() - start) < arguments.goal


if __name__ == '__main__':
    sys.exit(main())
