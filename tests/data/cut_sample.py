#!/usr/bin/env python3
"""Cut a small sample out of a file of payments between the members of several networks.

The sample keeps four networks. Its members are, per network, everybody who takes part in a payment between two
of the four, and then others, in the order of the SHA-256 of their names, until there are MEMBERS_PER_NETWORK.
Among these members it keeps:

- every payment from one network to another,
- the first local payment of every member, so that nobody disappears,
- of the other local payments, evenly spread over time, as many as make PAYMENTS in all.

Nothing is drawn at random, nothing is altered: each line of the sample is a line of the full file, in its order.

usage: cut_sample.py FULL OUT
Columns of both: time_s, from, to, amount_cents; the network is the part of a name before the dash.
"""
import csv
import hashlib
import sys

NETWORKS = ("S02", "S03", "S13", "S20")  # all six pairs pay each other, and together they make 8,600 payments
MEMBERS_PER_NETWORK = 80
PAYMENTS = 1_500
COLUMNS = ["time_s", "from", "to", "amount_cents"]


def network(member):
    return member.split("-")[0]


def crosses(row):
    return network(row["from"]) != network(row["to"])


def choose_members(rows):
    everybody = {row[end] for row in rows for end in ("from", "to")}
    chosen = {row[end] for row in rows if crosses(row) for end in ("from", "to")}
    for name in NETWORKS:
        already = sum(1 for member in chosen if network(member) == name)
        others = [m for m in everybody - chosen if network(m) == name]
        others.sort(key=lambda member: hashlib.sha256(member.encode()).digest())
        chosen.update(others[: max(0, MEMBERS_PER_NETWORK - already)])
    return chosen


def choose_payments(rows):
    """Positions in `rows` to keep."""
    keep, seen = set(), set()
    for i, row in enumerate(rows):
        ends = {row["from"], row["to"]}
        if crosses(row) or not ends <= seen:
            keep.add(i)
            seen |= ends
    rest = [i for i in range(len(rows)) if i not in keep]
    wanted = min(len(rest), PAYMENTS - len(keep))
    if wanted < 0:
        raise SystemExit(f"{len(keep)} payments must be kept, more than the {PAYMENTS} wanted")
    # Taking rest[k * len(rest) // wanted] spreads the choice evenly and takes no line twice.
    keep.update(rest[k * len(rest) // wanted] for k in range(wanted))
    return keep


def main(full, out):
    with open(full, newline="", encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if network(r["from"]) in NETWORKS and network(r["to"]) in NETWORKS]
    members = choose_members(rows)
    rows = [r for r in rows if r["from"] in members and r["to"] in members]
    keep = choose_payments(rows)
    sample = [row for i, row in enumerate(rows) if i in keep]
    with open(out, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sample)
    occurring = {row[end] for row in sample for end in ("from", "to")}
    between = sum(1 for row in sample if crosses(row))
    print(f"{len(occurring)} members, {len(sample)} payments, {between} of them between networks")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(sys.argv[1], sys.argv[2])
