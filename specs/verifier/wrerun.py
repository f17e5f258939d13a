"""Netting rounds as the public streams tell them, and what a ledger has booked against them (specs/audit.md §11, netting.md §7
to §9)."""

from wcbor import Refused, blob, decode, record
from wentry import ROUNDS
from wkeys import key_fault, tagged, verify
from wnetting import Debts, check
from wround import MAX_ATTEMPT, MAX_ATTEMPTS, MAX_LINES, MAX_PAGE, ascending, vote_message

MAX_VOTES, MAX_LISTS = 2 * MAX_ATTEMPTS, 1_024
ATTEMPT = record(k0=blob, k1=blob)
OPEN, COMMITTED, ABORTED = range(3)


class Round:
    """Of each network its first list, and its first word on each result."""

    def __init__(self):
        self.by, self.lists, self.pages, self.votes, self.shown = None, {}, {}, {}, set()

    def bytes(self, attempt):
        pages = self.pages.get((attempt, 0), (0, b""))[0]
        parts = [self.pages.get((attempt, page)) for page in range(pages)]
        if not parts or any(part is None or part[0] != pages for part in parts):
            return None
        data = b"".join(part[1] for part in parts)
        return data if len(data) <= MAX_ATTEMPT else None

    def has_yes(self, result, ledger):
        return self.votes.get((result, ledger)) is True or (result, ledger) in self.shown

    def outcome(self, result, parties):
        missing = [party for party in parties if not self.has_yes(result, party)]
        if not missing:
            return COMMITTED, []
        refused = [party for party in missing if self.votes.get((result, party)) is False]
        return (ABORTED, refused) if refused else (OPEN, missing)


class Reading:
    """An attempt against the lists that are here (netting.md 8.1 to 8.3)."""

    def __init__(self, ident, attempt, round_):
        data = round_.bytes(attempt)
        if data is None:
            raise Refused("pages")
        lists, numbers = ATTEMPT(decode(data, MAX_ATTEMPT)).values()
        pairs = [(lists[i:i + 32], lists[i + 32:i + 64]) for i in range(0, len(lists), 64)]
        if len(lists) % 64 or not 1 <= len(pairs) <= MAX_LISTS or not ascending([pair[0] for pair in pairs]):
            raise Refused("lists")
        if any(round_.lists.get(ledger, (None,))[0] != leaf for ledger, leaf in pairs):
            raise Refused("list")
        listed = {ledger: {line[0]: line[1:] for line in round_.lists[ledger][1]} for ledger, _ in pairs}
        self.debts = Debts([(ledger, peer, amount) for ledger, lines in listed.items() for peer, (we_owe, amount) in lines.items()
                            if we_owe and peer != ledger and listed.get(peer, {}).get(ledger) == [False, amount]])
        root = tagged("WEFT-NETTING-SET/1", ident, bytes([attempt]), lists)
        self.parts, self.results, at = self.debts.components(), [], 0
        if len(numbers) != 8 * sum(len(nodes) + len(edges) for nodes, edges in self.parts) or not self.parts:
            raise Refused("numbers")
        for place, (nodes, edges) in enumerate(self.parts):
            length = 8 * (len(edges) + len(nodes))
            named = tagged("WEFT-NETTING-RESULT/1", root, place.to_bytes(4, "big"), numbers[at:at + length])
            said = [int.from_bytes(numbers[i:i + 8], "big", signed=True) for i in range(at, at + length, 8)]
            at += length
            self.results.append((named, said[:len(edges)], dict(zip(nodes, said[len(edges):])), root))

    def verdict(self, place):
        _, reductions, potentials, root = self.results[place]
        try:
            check(*self.debts.part(self.parts[place], root), reductions, potentials)
        except Refused as why:
            return why
        return None

    def parties(self, place):
        return [self.debts.parties[node] for node in self.parts[place][0]]

    def less(self, place, debtor, creditor):
        for edge, reduction in zip(self.parts[place][1], self.results[place][1]):
            a, b, _ = self.debts.edges[edge]
            if (self.debts.parties[a], self.debts.parties[b]) == (debtor, creditor):
                return reduction
        return 0


