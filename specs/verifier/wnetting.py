"""Netting (specs/netting.md): debts, components, costs, certificates; nothing is solved here, only checked."""

import csv
import json
from pathlib import Path

import wkeys
from wcbor import Refused, decode, encode
from wkeys import tagged

MAX_TOTAL, MAX_NAME, FRAME, SCHEMA = 1 << 62, 200, 128, "weft.netting-certificate/1"
COLUMNS = ("debtor", "creditor", "amount")


class Debts:
    """§1: parties in the order of their bytes, edges by debtor, then creditor."""

    def __init__(self, debts):
        sums, total = {}, 0
        for debtor, creditor, amount in debts:
            if amount <= 0:
                raise Refused("amount")
            if debtor == creditor:
                raise Refused("to-self")
            total += amount
            if total > MAX_TOTAL:
                raise Refused("total")
            sums[debtor, creditor] = sums.get((debtor, creditor), 0) + amount
        self.parties = sorted({party for pair in sums for party in pair})
        place = {party: i for i, party in enumerate(self.parties)}
        self.edges = [(place[a], place[b], sums[a, b]) for a, b in sorted(sums)]

    def hash(self):
        parts = (self.parties[a] + self.parties[b] + amount.to_bytes(8, "big") for a, b, amount in self.edges)
        return tagged("WEFT-NETTING-DEBTS/1", b"".join(parts))

    def components(self):
        """§2: (parties, edges) of each that has edges, all by their places. Two searches, one in each direction."""
        out, back = ([[] for _ in self.parties] for _ in range(2))
        for a, b, _ in self.edges:
            out[a].append(b)
            back[b].append(a)
        left, seen = [], set()
        for start in range(len(self.parties)):
            way = [(start, iter(out[start]))] if start not in seen else []
            seen.add(start)
            while way:
                node, rest = way[-1]
                following = next((n for n in rest if n not in seen), None)
                if following is None:
                    left.append(node)
                    way.pop()
                else:
                    seen.add(following)
                    way.append((following, iter(out[following])))
        of = {}
        for start in reversed(left):
            todo = [start] if start not in of else []
            while todo:
                node = todo.pop()
                if node not in of:
                    of[node] = start
                    todo.extend(n for n in back[node] if n not in of)
        parts = {}
        for node in range(len(self.parties)):
            parts.setdefault(of[node], ([], []))[0].append(node)
        for i, (a, b, _) in enumerate(self.edges):
            if of[a] == of[b]:
                parts[of[a]][1].append(i)
        return [part for part in parts.values() if part[1]]

    def part(self, part, seed):
        """Edges and costs (§3) of a component."""
        edges = [self.edges[e] for e in part[1]]
        return edges, [cost(len(part[0]), seed, self.parties[a], self.parties[b]) for a, b, _ in edges]


def cost(count, seed, debtor, creditor):
    bits = 62 - 2 * (count - 1).bit_length()
    drawn = int.from_bytes(tagged("WEFT-NETTING-COST/1", seed, debtor, creditor)[:8], "big")
    return (count << bits) + (drawn >> (64 - bits))


def check(edges, costs, reductions, potentials):
    """§4, rule by rule; edges are (debtor, creditor, amount)."""
    if any(not 0 <= c <= amount for (_, _, amount), c in zip(edges, reductions)):
        raise Refused("range")
    balance = {}
    for (a, b, _), c in zip(edges, reductions):
        balance[a] = balance.get(a, 0) + c
        balance[b] = balance.get(b, 0) - c
    if any(balance.values()):
        raise Refused("conservation")
    for (a, b, amount), price, c in zip(edges, costs, reductions):
        reduced = price + potentials[a] - potentials[b]
        if (reduced > 0 and c != amount) or (reduced < 0 and c != 0):
            raise Refused("optimal")


def canonical_potentials(nodes, edges, costs, reductions):
    """3.4, by going over all moves until nothing is reached at less (Bellman and Ford)."""
    moves = []
    for (a, b, amount), price, c in zip(edges, costs, reductions):
        if c > 0:
            moves.append((a, b, price))
        if c < amount:
            moves.append((b, a, -price))
    reached, changed = dict.fromkeys(nodes, 0), True
    while changed:
        changed = False
        for a, b, price in moves:
            if reached[a] + price < reached[b]:
                reached[b], changed = reached[a] + price, True
    lowest = min(reached.values())
    return {node: d - lowest for node, d in reached.items()}


