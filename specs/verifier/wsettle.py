"""Statements (specs/clearing.md §12): what our own entries decide of them, and what the two streams of a channel give."""

from wcbor import Refused, encode
from wentry import booked_unit
from wkeys import tagged
from wround import applies

AGREED, POSITIONS, IN_FLIGHT, BOOKS = range(4)
PROPOSE, WITHDRAW, ACCEPT, REFUSE, BOOK, DROP = range(6)
SIGNED, PROPOSED, TAKEN_BACK, WITHDRAWN, BOOKED, DROPPED, ACCEPTING, REFUSING, ACCEPTED, REFUSED = range(10)
OUTSIDE = tagged("WEFT-ACCOUNT/1", b"settlement")[:16]
PAUSED, ENDED = 0, 1
VERDICTS = ("", "the positions differ", "the payments on their way differ", "its own books are not what the streams say")


def need(ok, code):
    if not ok:
        raise Refused(code)


def in_flight(opened, pairs):
    """`opened`: {(claim, part): (pair, amount)}."""
    totals = [0] * pairs
    for pair, amount in opened.values():
        if pair < pairs:
            totals[pair] += amount
    rows = [[claim, part, pair, amount] for (claim, part), (pair, amount) in sorted(opened.items())]
    return [len(opened), totals, tagged("WEFT-INFLIGHT/1", encode(rows))]


def cut_of(statement, we_are_a):
    return statement[0] if we_are_a else statement[0][::-1]


class Statements:
    """The part of a state that deals with statements. A row is [last written, last agreed to]."""

    def positions(self, channel):
        """Above zero A owes B; without what is booked and in no stream yet."""
        sign = 1 if channel[4] else -1
        out = [sign * self.t["balances"].get((channel[1], booked_unit(pair, self._side(channel))), 0)
               for pair in channel[2][5]]
        for key, row in self.t["written_off"].items():
            if self.t["channels"][key] is channel:
                taken = {(account, unit): delta for account, unit, delta in row[2]}
                for number, pair in enumerate(channel[2][5]):
                    out[number] += sign * taken.get((channel[1], booked_unit(pair, self._side(channel))), 0)
        for key, pair, amount, we_owed, stage, *_ in self.t["settlements"].values():
            if stage == ACCEPTING and self.t["channels"].get(key) is channel:
                out[pair] += amount if we_owed == channel[4] else -amount
        return out

    def reserved(self, channel, pair):
        return sum(row[2] for row in self.t["settlements"].values()
                   if row[4] <= WITHDRAWN and not row[3] and row[1] == pair and self._is_with(row[0], channel[0]))

    def _is_with(self, key, peer):
        return key in self.t["channels"] and self.t["channels"][key][0] == peer

    def _stated(self, step):
        return self.t["statements"].setdefault(step[0], [None, None])

    def _step_7(self, entry, step, channel):
        statement = step[5][0]
        need(cut_of(statement, channel[4]) == [entry.stream[1], step[1][0]], "statement-cut")
        if self.lost is None:
            need(statement[1] == self.positions(channel), "statement-position")
            opened = {key: (row[1][1], self.position([row[1][2], row[1][3], row[1][9]])) for key, row in self.t["claims"].items()
                      if row[1] is not None and row[1][0] == step[0] and row[1][6][0] == 0}
            ours = statement[2 if channel[4] else 3]
            need(ours == in_flight(opened, len(channel[2][5])), "statement-in-flight")
        self._stated(step)[0] = [statement, entry.leaf, entry.time]

    def _step_8(self, entry, step, channel):
        verdict, statement = step[5][0], step[5][1]
        own, peer = cut_of(statement, channel[4])
        need(own <= entry.stream[1] and peer < step[1][0], "statement-cut")
        need(len(statement[1]) <= len(channel[2][5]), "statement-position")
        if verdict == AGREED:
            self._stated(step)[1] = [statement, step[4], entry.time, entry.leaf]


    # Settlements (§13). A row is [channel, pair, amount, we_owed, stage, time, reference, withdrawn_at].

    def _kind_050c(self, entry, authority):
        p, rows = entry.payload, self.t["settlements"]
        act, key, pair, amount, we_owed = (p[i] for i in range(5))
        channel = self._channel(key)
        need(pair < len(channel[2][5]), "hop-mismatch")
        ident = p.get(5, entry.leaf)
        form = ((5 in p) == (act != PROPOSE), (6 in p) == (act in (BOOK, DROP)), (7 in p) == (act in (ACCEPT, BOOK)))
        need(all(form), "settle-form")
        if act not in (BOOK, DROP):
            authority.treasury(self)
            need(not self.is_closed_to(channel[0]), "channel-closed")
        row = rows.get(ident)
        stage, sidecars = row[4] if row else None, entry.op.get(3, [])
        if act == PROPOSE and row is None:
            need(len(sidecars) == 1, "settle-reference")
            need(sum(r[4] <= WITHDRAWN and r[0] == key for r in rows.values()) < 8, "settle-many")
            self._within_debt(channel, pair, amount, we_owed)
            stage = SIGNED
        elif act == WITHDRAW and stage == PROPOSED:
            stage = TAKEN_BACK
        elif act == ACCEPT and row is None:
            self._within_debt(channel, pair, amount, we_owed)
            stage = ACCEPTING
        elif act == REFUSE and row is None:
            stage = REFUSING
        elif act in (BOOK, DROP) and stage in (PROPOSED, TAKEN_BACK, WITHDRAWN):
            stage = BOOKED if act == BOOK else DROPPED
        else:
            raise Refused("settle-state")
        need(row is None or row[:4] == [key, pair, amount, we_owed], "settle-state")
        if 7 in p:
            unit = booked_unit(channel[2][5][pair], self._side(channel))
            sign = -1 if we_owed else 1
            need(p[7] == sorted([[channel[1], unit, sign * amount], [OUTSIDE, unit, -sign * amount]]), "postings-differ")
            self.t["accounts"].setdefault(OUTSIDE, [6, False, False, [], []])
            self.post(p[7])
        reference = row[6] if row else (sidecars[0] if sidecars else None)
        rows[ident] = [key, pair, amount, we_owed, stage, entry.time, reference, row[7] if row else None]

    def _within_debt(self, channel, pair, amount, we_owed):
        unit = booked_unit(channel[2][5][pair], self._side(channel))
        balance = self.t["balances"].get((channel[1], unit), 0)
        need(amount <= (balance if we_owed else -balance) - self.held_of(channel, pair, we_owed), "settle-debt")
        need(we_owed or amount <= self.room(channel, pair), "no-room")

    def _step_9(self, entry, step, channel):
        row, args = self.t["settlements"].get(step[4]), step[5]
        need(row is not None and row[0] == step[0], "settle-state")
        need((row[4], args[4]) in ((SIGNED, False), (TAKEN_BACK, True)), "settle-state")
        said = [args[0], args[1], args[2], args[3]]
        need(said == [row[1], row[2], row[3] == channel[4], row[6]], "settle-state")
        row[4] = WITHDRAWN if args[4] else PROPOSED
        row[7] = entry.stream[1] if args[4] else None

    def _step_10(self, _, step, channel):
        row = self.t["settlements"].get(step[4])
        stage = row[4] if row is not None and row[0] == step[0] else None
        answer = step[5][0]
        need((answer, stage) in ((0, ACCEPTING), (1, REFUSING), (2, None)), "settle-state")
        if answer != 2:
            row[4] = ACCEPTED if answer == 0 else REFUSED

    # Pause and end (§14): item 8 of a channel's row

    def _step_19(self, _, step, channel):
        need(channel[8:] != [ENDED], "accord-ended")
        need((channel[8:] == [PAUSED]) != step[5][0], "nothing-to-do")
        channel[8:] = [PAUSED] if step[5][0] else []

    def _step_20(self, _, step, channel):
        need(channel[8:] != [ENDED], "accord-ended")
        channel[8:] = [ENDED]


