#!/usr/bin/env python3
"""What networks owe each other after the payments between them: positions.py FULL OUT.

FULL has the lines time_s,from,to,amount_cents of README.md. Of all payments from one network to another, those between the
ten networks that take part in the most of them are kept (ties by name). Who pays a member of another network comes to owe
that network; what two owe each other is set off, so each pair has one debt. Nothing is drawn: the same file gives the
same table.
"""

import csv
import sys
from collections import Counter

NETWORKS = 10


def main(full, out):
    between, count = Counter(), Counter()
    with open(full, newline="", encoding="utf-8") as lines:
        for line in csv.DictReader(lines):
            payer, payee = line["from"].split("-")[0], line["to"].split("-")[0]
            if payer != payee:
                between[payer, payee] += int(line["amount_cents"])
                count[payer] += 1
                count[payee] += 1
    kept = {name for name, _ in sorted(count.items(), key=lambda item: (-item[1], item[0]))[:NETWORKS]}
    debts = []
    for (debtor, creditor), cents in between.items():
        left = cents - between.get((creditor, debtor), 0)
        if left > 0 and {debtor, creditor} <= kept:
            debts.append((debtor, creditor, left))
    with open(out, "w", encoding="utf-8") as table:
        table.write("debtor,creditor,amount\n")
        for debtor, creditor, cents in sorted(debts):
            table.write(f"{debtor},{creditor},{cents // 100}.{cents % 100:02}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