def members_of(invoices, accounts, seed):
    """§6: members and the accounts as the last, edges, costs."""
    debts = Debts(invoices)
    if sum(amount for _, _, amount in debts.edges) > 1 << 60:
        raise Refused("total")
    rooms = {}
    for member, gives, takes in accounts:
        if gives < 0 or takes < 0:
            raise Refused("negative")
        if member in rooms:
            raise Refused("twice")
        rooms[member] = gives, takes
    last, edges = len(debts.parties), list(debts.edges)
    for place, member in enumerate(debts.parties):
        gives, takes = rooms.get(member, (0, 0))
        gives = min(gives, sum(amount for a, _, amount in debts.edges if a == place))
        takes = min(takes, sum(amount for _, b, amount in debts.edges if b == place))
        edges += [(last, place, gives)] if gives else []
        edges += [(place, last, takes)] if takes else []
    names, count = [*debts.parties, bytes(32)], last + 1
    bits, costs = 60 - 2 * (count - 1).bit_length(), []
    for a, b, _ in edges:
        small = int.from_bytes(tagged("WEFT-NETTING-COST/1", seed, names[a], names[b])[:8], "big") >> (64 - bits)
        costs.append(-((count << bits) + small) if last in (a, b) else (4 * count << bits) + small)
    return debts, edges, costs


def members(run, v):
    for case in v:
        about, seed = case["about"], bytes.fromhex(case["seed"])
        invoices = [(bytes.fromhex(a), bytes.fromhex(b), amount) for a, b, amount in case["invoices"]]
        accounts = [(bytes.fromhex(member), gives, takes) for member, gives, takes in case["accounts"]]
        if "why" in case:
            run.refused(about, case["why"], lambda: members_of(invoices, accounts, seed))
            continue
        debts, edges, costs = members_of(invoices, accounts, seed)
        reductions, potentials, last = case["reductions"], case["potentials"], len(debts.parties)
        run.same(f"{about}: edges", [list(edge) for edge in edges], case["edges"])
        run.same(f"{about}: costs", costs, case["costs"])
        run.same(f"{about}: length", (len(reductions), len(potentials)), (len(edges), last + 1))
        run.accepted(about, lambda: check(edges, costs, reductions, potentials))
        got = canonical_potentials(range(last + 1), edges, costs, reductions)
        run.same(f"{about}: made from the result", list(got.values()), potentials)
        moves = [0] * (last + 1)
        for (a, b, _), c in zip(edges, reductions):
            if last in (a, b):
                moves[b if a == last else a] += -c if a == last else c
        run.same(f"{about}: moves", moves[:last], case["moves"])
        paid = sum(c for (a, b, _), c in zip(edges, reductions) if last not in (a, b))
        run.same(f"{about}: paid", paid, case["paid"])
        for bad in case["invalid"]:
            run.refused(f"{about}: {bad['about']}", bad["why"],
                        lambda: check(edges, costs, bad["reductions"], bad["potentials"]))


class Certificate:
    """5.4"""

    def __init__(self, data, debts):
        value = decode(data, 8 * (len(debts.parties) + len(debts.edges)) + FRAME)
        shape = {0: int, 1: bytes, 2: bytes, 3: bytes, 4: bytes}
        if not isinstance(value, dict) or {k: type(v) for k, v in value.items()} != shape:
            raise Refused("structure")
        if value[0] != 1 or len(value[1]) != 32 or len(value[2]) != 32 or len(value[3]) % 8 or len(value[4]) % 8:
            raise Refused("structure")
        self.seed, self.debts = value[1], value[2]
        self.reductions, self.potentials = (
            [int.from_bytes(value[k][i:i + 8], "big", signed=True) for i in range(0, len(value[k]), 8)] for k in (3, 4))

    def encoded(self):
        numbers = (b"".join(n.to_bytes(8, "big", signed=True) for n in l) for l in (self.reductions, self.potentials))
        return encode({0: 1, 1: self.seed, 2: self.debts, **dict(zip((3, 4), numbers))})

    def verify(self, debts):
        """5.5"""
        if self.debts != debts.hash():
            raise Refused("debts")
        if len(self.reductions) != len(debts.edges) or len(self.potentials) != len(debts.parties):
            raise Refused("shape")
        parts = debts.components()
        edges, nodes = ({place for part in parts for place in part[kind]} for kind in (1, 0))
        if any(n and i not in edges for i, n in enumerate(self.reductions)):
            raise Refused("outside")
        if any(n and i not in nodes for i, n in enumerate(self.potentials)):
            raise Refused("outside")
        for part in parts:
            check(*debts.part(part, self.seed), [self.reductions[e] for e in part[1]], self.potentials)