class Heard:
    """What public streams say of rounds, our own among them."""

    def __init__(self):
        self.rounds, self.proofs = {}, []

    def hear(self, known, entry):
        """A public entry; `known` gives the identity of a ledger, or None."""
        if entry.kind not in ROUNDS:
            return
        p, by = entry.payload, entry.ledger
        if entry.kind == 0x0C01:
            round_ = self._open(entry.leaf)
            round_.by = round_.by or by
        elif entry.kind == 0x0C02 and 1 <= len(p[2]) <= MAX_LINES and ascending([line[0] for line in p[2]]):
            self._open(p[0]).lists.setdefault(by, (entry.leaf, p[2]))
        elif entry.kind == 0x0C03:
            self._page(by, p)
        elif entry.kind == 0x0C04:
            round_ = self._open(p[0])
            many = sum(voter == by for _, voter in round_.votes) >= MAX_VOTES
            if not many and _says(known(by), p[5], p[6], vote_message(p[0], p[2], p[3], by)):
                round_.votes.setdefault((p[2], by), p[3])
        elif entry.kind == 0x0C05:
            self.proofs.append(p)

    def _open(self, ident):
        return self.rounds.setdefault(ident, Round())

    def _page(self, by, p):
        ident, attempt, page, pages, data = (p[i] for i in range(5))
        round_ = self.rounds.get(ident)
        place = attempt < MAX_ATTEMPTS and page < pages <= -(-MAX_ATTEMPT // MAX_PAGE)
        if round_ is not None and round_.by == by and place and 1 <= len(data) <= MAX_PAGE:
            round_.pages.setdefault((attempt, page), (pages, data))

    def _prove(self, known):
        for p in self.proofs:
            round_ = self.rounds.get(p[0])
            for ledger, epoch, sig in p[2] if round_ is not None else []:
                if ledger in round_.lists and _says(known(ledger), epoch, sig, vote_message(p[0], p[1], True, ledger)):
                    round_.shown.add((p[1], ledger))

    def check(self, known, ledger, sides, findings):
        """Each debt that this ledger has booked, against its result."""
        booked = [(result, said["booked"], side.peer) for side in sides.values() for result, said in side.cleared.items()
                  if "booked" in said]
        if not booked:
            return
        self._prove(known)
        readings = {ident: list(self._readings(ident, round_)) for ident, round_ in self.rounds.items()}
        for result, said, peer in booked:
            wrong = self._judge(readings, ledger, result, said, peer)
            if wrong:
                findings.add(*wrong, [f"entry {said['seq']}"])

    @staticmethod
    def _readings(ident, round_):
        for attempt in range(1 + max((attempt for attempt, _ in round_.pages), default=-1)):
            try:
                yield Reading(ident, attempt, round_)
            except Refused:
                pass

    def _judge(self, readings, ledger, result, said, peer):
        ident, (_, amount, we_owed) = said["round"], said["said"]
        found = next(((reading, place) for reading in readings.get(ident, ())
                      for place, one in enumerate(reading.results) if one[0] == result), None)
        name = f"netting result {result.hex()}"
        if found is None:
            return "not checked", f"{name}: what round {ident.hex()} listed and computed is not all here"
        reading, place = found
        why = reading.verdict(place)
        if why:
            return "error", f"{name} is applied, and is wrong: {why}"
        less = reading.less(place, *((ledger, peer) if we_owed else (peer, ledger)))
        if less != amount:
            return "mismatch", f"{name} takes {less} off this debt, booked are {amount}"
        outcome, whose = self.rounds[ident].outcome(result, reading.parties(place))
        whose = ", ".join(one.hex()[:8] for one in whose)
        if outcome == ABORTED:
            return "error", f"{name} is applied, though refused by {whose}"
        return ("not checked", f"{name}: the word of {whose} is not here") if outcome == OPEN else None


def _says(identity, epoch, sig, message):
    key = identity.log_key(epoch) if identity is not None else None
    return key is not None and not key_fault(key) and verify(key, message, sig)
