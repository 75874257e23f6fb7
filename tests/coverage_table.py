#!/usr/bin/env python3
"""Branch coverage of chosen files, from llvm-cov's export (clang's source-based coverage).

    llvm-cov export ... | tests/coverage_table.py ROOT [--list] FILE...

A branch is one outcome of one leaf condition: `a && b` has four, `c ? x : y` two, a case label one. Macros
count where they are used, so each TRY and each generated reader counts. Conditions inside assert() do not
count (clang leaves out macros of system headers): their false side must never be taken. Copies of an
inline function in several objects are one function. What states that it cannot happen does not count and
is shown as "stated": the failing side of CHECK, `default: assert(0)`, and the way around a switch that lists
every case of its enum.
"""
import collections
import json
import os
import re
import sys


def branches_of(functions, root):
    """{(file, place): [true, false]}; a place is the chain of positions from the source line inwards."""
    counts = collections.defaultdict(lambda: [0, 0])
    for function in functions:
        parents = {r[6]: (r[5], r[0], r[1]) for r in function['regions'] if r[7] == 1}
        for line, column, _, _, true, false, file_id, _, _ in function['branches']:
            place = [(line, column)]
            while file_id in parents:
                file_id, line, column = parents[file_id]
                place.append((line, column))
            name = os.path.relpath(function['filenames'][file_id], root)
            entry = counts[name, tuple(reversed(place))]
            entry[0] += true
            entry[1] += false
    return counts


def stated(text, column):
    """Which sides of a branch at this place of a line state what cannot happen: (true, false)."""
    if re.match(r'(default|case \w+): assert\(0\)', text.strip()):
        return True, True
    if text[:column - 1].rstrip().endswith('switch ('):
        return True, True
    return False, False


def check_spans(lines):
    """Line numbers inside CHECK(...)."""
    inside, depth = set(), 0
    for number, text in enumerate(lines, 1):
        at = 0 if depth else text.find('CHECK(')
        if at < 0 or text.lstrip().startswith('#define'):
            continue
        inside.add(number)
        depth += text[at:].count('(') - text[at:].count(')')
    return inside


def table_of(name, lines, counts):
    """(total, taken, stated, [what was never taken])"""
    total = taken = free = 0
    missing = []
    checks = check_spans(lines)
    for (file, place), sides in sorted(counts.items()):
        if file != name:
            continue
        line, column = place[0]
        text = lines[line - 1]
        excused = stated(text, column)
        if line in checks:
            # The macro's own condition fails on its true side; a condition inside it, on the side not seen.
            excused = (not sides[0], not sides[1]) if any(sides) else (False, False)
        for side, free_side, word in zip(sides, excused, ('true', 'false')):
            if free_side and not side:
                free += 1
                continue
            total += 1
            taken += side > 0
            if not side:
                missing.append(f'  {name}:{line}:{column} never {word}: {text.strip()}')
    return total, taken, free, missing


def main():
    root, arguments = os.path.realpath(sys.argv[1]), sys.argv[2:]
    listing = '--list' in arguments
    files = [a for a in arguments if a != '--list']
    functions = json.load(sys.stdin)['data'][0]['functions']
    counts = branches_of(functions, root)
    linked = {os.path.relpath(name, root) for function in functions for name in function['filenames']}
    unlinked = [name for name in files if name.endswith('.c') and name not in linked]
    seen = {file for file, _ in counts}
    sums = [0, 0, 0]
    print(f'{"file":32} {"branches":>8} {"taken":>8} {"stated":>8}')
    for name in files:
        if name not in seen:
            continue
        with open(os.path.join(root, name), encoding='utf-8') as source:
            lines = source.read().splitlines()
        total, taken, free, missing = table_of(name, lines, counts)
        sums = [a + b for a, b in zip(sums, (total, taken, free))]
        print(f'{name:32} {total:8} {taken:8} {free:8}')
        if listing and missing:
            print('\n'.join(missing))
    print(f'{"":32} {sums[0]:8} {sums[1]:8} {sums[2]:8}   {100.0 * sums[1] / max(sums[0], 1):.2f} %')
    for name in unlinked:
        print(f'{name}: no test links it')
    return sums[0] != sums[1] or bool(unlinked)


if __name__ == '__main__':
    sys.exit(main())