def checked(data, debts):
    """What a certificate says, or why it is refused: whatever is wrong with its form is `form`."""
    try:
        certificate = Certificate(data, debts)
    except Refused:
        raise Refused("form") from None
    certificate.verify(debts)
    return certificate


def party(name):
    """5.2"""
    name = name.strip()
    if not name:
        raise Refused("empty")
    if len(name.encode()) > MAX_NAME:
        raise Refused("too-long")
    if any(c < " " or "\x7f" <= c <= "\x9f" for c in name):
        raise Refused("control")
    return tagged("WEFT-NETTING-NAME/1", name.encode())


def read_table(path, scale, read_amount):
    """5.1; a bad line is refused with its number."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows, debts, places = csv.reader(file), [], None
        for row in rows:
            if not row:
                continue
            if places is None:
                names = [field.strip().lower() for field in row]
                if all(column in names for column in COLUMNS):
                    places = [names.index(column) for column in COLUMNS]
                    continue
                places = ()
            if not places and len(row) != 3:
                raise Refused("columns", f"line {rows.line_num}")
            debtor, creditor, amount = (row[place] for place in places or range(3))
            minor = read_amount(amount.strip(), scale)
            if minor is None:
                raise Refused("amount", f"line {rows.line_num}")
            debts.append((party(debtor), party(creditor), minor))
    return Debts(debts)


def from_json(text):
    """5.6 as the bytes of 5.4"""
    value = json.loads(text)
    if value.pop("schema") != SCHEMA:
        raise Refused("form")
    certificate = Certificate.__new__(Certificate)
    certificate.seed, certificate.debts = (bytes.fromhex(value[name]) for name in ("seed", "debts"))
    certificate.reductions, certificate.potentials = (list(map(int, value[n])) for n in ("reductions", "potentials"))
    return certificate.encoded()


def check_files(table, certificate, scale, read_amount):
    """Gives what is owed and what is cleared, in smallest parts."""
    debts = read_table(table, scale, read_amount)
    path = Path(certificate)
    data = from_json(path.read_text()) if path.suffix.lower() == ".json" else path.read_bytes()
    return sum(amount for _, _, amount in debts.edges), sum(checked(data, debts).reductions)


def debts_of(listed):
    return Debts([(bytes.fromhex(a), bytes.fromhex(b), amount) for a, b, amount in listed])


def proposal_part(ident, account, lines):
    """6.8: what is proposed to one account, and how it moves."""
    own = [line for line in lines if account in line[:2]]
    said = b"".join(a + b + amount.to_bytes(8, "big") + paid.to_bytes(8, "big") for a, b, amount, paid in own)
    return tagged("WEFT-INVOICES-PART/1", ident + account + said), sum(-line[3] if line[0] == account else line[3] for line in own)


def check_proposal(rooms, lines, out):
    """6.6, 6.7: what is paid is the most among those who are left, and nobody leaves their room."""
    left = [line for line in lines if out not in line[:2]]
    if any(line[3] for line in lines if out in line[:2]):
        raise Refused("left-out")
    names = {party(account.hex()): account for line in left for account in line[:2]}
    debts, edges, costs = members_of([(party(a.hex()), party(b.hex()), amount) for a, b, amount, _ in left],
                                     [(party(a.hex()), *room) for a, room in rooms.items()], bytes(32))
    paid = {(party(a.hex()), party(b.hex())): paid for a, b, _, paid in left}
    reductions = [paid[debts.parties[a], debts.parties[b]] for a, b, _ in edges if max(a, b) < len(debts.parties)]
    moves = [proposal_part(bytes(32), names[one], left)[1] for one in debts.parties]
    for a, b, _ in edges[len(reductions):]:
        reductions.append(max(0, -moves[b]) if a == len(moves) else max(0, moves[a]))
    check(edges, costs, reductions, canonical_potentials(range(len(moves) + 1), edges, costs, reductions))


def proposal(run, v):
    """§6, 6.6 to 6.11."""
    ledger, ident = bytes.fromhex(v["ledger"]), bytes.fromhex(v["id"])
    rooms = {bytes.fromhex(account): (give, take) for account, give, take in v["rooms"]}
    sums = {}
    for a, b, amount in v["invoices"]:
        ends = bytes.fromhex(a), bytes.fromhex(b)
        sums[ends] = sums.get(ends, 0) + amount
    said = b"".join(a + b + amount.to_bytes(8, "big") for (a, b), amount in sorted(sums.items()))
    about = ledger + v["unit"].to_bytes(2, "big") + v["until_ms"].to_bytes(8, "big")
    run.same("proposal: id", tagged("WEFT-INVOICES/1", about + said).hex(), v["id"])
    for case, out in ((v, None), (v["refused"], bytes.fromhex(v["refused"]["by"]))):
        lines = [(bytes.fromhex(a), bytes.fromhex(b), amount, paid) for a, b, amount, paid in case["lines"]]
        run.same("proposal: lines", [(a, b, amount) for a, b, amount, _ in lines], [(*e, n) for e, n in sorted(sums.items())])
        for account, part, moves in case["parts"]:
            got, by = proposal_part(ident, bytes.fromhex(account), lines)
            run.same(f"proposal: part of {account[:4]}", (got.hex(), by), (part, moves))
        run.accepted("proposal: the most that can be paid", lambda lines=lines, out=out: check_proposal(rooms, lines, out) or True)
    for a, b, _, op_id in v["payments"]:
        named = tagged("WEFT-INVOICES-PAYMENT/1", ident + bytes.fromhex(a) + bytes.fromhex(b))
        run.same("proposal: op id", named[:16].hex(), op_id)
    for case in v["words"]:
        message = b"WEFT-INVOICES-WORD/1\n" + ledger + bytes.fromhex(case["part"]) + bytes([case["agrees"]])
        right = wkeys.verify(bytes.fromhex(case["key"]), message, bytes.fromhex(case["sig"]))
        run.same(f"proposal: {case['about']}", right, case["why"] is None)


def netting(run, v):
    proposal(run, v["proposal"])
    for case in v["names"]:
        run.same(f"name {case['name']!r}", party(case["name"]).hex(), case["party"])
    for case in v["no_names"]:
        run.refused(case["about"], case["why"], lambda: party(case["name"]))
    for case in v["costs"]:
        seed, a, b = (bytes.fromhex(case[name]) for name in ("seed", "debtor", "creditor"))
        run.same(f"cost among {case['parties']}", cost(case["parties"], seed, a, b), case["cost"])
    for case in v["refused_debts"]:
        run.refused(case["about"], case["why"], lambda: debts_of(case["debts"]))
    for case in v["cases"]:
        about, debts = case["about"], debts_of(case["debts"])
        run.same(f"{about}: parties", [p.hex() for p in debts.parties], case["parties"])
        run.same(f"{about}: edges", [list(edge) for edge in debts.edges], case["edges"])
        run.same(f"{about}: hash", debts.hash().hex(), case["hash"])
        parts = debts.components()
        run.same(f"{about}: components", [list(part) for part in parts], case["components"])
        certificate = run.accepted(f"{about}: certificate", lambda: checked(bytes.fromhex(case["certificate"]), debts))
        if certificate is None:
            continue
        run.same(f"{about}: reductions", certificate.reductions, case["reductions"])
        run.same(f"{about}: potentials", certificate.potentials, case["potentials"])
        run.same(f"{about}: bytes", certificate.encoded().hex(), case["certificate"])
        for part in parts:
            edges, costs = debts.part(part, certificate.seed)
            got = canonical_potentials(part[0], edges, costs, [certificate.reductions[e] for e in part[1]])
            run.same(f"{about}: made from the result", got, {n: certificate.potentials[n] for n in part[0]})
        for bad in case["invalid"]:
            run.refused(f"{about}: {bad['about']}", bad["why"], lambda: checked(bytes.fromhex(bad["hex"]), debts))
        for other in case["also_valid"]:
            run.accepted(f"{about}: {other['about']}", lambda: checked(bytes.fromhex(other["hex"]), debts))
    members(run, v["members"])
