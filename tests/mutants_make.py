"""Mutants of C sources, drawn by seed. See tests/mutants.py.

The sources are read as tokens, not parsed. Their layout is settled (clang-format), which makes that enough:
a binary operator has white space on both sides, a unary one has not.

Operators:
    compare    < <= > >= == !=: the boundary moved, or the comparison turned round
    arithmetic + - * / % << >> & | ^ ++ -- and their assignments: another one of their kind
    logic      && for ||, || for &&
    negate     a condition turned round; ! dropped
    force      an if always taken, or never; a loop never entered
    constant   a number one more, or one less
    delete     an assignment or a call left out; break and continue left out
    result     another status, the other truth value, no pointer
"""
import dataclasses
import os
import random
import re

TOKEN = re.compile(r'''(?P<comment>/\*.*?\*/|//[^\n]*)|(?P<pre>^[ \t]*\#(?:\\\n|[^\n])*)|(?P<string>"(?:\\.|[^"\\])*")
    |(?P<char>'(?:\\.|[^'\\])*')|(?P<number>0[xX][0-9a-fA-F]+[uUlL]*|\d+[uUlL]*)|(?P<word>[A-Za-z_]\w*)
    |(?P<op><<=|>>=|->|\+\+|--|&&|\|\||<<|>>|<=|>=|==|!=|[-+*/%&|^]=|[{}()\[\];,:?.~!<>=+*/%&|^-])''',
                   re.X | re.S | re.M)

COMPARE = {'<': ('<=', '>='), '<=': ('<', '>'), '>': ('>=', '<='), '>=': ('>', '<'), '==': ('!=',), '!=': ('==',)}
ARITHMETIC = {'+': ('-',), '-': ('+',), '*': ('/',), '/': ('*',), '%': ('/',), '<<': ('>>',), '>>': ('<<',),
              '&': ('|',), '|': ('&',), '^': ('|',)}
ASSIGN = {'+=': ('-=', '='), '-=': ('+=', '='), '|=': ('&=', '='), '&=': ('|=', '='), '*=': ('/=',), '/=': ('*=',),
          '%=': ('/=',), '^=': ('|=',), '<<=': ('>>=',), '>>=': ('<<=',)}
KEYWORDS = {'return', 'break', 'continue', 'goto', 'case', 'default', 'if', 'for', 'while', 'switch', 'do', 'else',
            'sizeof', 'static', 'const', 'struct', 'enum', 'union', 'unsigned', 'int', 'char', 'bool', 'void',
            'size_t', 'u128', 'long', 'off_t', 'ssize_t', 'extern', 'typedef'}
STATED = {'assert', '_Static_assert', 'CHECK', '__builtin_prefetch', 'UNUSED'}
STATUSES = {'STATUS_OK': 'STATUS_CORRUPT', 'OUTCOME_OK': 'OUTCOME_QUARANTINED'}


@dataclasses.dataclass
class Token:
    kind: str
    text: str
    start: int
    end: int


@dataclasses.dataclass
class Mutant:
    file: str
    operator: str
    line: int
    line_end: int
    before: str
    after: str
    text: str
    id: str = ''


def tokens_of(text):
    return [Token(m.lastgroup, m.group(), m.start(), m.end()) for m in TOKEN.finditer(text)
            if m.lastgroup not in ('comment', 'pre')]


def matching(tokens, at):
    """The index of the bracket that closes the one at `at`."""
    pairs = {'(': ')', '{': '}', '[': ']'}
    opened, closed, depth = tokens[at].text, pairs[tokens[at].text], 0
    for i in range(at, len(tokens)):
        depth += (tokens[i].text == opened) - (tokens[i].text == closed)
        if depth == 0:
            return i
    raise ValueError('unbalanced')


def bodies(tokens):
    """[(first, last)] token indexes of the function bodies' braces."""
    found, at = [], 0
    while at < len(tokens):
        if tokens[at].text == '{':
            end = matching(tokens, at)
            if at and tokens[at - 1].text == ')':
                found.append((at, end))
            at = end
        at += 1
    return found


def stated(tokens, first, last):
    """Token indexes inside what is stated to hold: not mutated."""
    inside = set()
    for i in range(first, last):
        if tokens[i].text in STATED and tokens[i + 1].text == '(':
            inside.update(range(i, matching(tokens, i + 1) + 2))
    return inside


def is_binary(text, token):
    return text[token.start - 1].isspace() and text[token.end].isspace()