def answers(side, other):
    """Settlements that a side has accepted and the other had proposed and not taken back by then, as moves."""
    out = []
    for ident, said in side.settlements.items():
        theirs = other.settlements.get(ident, {})
        if said.get("answer") != 0 or "args" not in theirs or side.accord is None:
            continue
        line, acked = said["answered"], said["acked"]
        if "withdrawn" in theirs and theirs["withdrawn"][1] < acked:
            continue
        pair, amount, a_owed = (theirs["args"][i] for i in range(3))
        owed_by_writer = a_owed == (side.accord[3] == side.ledger)
        out.append((line[1], None, None, (pair, -amount if owed_by_writer else amount)))
    return out


def say_settlement(all_said, line, step):
    """Takes in a SETTLE or SETTLE_ACK."""
    said, args = all_said.setdefault(step[4], {}), step[5]
    if step[2] == 10:
        if "answer" in said:
            return "it answers a settlement a second time, and otherwise" if said["answer"] != args[0] else None
        said.update(answer=args[0], answered=line, acked=step[1][0])
    elif args[4]:
        if "withdrawn" in said:
            return "it takes a settlement back a second time"
        said["withdrawn"] = line
    else:
        if "args" in said:
            return "it proposes a settlement a second time"
        said.update(args=args, proposed=line)
    return None


def book_settlement(sides, accounts, entry):
    p = entry.payload
    if 7 not in p or p[1] not in sides:
        return
    for account, unit, delta in p[7]:
        if account == accounts.get(p[1]):
            sides[p[1]].settlements.setdefault(p[5], {})["booked"] = {
                "seq": entry.seq, "unit": unit, "pair": p[2], "delta": delta, "said": (p[2], p[3], p[4]), "answer": p.get(6)}


