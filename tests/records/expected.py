#!/usr/bin/env python3
"""What the books of each network must say, worked out from a file of payments and nothing else.

It shares no code with Weft, on purpose: a run of the nodes over the same file is compared with what this prints.
Python 3.11 or later, standard library only.

usage: expected.py PAYMENTS [--table]

PAYMENTS has the columns time_s, from, to, amount_cents; the network is the part of a name before the dash.
The first broken line ends the run with status 1 and its number.

Prints JSON (or a table):
  payments, local, between     how many lines in all, inside a network, from one network to another
  amount_cents                 sum of all lines
  networks: per network
    members                    how many names of this network occur, as payer or payee
    local                      count, amount_cents: both ends in this network
    sent, received             totals over all peers: count, amount_cents
    peers: per other network that it paid or was paid by
      sent, received           count, amount_cents
      position_cents           received minus sent: above zero the peer owes this network, below zero this
                               network owes the peer. The two ends of a pair are opposite.
"""
import argparse
import csv
import json
import re

COLUMNS = ["time_s", "from", "to", "amount_cents"]
MEMBER = re.compile(r"[A-Za-z0-9]+-[A-Za-z0-9]+")
WHOLE = re.compile(r"0|[1-9][0-9]*")


def zero():
    return {"count": 0, "amount_cents": 0}


def book(total, amount):
    total["count"] += 1
    total["amount_cents"] += amount


def read(path):
    """Yields (payer, payee, amount in cents), or ends the run at the first broken line."""
    with open(path, newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        if next(lines, None) != COLUMNS:
            raise SystemExit(f"line 1: the columns must be {','.join(COLUMNS)}")
        for fields in lines:
            problem = None
            if len(fields) != len(COLUMNS):
                problem = f"{len(fields)} fields, not {len(COLUMNS)}"
            elif not WHOLE.fullmatch(fields[0]):
                problem = f"time_s is not a whole number: {fields[0]!r}"
            elif not (MEMBER.fullmatch(fields[1]) and MEMBER.fullmatch(fields[2])):
                problem = f"a name is not NETWORK-MEMBER: {fields[1]!r}, {fields[2]!r}"
            elif fields[1] == fields[2]:
                problem = f"{fields[1]} pays itself"
            elif not WHOLE.fullmatch(fields[3]) or fields[3] == "0":
                problem = f"amount_cents is not a whole number above zero: {fields[3]!r}"
            if problem:
                raise SystemExit(f"line {lines.line_num}: {problem}")
            yield fields[1], fields[2], int(fields[3])


def expected(path):
    members, networks = {}, {}
    report = {"payments": 0, "local": 0, "between": 0, "amount_cents": 0}

    def entry(name):
        return networks.setdefault(
            name, {"members": 0, "local": zero(), "sent": zero(), "received": zero(), "peers": {}}
        )

    def peer_of(name, other):
        return entry(name)["peers"].setdefault(other, {"sent": zero(), "received": zero(), "position_cents": 0})

    for payer, payee, amount in read(path):
        home, there = payer.split("-")[0], payee.split("-")[0]
        members.setdefault(home, set()).add(payer)
        members.setdefault(there, set()).add(payee)
        report["payments"] += 1
        report["amount_cents"] += amount
        if home == there:
            report["local"] += 1
            book(entry(home)["local"], amount)
            continue
        report["between"] += 1
        for name, other, direction, sign in ((home, there, "sent", -1), (there, home, "received", 1)):
            book(entry(name)[direction], amount)
            book(peer_of(name, other)[direction], amount)
            peer_of(name, other)["position_cents"] += sign * amount
    for name, names in members.items():
        networks[name]["members"] = len(names)
    for of_network in networks.values():
        of_network["peers"] = dict(sorted(of_network["peers"].items()))
    report["networks"] = dict(sorted(networks.items()))
    return report


def cents(amount):
    return f"{'-' if amount < 0 else ''}{abs(amount) // 100:,}.{abs(amount) % 100:02d}"


def table(report):
    rows = [("network", "members", "with", "paid", "amount", "was paid", "amount", "position")]
    for name, of_network in report["networks"].items():
        local = of_network["local"]
        rows.append((name, str(of_network["members"]), name, str(local["count"]), cents(local["amount_cents"]), "", "", ""))
        for other, pair in of_network["peers"].items():
            sent, received = pair["sent"], pair["received"]
            rows.append((
                "", "", other,
                str(sent["count"]), cents(sent["amount_cents"]),
                str(received["count"]), cents(received["amount_cents"]),
                cents(pair["position_cents"]),
            ))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(c.ljust(w) if i in (0, 2) else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip())
    print(
        f"{report['payments']:,} payments, {report['local']:,} inside a network, "
        f"{report['between']:,} between networks, {cents(report['amount_cents'])} in all"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What the books of each network must say after a file of payments.")
    parser.add_argument("payments")
    parser.add_argument("--table", action="store_true", help="a table for people instead of JSON")
    arguments = parser.parse_args()
    result = expected(arguments.payments)
    if arguments.table:
        table(result)
    else:
        print(json.dumps(result, indent=2))
