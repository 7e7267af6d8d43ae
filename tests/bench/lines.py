#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""
Lines and functions of each folder, and how much of it tests run.

    lines.py SOURCE_DIR [COVERAGE_BUILD_DIR]
"""
import json
import pathlib
import re
import subprocess
import sys

COMMENT = re.compile(r"/\*.*?\*/", re.S)


def functions(text):
    """Lines of each function: from its return type to "}" in column 0."""
    lines = text.split("\n")
    for i, line in enumerate(lines):
        if line != "{" or "}" not in lines[i:]:
            continue
        first = i
        while first > 0 and re.match(r"[\s\w(]", lines[first - 1]):
            first -= 1
        head = re.search(r"^(\w+)\(", "\n".join(lines[first:i]), re.M)
        if head is not None:
            yield lines.index("}", i) - first + 1, head.group(1)


def measure(files):
    code = total = 0
    found = []
    for f in files:
        text = f.read_text(encoding="utf-8")
        total += text.count("\n")
        code += sum(1 for line in COMMENT.sub("", text).split("\n")
                    if line.strip())
        found += [(n, f"{f.name}: {name}") for n, name in functions(text)]
    found.sort()
    return total, code, found


def row(name, files, covered):
    total, code, found = measure(files)
    at = lambda share: found[min(len(found) - 1, int(len(found) * share))][0]
    longest = f"{found[-1][0]} ({found[-1][1]})"
    return [name, len(files), total, code, len(found), at(0.5), at(0.9),
            covered, longest]


def coverage(source, build):
    """Lines run and lines there are, of each folder."""
    text = subprocess.run(
        ["gcovr", "--root", source, "--filter", "lib/", "--filter", "daemon/",
         build, "--json-summary", "-"], check=True,
        capture_output=True, cwd=source).stdout
    folders = {}
    for f in json.loads(text)["files"]:
        sums = folders.setdefault(str(pathlib.PurePath(f["filename"]).parent),
                                  [0, 0])
        sums[0] += f["line_covered"]
        sums[1] += f["line_total"]
    return folders


def rows(source, build=None):
    root = pathlib.Path(source)
    covered = coverage(source, build) if build else {}
    share = lambda sums: f"{100 * sums[0] / sums[1]:.1f} %" if sums[1] else "-"
    everything = []
    for folder in sorted(root.glob("lib/*/")) + sorted(root.glob("daemon/*/")):
        files = sorted(folder.glob("*.[ch]"))
        name = str(folder.relative_to(root))
        everything += files
        yield row(name, files, share(covered.get(name, [0, 0])))
    yield row("all of it", everything,
              share([sum(s) for s in zip(*covered.values())] or [0, 0]))


HEAD = ["folder", "files", "lines", "code", "functions", "median", "90 %",
        "covered", "longest"]


def print_table(table):
    table = [[str(c) for c in r] for r in table]
    wide = [max(len(r[i]) for r in table) for i in range(len(table[0]))]
    for r in table:
        print("  ".join(
            c.rjust(w) if re.match(r"[\d.]+( %| ms)?$", c) else c.ljust(w)
            for c, w in zip(r, wide)).rstrip())


if __name__ == "__main__":
    print_table([HEAD, *rows(*sys.argv[1:3])])
