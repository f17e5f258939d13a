"""Netting rounds (specs/netting.md §7 to §10) as far as our own entries decide them, and what two streams say of them."""

from wcbor import Refused
from wentry import booked_unit
from wkeys import tagged

MAX_LINES, MAX_ATTEMPTS, MAX_HELD, MAX_PROOFS = 64, 8, 16, 24
MAX_PAGE, MAX_ATTEMPT, MAX_ROUND = 3072, 262_144, 7 * 86_400_000
TIME = 0
NETTING = tagged("WEFT-ACCOUNT/1", b"netting")[:16]
BOOKED = 4


def need(ok, code):
    if not ok:
        raise Refused(code)


def ascending(names):
    return all(a < b for a, b in zip(names, names[1:]))


def vote_message(round_id, result, accepts, ledger):
    return b"WEFT-NETTING-VOTE/1\n" + round_id + result + bytes([accepts]) + ledger


class Rounds:
    """The part of a state that deals with rounds. A round is [unit, since, [list, until] or None, [vote]], a vote [attempt,
    result, accepts, [[line, when applied, booked]], refusal that has ended it], what is held [channel, pair, we_owe, amount,
    ended]."""

    @staticmethod
    def rounds_row(row):
        votes = [vote[:3] + [vote[3]] + ([vote[4]] if vote[4] is not None else []) for vote in row[3]]
        return row[:3] + [votes]

    def held_of(self, channel, pair, we_owe):
        return sum(row[3] for (_, peer), row in self.t["held"].items()
                   if (peer, row[1], row[2]) == (channel[0], pair, we_owe) and not row[4])

    def _round(self, ident):
        row = self.t["rounds"].get(ident)
        need(row is not None, "round-state")
        return row

    # What is public (kinds.md §12)

    def _kind_0c01(self, entry, _):
        (kind, scale, code), offers, lists, votes = (entry.payload[i] for i in range(4))
        need(entry.time < offers < lists < votes <= entry.time + MAX_ROUND, "round-times")
        own = [(row[3], row[4], row[1]) for row in self.t["units"].values()]
        need((kind, scale, code) in own, "round-unit")

    def _kind_0c02(self, entry, _):
        ident, until, lines = (entry.payload[i] for i in range(3))
        row = self._round(ident)
        need(row[2] is None, "round-state")
        need(1 <= len(lines) <= MAX_LINES and ascending([line[0] for line in lines]), "round-lines")
        for peer, we_owe, amount in lines:
            held = self.t["held"].get((ident, peer))
            need(held is not None and held[2:] == [we_owe, amount, False], "round-lines")
        row[2] = [entry.leaf, until]

    def _kind_0c03(self, entry, _):
        attempt, page, pages, data = (entry.payload[i] for i in range(1, 5))
        place = page < pages <= -(-MAX_ATTEMPT // MAX_PAGE) and attempt < MAX_ATTEMPTS
        need(1 <= len(data) <= MAX_PAGE and place, "round-page")

    def _kind_0c04(self, entry, _):
        ident, attempt, result, accepts, reason, epoch, sig, lines, aborted = (entry.payload.get(i) for i in range(9))
        lines = lines or []
        self.checks.append((self.log_key(epoch), vote_message(ident, result, accepts, self.ident[0]), sig))
        row = self._round(ident)
        need(row[2] is not None, "round-state")
        lost = any(succession[0] > row[1] for succession in self.t["successions"].values())
        again = any(vote[1] == result or vote[0] == attempt for vote in row[3])
        need(not again and attempt < MAX_ATTEMPTS and not lost, "round-state")
        need(accepts == (reason is None), "round-lines")
        need(len(lines) <= MAX_LINES and ascending([line[0] for line in lines]), "round-lines")
        if accepts:
            need(entry.time <= row[2][1], "round-late")
            for vote in row[3]:
                if vote[2] and vote[4] is None:
                    need(aborted is not None, "round-state")
                    vote[4] = aborted
            self._reductions(ident, lines)
        else:
            need(not lines and aborted is None, "round-lines")
        row[3].append([attempt, result, accepts, [[line, None, False] for line in lines], None])

    def _reductions(self, ident, lines):
        owing = owed = 0
        for peer, we_owe, amount in lines:
            held = self.t["held"].get((ident, peer))
            here = held is not None and not held[4] and held[2] == we_owe
            need(amount <= (held[3] if here else 0), "round-range")
            owing, owed = (owing + amount, owed) if we_owe else (owing, owed + amount)
        need(owing == owed, "round-conservation")

    def _kind_0c05(self, entry, _):
        yes = entry.payload[2]
        need(1 <= len(yes) <= MAX_PROOFS and ascending([one[0] for one in yes]), "round-lines")

    # Between two networks (clearing.md §3, steps 15 to 17)

    def _step_15(self, entry, step, channel):
        ident, pair, amount, a_owes = (step[5][i] for i in range(4))
        we_owe = a_owes == channel[4]
        need((4 in step) == we_owe, "step-form")
        terms = channel[2][5][pair] if pair < len(channel[2][5]) else None
        need(terms is not None and terms[2] == terms[3] and len(terms) < 8, "not-one-to-one")
        unit, row, key = terms[self._side(channel)], self.t["rounds"].get(ident), (ident, channel[0])
        need(row is None or (row[2] is None and row[0] == unit), "round-state")
        need(key not in self.t["held"], "round-state")
        need(sum(peer == channel[0] and not held[4] for (_, peer), held in self.t["held"].items()) < MAX_HELD, "held-many")
        need(amount <= self._free_debt(step[0], channel, pair, we_owe) or self.lost is not None, "held-debt")
        self.t["held"][key] = [step[0], pair, we_owe, amount, False]
        if row is None:
            self.t["rounds"][ident] = [unit, entry.seq, None, []]

    def _free_debt(self, key, channel, pair, we_owe):
        balance = self.t["balances"].get((channel[1], booked_unit(channel[2][5][pair], self._side(channel))), 0)
        free = (balance if we_owe else -balance) - self.held_of(channel, pair, we_owe)
        free -= sum(row[2] for row in self.t["settlements"].values()
                    if row[4] < BOOKED and row[0] == key and row[1] == pair and row[3] == we_owe)
        if we_owe:
            return free
        return free - channel[7].get(pair, 0) - self._may_go_back(key)

    def _may_go_back(self, key):
        total = 0
        for (claim, part), row in self.t["claims"].items():
            hop, out = row[0].get(key), row[1]
            if hop is None or hop[1] is None or hop[3]:
                continue
            onward = out is not None and out[6][0] == 1
            if not onward and self._accepted_on(claim, part, key) is None:
                total += self.position(hop[1] + [hop[6]])
        return total

    def _step_16(self, _, step, channel):
        row = self.t["held"].get((step[5][0], channel[0]))
        need(row is not None and not row[4], "round-state")
        row[4] = True

    def _step_17(self, entry, step, channel):
        ident, result, pair, amount, a_owed = (step[5][i] for i in range(5))
        we_owe = a_owed == channel[4]
        need((4 in step) != we_owe, "step-form")
        held = self.t["held"].get((ident, channel[0]))
        need(held is not None and held[1] == pair, "round-state")
        line = self._line(ident, result, lambda one: one[0] == [channel[0], we_owe, amount] and one[1] is None
                          and one[2] != we_owe)
        line[1] = entry.time

    def _line(self, ident, result, fits):
        votes = [vote for vote in self._round(ident)[3] if vote[1] == result and vote[2]]
        line = next((line for line in votes[0][3] if fits(line)), None) if votes else None
        need(line is not None, "round-state")
        return line

    def _kind_0c06(self, entry, _):
        ident, result, said, postings = (entry.payload[i] for i in range(4))
        peer, we_owe, amount = said
        line = self._line(ident, result, lambda one: one[0] == said and not one[2] and (one[1] is not None) == we_owe)
        line[2] = True
        held = self.t["held"].get((ident, peer))
        need(held is not None, "round-state")
        channel = self._channel(held[0])
        unit = booked_unit(channel[2][5][held[1]], self._side(channel))
        sign = -1 if we_owe else 1
        need(postings == sorted([[channel[1], unit, sign * amount], [NETTING, unit, -sign * amount]]), "postings-differ")
        self.t["accounts"].setdefault(NETTING, [6, False, False, [], []])
        self.post(postings)
        held[4] = True


# What two streams say, and what was booked (clearing.md §8): by result, {"applied": (line, args, answers), "booked": …}

def say_apply(all_said, line, step):
    """Takes in an APPLY."""
    said = all_said.setdefault(step[5][1], {})
    if "applied" in said:
        return "it applies a result a second time"
    said["applied"] = (line, step[5], 4 in step)
    return None


def book_netted(sides, held, accounts, entry):
    """`held`: the channel and pair of what was held, before the entry."""
    if held is None or held[0] not in sides:
        return
    for account, unit, delta in entry.payload[3]:
        if account == accounts.get(held[0]):
            _, we_owe, amount = entry.payload[2]
            sides[held[0]].cleared.setdefault(entry.payload[1], {})["booked"] = {
                "seq": entry.seq, "unit": unit, "pair": held[1], "delta": delta, "said": (held[1], amount, we_owe),
                "round": entry.payload[0]}


def applies(side):
    """What its APPLY moves, each one of the debtor's: (sseq, pair, amount)."""
    for said in side.cleared.values():
        if "applied" in said and not said["applied"][2]:
            line, args, _ = said["applied"]
            yield line[1], args[2], args[3]


def check_rounds(cross):
    for us, them in ((cross.one, cross.other), (cross.other, cross.one)):
        is_a = us.accord is not None and us.accord[3] == us.ledger
        for result, said in sorted(us.cleared.items()):
            if "booked" not in said:
                continue
            by_debtor = said if said["booked"]["said"][2] else them.cleared.get(result, {})
            applied = by_debtor.get("applied")
            right = applied is not None and not applied[2] and (
                (applied[1][2], applied[1][3], applied[1][4] == is_a) == said["booked"]["said"])
            # A reset says it in the debtor's place.
            by_reset = us.begun is not None and result in us.begun.results
            if not right and not by_reset and us.acked_to() <= len(them.lines):
                at = f"entry {said['booked']['seq']}" + ("" if us.ledger == cross.audited else f" of {us.ledger.hex()[:8]}")
                cross.findings.add("mismatch", f"netting result {result.hex()} is booked otherwise than the debtor's APPLY says", [at])
