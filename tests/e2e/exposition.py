# SPDX-License-Identifier: ISC
"""A reader of Prometheus' text format, version 0.0.4, that is stricter than any
that a monitoring system has: whatever it lets through all of them take."""
import re

NAME = re.compile(r"acmed_[a-z]+(_[a-z]+)*")
LABEL = re.compile(r'([a-z][a-z0-9]*)="((?:[^"\\\n]|\\["\\n])*)"')
VALUE = re.compile(r"0|-?[1-9][0-9]*")
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


class Bad(Exception):
    pass


def must(fine, line, why):
    if not fine:
        raise Bad(f"{why}: {line!r}")


def read_labels(text, line):
    labels, at = {}, 0
    while True:
        m = LABEL.match(text, at)
        must(m, line, "no label")
        must(m[1] not in labels, line, "a label twice")
        labels[m[1]] = re.sub(r"\\.", lambda e: ESCAPES[e[0]], m[2])
        at = m.end()
        if at == len(text):
            return labels
        must(text[at] == ",", line, "no comma between labels")
        at += 1


def read_sample(line):
    """(name, labels, value)"""
    if "{" in line:
        name, rest = line.split("{", 1)
        inside, _, value = rest.rpartition("} ")
        labels = read_labels(inside, line)
    else:
        name, _, value = line.partition(" ")
        labels = {}
    must(VALUE.fullmatch(value), line, "not a whole number alone")
    return name, labels, int(value)


class Family:
    def __init__(self, name, help_text):
        self.name, self.help, self.type = name, help_text, None
        self.samples = {}  # {frozenset of labels: value}

    def names(self):
        return {frozenset(k for k, _ in labels) for labels in self.samples}


def check_family(f):
    """What the conventions for names and units ask for."""
    must(NAME.fullmatch(f.name), f.name, "not a name for us")
    must(f.help and not re.search(r"\\[^\\n]", f.help), f.help, "bad HELP")
    must(f.type in ("gauge", "counter"), f.name, "bad TYPE")
    must((f.type == "counter") == f.name.endswith("_total"), f.name,
         "a counter, and only that, ends in _total")
    must(("_timestamp" in f.name) == f.name.endswith("_timestamp_seconds"),
         f.name, "an instant without its unit")
    must(not re.search(r"_(ms|milliseconds|minutes|hours|days|count|sum|"
                       r"bucket|permille|percent)\b", f.name),
         f.name, "another unit, or what is a histogram's")
    must(len(f.names()) <= 1, f.name, "not the same labels everywhere")
    if f.type == "counter" or f.name.endswith("_info"):
        must(all(v >= 0 for v in f.samples.values()), f.name, "below zero")


class Page:
    """All of it: page[name, label=value, ...]."""

    def __init__(self, data):
        text = data.decode("utf-8")  # or it is bad
        must(text.endswith("\n"), text[-80:], "no end of the last line")
        must(not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text), "",
             "control characters")
        self.families = {}
        family = None
        for line in text[:-1].split("\n"):
            if line.startswith("# HELP "):
                must(family is None or family.type, line, "HELP without TYPE")
                name, _, said = line[7:].partition(" ")
                must(name not in self.families, line, "HELP twice")
                family = self.families[name] = Family(name, said)
            elif line.startswith("# TYPE "):
                name, _, said = line[7:].partition(" ")
                must(family and family.name == name and not family.type,
                     line, "TYPE not behind its HELP")
                family.type = said
            else:
                name, labels, value = read_sample(line)
                must(family and family.type and family.name == name, line,
                     "sample not behind its TYPE")
                key = frozenset(labels.items())
                must(key not in family.samples, line, "a series twice")
                family.samples[key] = value
        for family in self.families.values():
            check_family(family)

    def get(self, name, **labels):
        """None: there is no such series.  There must be such a family."""
        return self.families["acmed_" + name].samples.get(
            frozenset(labels.items()))

    def label(self, name, wanted, **labels):
        """{value of that label: value} of the series with those others."""
        found = {}
        for series, value in self.families["acmed_" + name].samples.items():
            have = dict(series)
            if all(have.get(k) == v for k, v in labels.items()):
                found[have[wanted]] = value
        return found