class Maker:
    """Collects the possible changes of one file as (operator, start, end, replacement)."""

    def __init__(self, text):
        self.text, self.tokens, self.changes = text, tokens_of(text), []
        self.code_lines = 0
        for first, last in bodies(self.tokens):
            skip = stated(self.tokens, first, last)
            body = text[self.tokens[first].start:self.tokens[last].end]
            self.code_lines += sum(1 for row in body.split('\n') if row.strip() not in ('', '{', '}'))
            for i in range(first + 1, last):
                if i not in skip:
                    self.look(i, last)

    def add(self, operator, start, end, replacement):
        self.changes.append((operator, start, end, replacement))

    def look(self, i, last):
        token = self.tokens[i]
        if token.kind == 'op':
            self.operator(i, token)
        elif token.kind == 'number':
            self.number(i, token)
        elif token.kind == 'word':
            if token.text in ('if', 'while') and self.tokens[i + 1].text == '(':
                self.condition(i)
            elif token.text == 'return':
                self.result(i)
            elif token.text in ('break', 'continue') and self.tokens[i + 1].text == ';':
                self.add('delete', token.start, token.end, '')
        if self.tokens[i - 1].text in (';', '{', '}', ':', 'else') or self.closes_condition(i - 1):
            self.statement(i, last)

    def operator(self, i, token):
        if token.text in ('++', '--'):
            self.add('arithmetic', token.start, token.end, '--' if token.text == '++' else '++')
        if token.text == '!' and self.tokens[i + 1].text != '=':
            self.add('negate', token.start, token.end, '')
        if not is_binary(self.text, token):
            return
        for operator, table in (('compare', COMPARE), ('arithmetic', ARITHMETIC), ('arithmetic', ASSIGN)):
            for other in table.get(token.text, ()):
                self.add(operator, token.start, token.end, other)
        if token.text in ('&&', '||'):
            self.add('logic', token.start, token.end, '||' if token.text == '&&' else '&&')

    def number(self, i, token):
        around = self.tokens[i - 1].text, self.tokens[i + 1].text
        row = self.text[self.text.rfind('\n', 0, token.start) + 1:token.start]
        if around == ('[', ']') and re.match(r'\s*(static |const |u?int\d+_t|struct |char |bool |size_t |unsigned )', row):
            return  # the size of an array
        digits = re.match(r'0[xX][0-9a-fA-F]+|\d+', token.text).group()
        suffix, value = token.text[len(digits):], int(digits, 8 if re.fullmatch(r'0\d+', digits) else 0)
        self.add('constant', token.start, token.end, f'{value + 1}{suffix}')
        if value > 0:
            self.add('constant', token.start, token.end, f'{value - 1}{suffix}')

    def condition(self, i):
        start, end = self.tokens[i + 1].start, self.tokens[matching(self.tokens, i + 1)].end
        inner = self.text[start + 1:end - 1]
        self.add('negate', start, end, f'(!({inner}))')
        self.add('force', start, end, '(0)')
        if self.tokens[i].text == 'if':
            self.add('force', start, end, '(1)')

    def result(self, i):
        value = self.tokens[i + 1]
        if self.tokens[i + 2].text != ';':
            return
        if value.text.startswith(('STATUS_', 'OUTCOME_')):
            family = 'STATUS_OK' if value.text.startswith('STATUS_') else 'OUTCOME_OK'
            self.add('result', value.start, value.end, STATUSES[family] if value.text == family else family)
        elif value.text in ('true', 'false'):
            self.add('result', value.start, value.end, 'false' if value.text == 'true' else 'true')

    def closes_condition(self, i):
        """Is token i the bracket that closes an if, for or while?"""
        if self.tokens[i].text != ')':
            return False
        depth = 0
        for j in range(i, 0, -1):
            depth += (self.tokens[j].text == ')') - (self.tokens[j].text == '(')
            if depth == 0:
                return self.tokens[j - 1].text in ('if', 'for', 'while')
        return False

    def statement(self, i, last):
        token = self.tokens[i]
        if token.text in KEYWORDS or re.fullmatch(r'u?int\d+_t', token.text):
            return
        if token.kind != 'word' and token.text not in ('*', '(', '++', '--'):
            return
        if token.kind == 'word' and self.tokens[i + 1].kind == 'word':
            return  # a declaration
        if token.kind == 'word' and self.tokens[i + 1].text == ':':
            return  # a label
        depth = 0
        for j in range(i, last):
            depth += (self.tokens[j].text in '([{') - (self.tokens[j].text in ')]}')
            if depth < 0:
                return  # inside the brackets of a for
            if depth == 0 and self.tokens[j].text == ';':
                if re.search(r'^[ \t]*#', self.text[token.start:self.tokens[j].start], re.M):
                    return
                self.add('delete', token.start, self.tokens[j].start, '')
                return


def files_of(root, only):
    names = []
    for folder in ('log', 'apply'):
        names += [f'{folder}/{n}' for n in sorted(os.listdir(os.path.join(root, folder))) if n.endswith('.c')]
    return [n for n in names if not only or n in only]


def quotas(weights, count):
    """Shares of `count` in proportion to the weights, by largest remainder."""
    total = sum(weights.values())
    exact = {name: count * weight / total for name, weight in weights.items()}
    shares = {name: int(value) for name, value in exact.items()}
    rest = sorted(exact, key=lambda name: (shares[name] - exact[name], name))
    for name in rest[:count - sum(shares.values())]:
        shares[name] += 1
    return shares


def make(file, text, change):
    operator, start, end, replacement = change
    changed = text[:start] + replacement + text[end:]
    first = text.rfind('\n', 0, start) + 1
    last = text.find('\n', end)
    before = ' '.join(text[first:last].split())
    after = ' '.join(changed[first:last + len(changed) - len(text)].split())
    line = text.count('\n', 0, start) + 1
    return Mutant(file, operator, line, text.count('\n', 0, end) + 1, before, after, changed)


def draw(root, seed, count, only):
    """`count` mutants, in the order of their files; the same for the same sources, seed and count."""
    makers = {}
    for name in files_of(root, only):
        with open(os.path.join(root, name), encoding='utf-8') as file:
            maker = Maker(file.read())
        if maker.changes:
            makers[name] = maker
    shares = quotas({name: maker.code_lines for name, maker in makers.items()}, count)
    mutants = []
    for name, maker in makers.items():
        source = random.Random(f'{seed}/{name}')
        kinds = {}
        for change in maker.changes:
            kinds.setdefault(change[0], []).append(change)
        for _ in range(min(shares[name], len(maker.changes))):
            kind = source.choice(sorted(kinds))
            change = kinds[kind].pop(source.randrange(len(kinds[kind])))
            if not kinds[kind]:
                del kinds[kind]
            mutants.append(make(name, maker.text, change))
    for number, mutant in enumerate(mutants):
        mutant.id = f'm{number:04}'
    return mutants
