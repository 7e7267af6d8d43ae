#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""House rules that no compiler checks: banned calls, sizes, file heads."""
import pathlib
import re
import sys

FUNCTION_LINES = 80
FILE_LINES = 800
# Tables and dispatchers that are better whole: "file: function".
LONG = set()
# A main() may end the program.
PROGRAM = re.compile(r"/main\.c$|^tests/")

BANNED = (
    "sprintf vsprintf strcpy strcat strncpy strncat strtok gets atoi atol atoll "
    "sscanf alloca system popen gmtime localtime ctime asctime rand srand "
    "signal basename dirname").split()
# Pattern, what to say, and where it holds (by regular expression).
RULES = [
    (r"(?<![\w.>])(%s)\s*\(" % "|".join(BANNED), "{} is banned", r""),
    (r"(?<![\w.>])(exit)\s*\(", "{} outside main.c", r"^(lib|daemon)/"),
    (r"\b(goto)\b", "{}: use AUTO", r"^(lib|daemon)/"),
    (r"\b(assert)\s*\((?=[^;]*[^=!<>]=[^=])", "assignment within {}", r""),
    (r"\(\s*[\w ]+\*\s*\)\s*((?:m|c|re)alloc)\s*\(", "cast of {}", r""),
    (r"\bchar\s+(\w+\[\s*\d+\s*\])", "char {}: name the size",
     r"^(lib/(?!base/)|daemon/)"),
    (r"\b(log_(?:error|warn|info|write))\s*\(", "{}: libraries do not log",
     r"^lib/(?!base/log\.)"),
    (r"\b(typedef)\b(?![^;]*\()", "{} that is no callback", r"^(lib|daemon)/"),
]
TOKEN = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def bare(text):
    """text without comments and strings, line for line."""
    def blank(m):
        s = m.group()
        if s[0] in "\"'":
            return s[0] + s[0]
        return "\n" * s.count("\n") or " "
    return TOKEN.sub(blank, text)


def check_head(text, name):
    if not text.startswith("/* SPDX-License-Identifier: ISC */\n"):
        yield 1, "no SPDX line"
    if name.endswith(".h") and "\n#pragma once\n" not in text:
        yield 1, "no #pragma once"
    lines = text.count("\n")
    # A test may be one long list of cases.
    if lines > FILE_LINES and not name.startswith("tests/"):
        yield lines, f"{lines} lines in a file"


def check_rules(code, name):
    for pattern, say, where in RULES:
        if not re.search(where, name):
            continue
        if "exit" in pattern and PROGRAM.search(name):
            continue
        for m in re.finditer(pattern, code):
            yield code.count("\n", 0, m.start(1)) + 1, say.format(m.group(1))


def check_functions(code, name):
    """A function's body is what stands between braces in the first column."""
    lines = code.split("\n")
    for start, line in enumerate(lines):
        if line != "{" or "}" not in lines[start:]:
            continue
        end = lines.index("}", start)
        first = start
        while first > 0 and re.match(r"[\s\w(]", lines[first - 1]):
            first -= 1
        head = "\n".join(lines[first:start])
        m = re.search(r"^(\w+)\(", head, re.M)
        if m is None:
            continue
        length = end - start - 1
        where = f"{name}: {m.group(1)}"
        if length > FUNCTION_LINES and where not in LONG:
            yield start + 1, f"{m.group(1)}() has {length} lines"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    bad = 0
    for path in sorted(p for d in ("lib", "daemon", "tests")
                       for p in (root / d).rglob("*.[ch]")):
        name, text = path.relative_to(root).as_posix(), path.read_text()
        code = bare(text)
        for line, what in sorted([*check_head(text, name),
                                  *check_rules(code, name),
                                  *check_functions(code, name)]):
            print(f"{name}:{line}: {what}")
            bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
