# SPDX-License-Identifier: ISC
"""The scenario language: what README says, as lists of Rule, Hold, Failure
and settings."""
import json
import re
import threading

FOREVER = 10 ** 9
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
SHOWN = {"order": ("pending", "ready", "processing"),
         "authz": ("pending", "processing", "error")}
WIRE = ("delay", "delay-body", "drip", "idle")
BARE = ("drop", "rst", "rst-body", "close", "endless", "hold", "keep", "process")
PEM = ("key", "text", "crlf", "no-newline", "nul", "empty", "leaf-only",
       "wrong-key", "expired", "not-yet", "more-names")
HEAD = re.compile(r"on (\S+) (\S+?)((?: (?:(?:hit|every|for|with|without) \S+?"
                  r"|reused))*):(?: (.*))?")


class ScriptError(Exception):
    pass


def span(text):
    """"90d", "-1h30m", "250ms", "12": seconds."""
    m = re.fullmatch(r"([+-]?)((?:\d+(?:\.\d+)?(?:ms|[smhd])?)+)", text)
    if m is None:
        raise ScriptError(f"{text!r} is no span of time")
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhd])?", m[2])
    n = sum(float(v) * UNITS[u or "s"] for v, u in parts)
    return -n if m[1] == "-" else n


def number(text):
    if text in ("for-ever", "always"):
        return FOREVER
    if not text.isdigit():
        raise ScriptError(f"{text!r} is no number")
    return int(text)


def literal(text):
    """A body: JSON text in quotes, for bytes that a line cannot hold."""
    if text.startswith('"'):
        text = json.loads(text)
    return text.encode()


class Rule:
    """What to do with some requests.  Each counts those that are its own."""

    def __init__(self, method, path):
        self.method, self.path = method, re.compile(path)
        self.first, self.last, self.every = 1, FOREVER, 1
        self.names, self.payload, self.reused = None, [], False
        self.seen = self.hits = 0
        self.actions = []
        self.gate = threading.Event()  # what "hold" waits for
        self.text = f"on {method} {path}"

    def condition(self, word, value):
        if word == "hit":
            a, _, b = value.partition("..")
            self.first = number(a)
            self.last = number(b) if b else \
                FOREVER if value.endswith("..") else self.first
        elif word == "every":
            self.every = number(value)
        elif word == "for":
            self.names = value
        elif word == "reused":
            self.reused = True
        else:
            self.payload.append((word == "with", value))

    def wants(self, method, path, names, payload, served):
        """Count it, and say whether it is one to act upon."""
        if method != self.method or not self.path.search(path):
            return False
        if self.names is not None and self.names not in names:
            return False
        if self.reused and served == 0:
            return False
        if any((text in payload) != there for there, text in self.payload):
            return False
        self.seen += 1
        if not self.first <= self.seen <= self.last or \
                (self.seen - self.first) % self.every != 0:
            return False
        self.hits += 1
        return True

    def action(self, line):
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        if word in WIRE:
            self.actions.append((word, span(rest)))
        elif word in BARE:
            self.actions.append((word, True))
        elif word == "status":
            self.actions.append((word, int(rest)))
        elif word == "problem":
            kind, _, more = rest.partition(" ")
            status, _, detail = more.partition(" ")
            if not status.isdigit():
                status, detail = "400", more
            self.actions.append(
                (word, (kind, int(status), detail or "told by the script")))
        elif word == "header":
            key, _, value = rest.partition(":")
            self.actions.append((word, (key, value.strip())))
        elif word in ("body", "html"):
            self.actions.append((word, literal(rest)))
        elif word == "set":
            key, eq, value = rest.partition(" = ")
            if not eq:
                raise ScriptError(f'no " = " in {line!r}')
            self.actions.append((word, (key, json.loads(value))))
        elif word == "del":
            self.actions.append((word, rest))
        elif word == "pem":
            if rest not in PEM:
                raise ScriptError(f"pem {rest}: there are {PEM}")
            self.actions.append((word, rest))
        else:
            raise ScriptError(f"no such action: {line!r}")

    def __repr__(self):
        return f"{self.text}: {self.actions}, {self.hits} of {self.seen}"


class Hold:
    """An object that shows another status than it has, for n looks."""

    def __init__(self, of, show, n, names=None, problem=None):
        self.of, self.show, self.n = of, show, n
        self.names, self.problem = names, problem
        self.shown = {}

    def wants(self, key, names, count=True):
        if self.names is not None and self.names not in names:
            return False
        n = self.shown.get(key, 0)
        if n >= self.n:
            return False
        if count:
            self.shown[key] = n + 1
        return True


class Failure:
    """The next n validations of a name fail."""

    def __init__(self, name, n, kind, detail):
        self.name, self.n = name, n
        self.kind, self.detail = kind, detail

    def wants(self, name):
        if self.name not in ("*", name) or self.n == 0:
            return False
        self.n -= 1
        return True


def parse_rule(line):
    m = HEAD.fullmatch(line)
    if m is None:
        raise ScriptError(f"not a rule: {line!r}")
    r = Rule(m[1], m[2])
    words = m[3].split()
    while words:
        word = words.pop(0)
        r.condition(word, words.pop(0) if word != "reused" else "")
    if m[4]:
        r.action(m[4])
    return r


def optional_name(words):
    """"for NAME" taken out of words."""
    if "for" not in words:
        return None
    i = words.index("for")
    name = words[i + 1]
    del words[i:i + 2]
    return name


def parse_hold(words):
    names = optional_name(words)
    of, show, n, *problem = words
    if show not in SHOWN.get(of, ()):
        raise ScriptError(f"hold {of} {show}: there are {SHOWN}")
    if (show == "error") != bool(problem):
        raise ScriptError("an error, and nothing else, has TYPE and DETAIL")
    return Hold(of, show, number(n), names, problem and
                (problem[0], " ".join(problem[1:]) or "told by the script"))


def parse_fail(words):
    name, n, kind, *detail = words
    return Failure(name, number(n), kind,
                   " ".join(detail) or "told by the script")


def parse(text, ca):
    """Add what text says to ca: rules, holds, failures; ca.set(key, words)."""
    rule = None
    for i, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            rule = rule if bare else None
            continue
        try:
            if line[0] in " \t" and rule is not None:
                rule.action(bare)
            elif bare.startswith("on "):
                rule = parse_rule(bare)
                ca.rules.append(rule)
            else:
                rule = None
                word, *words = bare.split()
                if word == "hold":
                    ca.holds.append(parse_hold(words))
                elif word == "fail":
                    ca.failures.append(parse_fail(words))
                else:
                    ca.set(word, words)
        except (ScriptError, ValueError, IndexError, re.error) as e:
            raise ScriptError(f"line {i}: {bare}: {e}") from None
