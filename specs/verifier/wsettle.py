"""Statements (specs/clearing.md §12): what our own entries decide of them, and what the two streams of a channel give."""

from wcbor import Refused, encode
from wentry import booked_unit
from wkeys import tagged

AGREED, POSITIONS, IN_FLIGHT, BOOKS = range(4)
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
        """Above zero A owes B."""
        sign = 1 if channel[4] else -1
        return [sign * self.t["balances"].get((channel[1], booked_unit(pair, self._side(channel))), 0)
                for pair in channel[2][5]]

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


def moves(side, other):
    """What each step of a side moves: (sseq, opened, closed, sum), in the order of the stream."""
    out = []

    def value(said):
        proposed = said.proposed if said else None
        return (proposed["pair"], proposed["amounts"][1]) if proposed and proposed["amounts"] else None

    for key, said in side.claims.items():
        mine, theirs = value(said), value(other.claims.get(key))
        if mine:
            out.append((said.proposed["line"][1], key, mine, 0))
            if said.closed:
                out.append((said.closed[0][1], key, None, mine if said.closed[1] is not None else 0))
        if theirs and said.returned:
            out.append((said.returned[1], None, None, theirs))
    return sorted(out, key=lambda move: move[0])


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
