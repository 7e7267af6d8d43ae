# SPDX-License-Identifier: ISC
"""What the soak asserts, from what was seen."""
import statistics
from collections import Counter

import watch

LIFE_S = 180
# The breaker's wait that was begun just before the CA was well again (30 s when
# the trouble was short, 60 s after half a minute of it; a fifth more by chance)
# or the ladder's first step (60 s and a fifth), and the queue of all that has
# become due meanwhile.
AFTER_S = 72 + 30
# Windows are the whole of the lifetime here, the instant in it is even; no
# earlier than a 20th of it, no later than three quarters.
MEAN_S = LIFE_S * (.05 * .05 + .70 * .40 + .25 * .75)
# Of each process: two steps of the allocator (132 kB), which is what an order
# of events that was not seen before may cost.
KB_MORE = 264
FDS_MORE = 6
LISTENERS, OF_LISTENERS_S = 8, 60   # of faults.hanging_clients
KEPT = 3


def gaps(soak):
    """Each time that a certificate was expired: how long, after which faults,
    and for how long after the last one of them had ended."""
    for name, spans in sorted(soak.reader.gaps.items()):
        for begin, end in spans:
            mine = [f for f in soak.log if f[0] < end and
                    f[1] > begin - LIFE_S and
                    set(f[3]) & set(soak.known[name])]
            yield {"name": name, "cas": soak.known[name], "from": begin,
                   "seconds": end - begin,
                   "after": end - max((f[1] for f in mine), default=begin),
                   "down": sum(f[1] - f[0] for f in mine),
                   "faults": [f[2] for f in mine]}


