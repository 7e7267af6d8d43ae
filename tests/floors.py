#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Fail when a source file includes upwards, sideways, across owners, or in a
ring, or when a program's folder can see what it is barred from."""
import pathlib
import re
import sys

# A file may include its own folder and anything on a lower floor.
FLOOR = {
    "lib/base": 0,
    "lib/io": 1, "lib/crypto": 1,
    "lib/config": 2, "lib/acme": 2, "lib/ipc": 2,
    "lib/store": 3,
    "daemon/supervisor": 4, "daemon/engine": 4, "daemon/keeper": 4,
    "daemon/ctl": 4,
}
# Foreign headers, and the one folder that may see each.
OWNER = {
    "curl/": "lib/io", "event2/": "lib/io", "event.h": "lib/io",
    "jansson.h": "lib/io", "seccomp.h": "lib/io", "libpsl.h": "lib/io",
    "ares.h": "lib/io",
    "yaml.h": "lib/config",
    "mbedtls/": "lib/crypto", "psa/": "lib/crypto",
}
# What a folder must not see, be it through another header: root must not even
# be able to parse what a network sent, and its hooks must not inherit a
# filter; the keeper has no network and keeps no state but keys.
BARRED = {
    "daemon/supervisor": ("lib/io/http", "lib/io/json", "lib/io/uhttp",
                          "lib/io/confine", "lib/io/psl", "lib/io/dns", "lib/crypto/", "lib/acme/",
                          "lib/store/"),
    "daemon/keeper": ("lib/io/http", "lib/io/uhttp", "lib/io/json",
                      "lib/io/psl", "lib/io/dns", "lib/store/"),
}
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)', re.M)


def folder(name):
    return name.rpartition("/")[0]


def check_include(src, kind, dep):
    """What is wrong with one direct #include, or None."""
    me = folder(src)
    if kind == "<":
        owner = next((o for h, o in OWNER.items() if dep.startswith(h)), me)
        return None if owner == me else f"<{dep}> belongs to {owner}"
    if "/" not in dep:
        return f"\"{dep}\": write it from the root, {me}/{dep}"
    if folder(dep) not in FLOOR:
        return f"{dep} is on no floor"
    if folder(dep) != me and FLOOR[folder(dep)] >= FLOOR[me]:
        return f"{dep} is not below {me}"
    return None


def read(root):
    """Every source file's own includes, and what is wrong with them."""
    graph, bad = {}, []
    for path in sorted(p for d in FLOOR for p in (root / d).glob("*.[ch]")):
        src = path.relative_to(root).as_posix()
        graph[src] = []
        for kind, dep in INCLUDE.findall(path.read_text()):
            fault = check_include(src, kind, dep)
            if fault:
                bad.append(f"{src}: {fault}")
            if kind == '"':
                graph[src].append(dep)
    return graph, bad


def check_barred(graph):
    bad = []
    for src in graph:
        todo, via = [src], {src: None}
        while todo:
            here = todo.pop()
            for dep in graph.get(here, []):
                if dep in via:
                    continue
                via[dep] = here
                todo.append(dep)
                if dep.startswith(BARRED.get(folder(src), ("\0",))):
                    how = "" if here == src else f" (by {here})"
                    bad.append(f"{src}: {dep} is barred from "
                               f"{folder(src)}{how}")
    return bad


def check_rings(graph):
    bad, done = [], set()

    def walk(node, trail):
        if node in trail:
            bad.append("ring: " + " -> ".join(trail[trail.index(node):]
                                              + [node]))
        elif node not in done:
            for dep in graph.get(node, []):
                walk(dep, trail + [node])
            done.add(node)

    for node in graph:
        walk(node, [])
    return bad


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    graph, bad = read(root)
    if not graph:
        bad.append(f"{root}: no source here")
    bad += check_barred(graph) + check_rings(graph)
    print("\n".join(sorted(set(bad))) or "floors: clean")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