def check_settlements(cross):
    for us, them in ((cross.one, cross.other), (cross.other, cross.one)):
        lags = us.acked_to() > len(them.lines)
        for ident, said in sorted(us.settlements.items()):
            theirs = them.settlements.get(ident, {})
            if "answered" in said and "args" not in theirs and not lags:
                cross.findings.add("orphan", "it answers a settlement that was not proposed", [us.at(said["answered"], cross.audited)])
            if "args" in said and "withdrawn" not in said and "answered" not in theirs:
                cross.findings.add("in flight", f"settlement {ident.hex()}: proposed, not answered",
                                   [us.at(said["proposed"], cross.audited)])
            if "booked" in said and not lags and not _booked_right(us, them, ident, said, theirs):
                cross.findings.add("mismatch", f"settlement {ident.hex()} is booked otherwise than the two streams say",
                                   [f"entry {said['booked']['seq']}"])


def _booked_right(us, them, ident, said, theirs):
    booked, is_a = said["booked"], us.accord is not None and us.accord[3] == us.ledger

    def fits(one):
        args = one.get("args")
        return args is not None and (args[0], args[1], args[2] == is_a) == booked["said"]
    if booked["answer"] is None:
        return fits(theirs)
    counts = any(line == theirs["answered"][1] for line, *_ in answers(them, us)) if "answered" in theirs else False
    return counts and theirs["answered"][0] == booked["answer"] and fits(said)


def moves(side, other):
    """What each step of a side moves: (sseq, opened, closed, sum), in the order of the stream."""
    out = []

    def value(said):
        proposed = said.proposed if said else None
        return (proposed["pair"], proposed["amounts"][1]) if proposed and proposed["amounts"] else None

    for key, said in side.claims.items():
        mine, theirs = value(said), value(other.claims.get(key))
        if mine and not (said.closed and said.closed[4]):
            out.append((said.proposed["line"][1], key, mine, 0))
            if said.closed:
                out.append((said.closed[0][1], key, None, mine if said.binds() else 0))
        if theirs and said.returned:
            out.append((said.returned[1], None, None, theirs))
    out += [(sseq, None, None, (pair, -amount)) for sseq, pair, amount in applies(side)]
    return sorted(out + answers(side, other), key=lambda move: move[0])


class Trail:
    """One writer's stream up to a place."""

    def __init__(self, all_moves):
        self.moves, self.at, self.sums, self.opened = all_moves, 0, {}, {}

    def follow(self, before):
        while self.at < len(self.moves) and self.moves[self.at][0] < before:
            _, key, opened, moved = self.moves[self.at]
            self.at += 1
            if opened:
                self.opened[key] = opened
            elif key:
                self.opened.pop(key, None)
            if moved:
                self.sums[moved[0]] = self.sums.get(moved[0], 0) + moved[1]


def check_statements(cross):
    """Each STMT is what the two prefixes give; each STMT_ACK answers one."""
    for us, them in ((cross.one, cross.other), (cross.other, cross.one)):
        _against_streams(cross, us, them)
        asked = {line[0]: statement for line, _, answer, statement in them.statements if answer is None}
        for line, _, answer, statement in us.statements:
            if answer is None:
                continue
            at = [us.at(line, cross.audited)]
            if answer[0] not in asked:
                if us.acked_to() <= len(them.lines):
                    cross.findings.add("orphan", "it answers a statement that was not made", at)
            elif answer[1] != AGREED:
                cross.findings.add("warning", f"a statement was not agreed to: {VERDICTS[answer[1]]}", at)
            elif asked[answer[0]] != statement:
                cross.findings.add("mismatch", "it agrees to another statement than the one it answers", at)


def _against_streams(cross, us, them):
    if us.accord is None:
        return
    we_are_a = us.accord[3] == us.ledger
    ours, theirs = Trail(moves(us, them)), Trail(moves(them, us))
    if us.begun is not None:
        ours.sums, theirs.sums = us.begun.sums(we_are_a), us.begun.sums(not we_are_a)
    for line, acked, answer, statement in us.statements:
        if answer is not None:
            continue
        at = [us.at(line, cross.audited)]
        if cut_of(statement, we_are_a) != [line[1], acked]:
            cross.findings.add("mismatch", "its statement is cut elsewhere than before itself", at)
            continue
        if acked > len(them.lines) or them.first_gap() < acked or us.first_gap() < line[1]:
            return
        ours.follow(line[1])
        theirs.follow(acked)
        a, b = (ours, theirs) if we_are_a else (theirs, ours)
        pairs = len(statement[1])
        if statement[1] != [a.sums.get(pair, 0) - b.sums.get(pair, 0) for pair in range(pairs)]:
            cross.findings.add("mismatch", "its statement says other positions than the two streams", at)
        elif [statement[2], statement[3]] != [in_flight(a.opened, pairs), in_flight(b.opened, pairs)]:
            cross.findings.add("mismatch", "its statement names other payments on their way than the two streams", at)