def thirds(values):
    """The first and the last of them."""
    n = max(1, len(values) // 3)
    return values[:n], values[-n:]


def expired(soak):
    """No certificate is expired without a fault of its CAs, or of acmed, in
    its lifetime; none for longer than these faults lasted, and AFTER_S; none
    later than AFTER_S after the last of them."""
    found = list(gaps(soak))
    bad = [g for g in found if not g["faults"] or
           g["seconds"] > g["down"] + AFTER_S or g["after"] > AFTER_S]
    lost = sum(g["seconds"] for g in found)
    have = sum(r["wanted"] for r in soak.curve.rows) * soak.sample_s
    return not bad, (
        f"{len(found)} times a certificate was expired, {lost:.0f} s of "
        f"{have:.0f} s ({lost / max(1, have):.2%}), at most "
        f"{max((g['seconds'] for g in found), default=0):.0f} s; the last "
        f"{max((g['after'] for g in found), default=0):.0f} s after a fault; "
        f"unexcused {[(g['name'], round(g['seconds'])) for g in bad]}")


def pairs(soak):
    r = soak.reader
    return not r.bad, (f"{r.checks} looks at a pair, {len(r.bad)} did not "
                       f"match {r.bad[:3]}")


def curve_of(soak, program, begin=0):
    return [r["processes"][program] for r in soak.curve.rows
            if r["processes"] and r["at"] > begin]


def unread(soak):
    """Engines, by process, that had listeners who never read: a megabyte for
    each of them may wait, and the allocator keeps what it had."""
    when = [f[0] for f in soak.log if f[2] == "hanging_clients"]
    return {r["processes"]["acmed-engine"]["pid"] for r in soak.curve.rows
            for t in when if r["processes"] and
            0 <= soak.curve.started + r["at"] - t < OF_LISTENERS_S}


def grown(soak):
    """The memory that was needed at most in the last third is what was needed
    at most in the first; each third has seen each kind of fault.  (The median
    is that of how long ago the process was started.)  Descriptors are counted
    by the median: strangers have their places while they are there."""
    out = unread(soak)
    for program in watch.PROGRAMS:
        first, last = thirds([p for p in curve_of(soak, program)
                              if p["pid"] not in out])
        if not first:       # a short run of --only hanging_clients
            continue
        kb = [max(p["Pss_Anon"] for p in x) for x in (first, last)]
        fds = [statistics.median(p["fds"] for p in x) for x in (first, last)]
        end = curve_of(soak, program)[-1]["fds"]
        yield kb[1] <= kb[0] + KB_MORE, (
            f"{program}: at most {kb[0]} kB in the first third, {kb[1]} in the "
            f"last (and {KB_MORE} more are allowed)")
        yield max(fds[1], end) <= fds[0] + FDS_MORE, (
            f"{program}: {fds[0]:.0f} descriptors in the first third, "
            f"{fds[1]:.0f} in the last, {end} in the end (and {FDS_MORE} more "
            f"are allowed)")
    most = max((p["Pss_Anon"] for p in curve_of(soak, "acmed-engine")
                if p["pid"] in out), default=0)
    usual = max((p["Pss_Anon"] for p in curve_of(soak, "acmed-engine")
                 if p["pid"] not in out), default=0)
    yield most <= usual + LISTENERS * 1024, (
        f"acmed-engine, with {LISTENERS} listeners who do not read: at most "
        f"{most} kB, else {usual} kB")


def longest(soak):
    """And in the run of one process that was the longest, its end is as its
    middle was."""
    for program in watch.PROGRAMS:
        runs = {}
        for p in curve_of(soak, program, soak.warm_s):
            runs.setdefault(p["pid"], []).append(p["Pss_Anon"])
        most = max(runs.values(), key=len, default=[])
        if len(most) < 6:
            continue
        middle = statistics.median(most[len(most) // 3:-len(most) // 3])
        end = statistics.median(most[-len(most) // 3:])
        yield end <= middle + KB_MORE, (
            f"{program}: {len(most) * soak.sample_s / 60:.0f} min in one "
            f"process, median {middle:.0f} kB in the middle, {end:.0f} kB in "
            f"the end")


def files(soak):
    """Three versions of four files, keys of three and of the order under way,
    two files of state, of each certificate."""
    bad = [r for r in soak.curve.rows if
           r["files"] > 18 * len(soak.known) + 40 or
           r["keys"] > (KEPT + 1) * r["wanted"] + 8 or
           r["versions"] > KEPT + 1 or r["orders"] > r["wanted"] or r["odd"]]
    last = soak.curve.rows[-1]
    most = {k: max(r[k] for r in soak.curve.rows)
            for k in ("files", "keys", "versions", "orders", "odd")}
    return not bad and last["versions"] <= KEPT and not soak.leaks, (
        f"at most {most}, in the end {last['files']} files; keys that nobody "
        f"names: {len(soak.leaks)}")


def zombies(soak):
    return not soak.curve.stayed, f"zombies: {len(soak.curve.stayed)}"


def lines(soak):
    """R45: what is said follows what is done, and nothing is said over and
    over."""
    c = soak.curve
    most = max(c.lines.values(), default=0)
    (_, text, cert), n = Counter(c.texts).most_common(1)[0]
    return most <= 1500 and n <= 120 and not c.odd, (
        f"{sum(c.lines.values())} lines of log, at most {most} in a minute; "
        f"the most often said in one: {n} times {text!r} {cert}; "
        f"{len(c.odd)} odd {c.odd[:2]}")


def orders(soak):
    """What would be made without a fault, and half as many again."""
    ideal = sum(r["wanted"] for r in soak.curve.rows) * soak.sample_s / MEAN_S
    made = sum(soak.curve.orders.values())
    return made <= 1.5 * ideal + len(soak.known), (
        f"{made} orders {dict(soak.curve.orders)}, {made / ideal:.2f} of what "
        f"it takes without faults; {sum(soak.curve.requests.values())} "
        f"requests")


def well(soak):
    last = soak.curve.rows[-1]
    return bool(last["healthy"]) and last["valid"] == last["wanted"] and \
        soak.status == 0, (
            f"in the end {last['valid']} of {last['wanted']} valid, healthy: "
            f"{last['healthy']}, exit status {soak.status}")


def own(soak):
    return not soak.failed, f"of the soak itself: {soak.failed}"


def all_of(soak):
    yield pairs(soak)
    yield expired(soak)
    yield from grown(soak)
    yield from longest(soak)
    for what in files, zombies, lines, orders, well, own:
        yield what(soak)
