"""RESET (specs/clearing.md §17) as far as our own entries decide it: notices, what a document does to every row, and what the
books lack after it."""

import marshal

from wcbor import Refused
from wclearing import DONE, FREED, OPEN, REJECTED, UPSTREAM, need, new_in, own_account
from wentry import booked_unit, channel_of, read_reset, reset_id

DAY = 86_400_000
GIVEN, TAKEN_BACK, CLOSED = range(3)
SHORTEST, LONGEST = 7 * DAY, 90 * DAY
MAX_OFFERS = 16
# For the first time; after an offer of ours, which stands whatever was lost since; as a step that comes back (kinds.md 1.18).
FIRST, OFFERED, LOST = range(3)
BOUND, FREE = 1, 2


class Resets:
    """A row, by peer, is [n, notice, id of the last, leaf of ours, what is not booked, [[id, leaf]] offered, leaf refused], a
    notice [time, not before, closed]."""

    def reset_row(self, peer):
        return self.t["resets"].get(peer, [0, None, None, None, None, [], None])

    def incarnation(self, peer):
        return self.reset_row(peer)[0]

    def is_noticed(self, peer):
        return self.reset_row(peer)[1] is not None

    def is_closed_to(self, peer):
        notice = self.reset_row(peer)[1]
        return notice is not None and notice[2]

    def next_channel(self, peer):
        return channel_of(self.ident[0], peer, self.incarnation(peer) + 1)

    def is_former(self, peer, channel):
        return any(channel_of(self.ident[0], peer, n) == channel for n in range(self.incarnation(peer)))

    # Notices (kinds.md 17.6)

    def _kind_1102(self, entry, authority):
        act, peer, n, not_before = (entry.payload.get(i) for i in range(4))
        authority.office(self)
        self._channel_with(peer)
        row = list(self.reset_row(peer))
        notice = row[1]
        need(n == row[0], "reset-mismatch")
        need((not_before is not None) == (act == GIVEN), "step-form")
        if act == GIVEN:
            need(notice is None, "nothing-to-do")
            need(entry.time + SHORTEST <= not_before <= entry.time + LONGEST, "notice-time")
            row[1] = [entry.time, not_before, False]
        elif act == TAKEN_BACK:
            need(notice is not None and not (notice[2] and row[5]), "nothing-to-do")
            if notice[2]:
                authority.root_quorum(self.identity()[2])
            row[1] = None
        else:
            need(notice is not None and not notice[2], "nothing-to-do")
            need(entry.time >= notice[1], "notice-runs")
            row[1] = [*notice[:2], True]
        self.t["resets"][peer] = row

    # Steps on the next channel

    def _step_11(self, step):
        """RESET_REFUSE: what the peer has offered never takes effect here."""
        peers = [row[0] for row in self.t["channels"].values()]
        peer = next((peer for peer in peers if self.next_channel(peer) == step[0]), None)
        need(peer is not None, "unknown-channel")
        row = list(self.reset_row(peer))
        need(row[6] != step[4], "nothing-to-do")
        row[6] = step[4]
        self.t["resets"][peer] = row

    def _step_12(self, entry, step):
        """RESET: an offer, or, with the peer's, the end of one channel and the beginning of the next."""
        data, us, reference = step[5][0], self.identity()[0], step.get(4)
        try:
            reset = read_reset(data)
        except Refused:
            raise Refused("reset-mismatch") from None
        need(us in (reset[1], reset[2]), "reset-mismatch")
        we_are_a = us == reset[1]
        self._own_root_sigs(data, step[5][1 if we_are_a else 2], b"WEFT-RESET/1\n")
        peer = reset[2 if we_are_a else 1]
        old, channel = self._channel_with(peer)
        row = list(self.reset_row(peer))
        need(reset[3] == row[0] + 1 and step[0] == channel_of(us, peer, reset[3]), "reset-mismatch")
        need(reset[4] == channel[3] and we_are_a == channel[4], "reset-mismatch")
        need(len(reset[7]) == len(channel[2][5]), "reset-mismatch")
        need(row[4] is None or self.lost is not None, "hop-state")
        need(reference is None or reference != row[6], "reset-mismatch")
        ident, mode = reset_id(data), LOST if self.lost is not None else FIRST
        if mode == FIRST and reference is not None and any(offered == ident for offered, _ in row[5]):
            mode = OFFERED
        if mode == FIRST:
            need(self.is_closed_to(peer), "reset-not-closed")
            ends = self.t["streams"].get(old, [0, bytes(32)])
            need(reset[5 if we_are_a else 6] == ends, "reset-mismatch")
        kept = marshal.dumps(self.t)
        unbooked = Ending(self, reset, entry, step[0], old, channel, mode).all(row[4] or [])
        if reference is None:
            self.t = marshal.loads(kept)
            need(len(row[5]) < MAX_OFFERS, "reset-mismatch")
            row[5] = [*row[5], [ident, entry.leaf]]
        else:
            row = [reset[3], None, ident, entry.leaf, unbooked or None, [], None]
            del self.t["channels"][old]
            self.t["channels"][step[0]] = channel[:5] + [step[1][0], set(), {}] + channel[8:]
        self.t["resets"][peer] = row

    # The books after it (kinds.md 5.13)

    def _kind_050f(self, entry, _):
        peer, leaf, postings = (entry.payload[i] for i in range(3))
        row = list(self.reset_row(peer))
        need(row[3] == leaf and row[4] is not None, "nothing-to-do")
        self.exactly(postings, row[4])
        row[4] = None
        self.t["resets"][peer] = row


class Ending:
    """The end of a channel, row by row (clearing.md 17.7)."""

    def __init__(self, state, reset, entry, new, old, channel, mode):
        self.state, self.t, self.reset, self.leaf, self.time = state, state.t, reset, entry.leaf, entry.time
        self.new, self.old, self.channel, self.mode, self.we_are_a = new, old, channel, mode, channel[4]
        self.bound = {(claim, part, by_a) for claim, part, by_a in reset.get(8, [])}
        # What follows of itself on the peer's account, by unit.
        self.comes = {}

    def all(self, unbooked):
        legs = {leg for leg, row in self.t["claims"].items() if self._is_in(row)}
        for leg, row in self.t["claims"].items():
            self._claim(leg, row)
        for claim, part, by_a in sorted(self.bound):
            if by_a != self.we_are_a and (claim, part) not in legs:
                self._unknown(claim, part)
        for row in self.t["decisions"].values():
            if row[1] == self.old:
                row[1], row[8] = self.new, 0
        for row in self.t["settlements"].values():
            stage = {0: 5, 1: 5, 2: 5, 3: 5, 6: 8, 7: 9}.get(row[4])
            if row[0] == self.old and stage is not None:
                row[4], row[5] = stage, self.time
        self._rounds()
        sums = {}
        for account, unit, delta in [*unbooked, *self.t["written_off"].pop(self.old, [0, 0, []])[2]]:
            sums[account, unit] = sums.get((account, unit), 0) + delta
        self._positions(sums)
        return [[account, unit, delta] for (account, unit), delta in sorted(sums.items()) if delta]

    def _positions(self, sums):
        account, disputed, side = self.channel[1], own_account("disputed"), 0 if self.we_are_a else 1
        for terms, agreed in zip(self.channel[2][5], self.reset[7]):
            unit = booked_unit(terms, side)
            comes = sums.get((account, unit), 0) + self.comes.get(unit, 0)
            lacks = (agreed if self.we_are_a else -agreed) - self.t["balances"].get((account, unit), 0) - comes
            for whose, delta in ((account, lacks), (disputed, -lacks)):
                sums[whose, unit] = sums.get((whose, unit), 0) + delta
                need(abs(sums[whose, unit]) < 1 << 63, "balance-overflow")

    def _follows(self, value, onto):
        unit, amount, foreign = value
        unit, amount = (unit, amount) if foreign is None else foreign[:2]
        self.comes[unit] = self.comes.get(unit, 0) + (amount if onto else -amount)

    def _is_in(self, row):
        return self.old in row[0] or (row[1] is not None and row[1][4] == [UPSTREAM, [self.old]])

    def _claim(self, leg, row):
        out, first = row[1], self.mode == FIRST
        onward = None
        if out is not None and out[4] == [UPSTREAM, [self.old]]:
            onward = (out[6][0], out[8])
        if self._is_in(row):
            decided = self.state._accepted_on(*leg, self.old) is not None
            value = self.state._coming(*leg, self.old)
            hop = row[0].pop(self.old, None) or new_in()
            self._incoming(leg, hop, onward, decided, value)
            row[0][self.new] = hop
        if onward is not None:
            out[4] = [UPSTREAM, [self.new]]
        if out is None or out[0] != self.old:
            return
        out[0] = self.new
        named = (*leg, self.we_are_a) in self.bound
        if out[6][0] == OPEN:
            out[6] = [DONE if named else FREED, [self.leaf]]
        else:
            need(not (named and out[6][0] == FREED and first), "reset-mismatch")
        if out[6][0] == DONE and not out[7]:
            self._follows([out[2], out[3], out[9]], True)

    def _incoming(self, leg, hop, onward, decided, value):
        """A hop that the peer has proposed. `onward`: how the hop after it is closed, and whether it came back."""
        first, named = self.mode == FIRST, (*leg, not self.we_are_a) in self.bound
        if hop[1] is not None:
            if hop[2] is not None and not hop[3]:
                self._follows(hop[1] + [hop[6]], True)
            return
        if hop[0][0] == REJECTED:
            need(not (named and first), "reset-mismatch")
            return
        bound = named or self._bound_unnamed(hop, onward, decided)
        if bound and value is not None and (decided or onward is not None):
            hop[7] = [self.leaf, BOUND, False]
            self._follows(value, False)
            return
        hop[0] = [REJECTED, [self.leaf]]
        if decided and not bound:
            hop[7] = [self.leaf, FREE, False]

    def _bound_unnamed(self, hop, onward, decided):
        """What the document does not bind is refused where it may be bound further on; who was set back since follows."""
        goes_on = onward is not None and onward[0] != FREED and not onward[1]
        lost = hop[0][0] == 1 and not decided and onward is None
        need(self.mode != FIRST or not (goes_on or lost), "bound-downstream")
        if not goes_on:
            return False
        if onward[0] == DONE:
            return True
        need(self.mode == LOST, "bound-downstream")
        return False

    def _unknown(self, claim, part):
        """Bound, and nothing is known of it here: nothing ever goes on from it."""
        hop = new_in()
        hop[0] = [REJECTED, [self.leaf]]
        self.t["claims"].setdefault((claim, part), [{}, None, self.time + 7 * DAY])[0][self.new] = hop

    # Netting rounds

    def _unit_of(self, held):
        need(held is not None and held[1] < len(self.channel[2][5]), "round-state")
        return booked_unit(self.channel[2][5][held[1]], 0 if self.we_are_a else 1)

    def _line(self, ident, result):
        """Our line with this peer in a result that we have accepted."""
        votes = self.t["rounds"].get(ident, [0, 0, None, []])[3]
        lines = [line for vote in votes if vote[2] and vote[1] == result for line in vote[3] if line[0][0] == self.channel[0]]
        return lines[0] if lines else None

    def _rounds(self):
        peer, named = self.channel[0], self.reset.get(9, [])
        for (ident, of), held in self.t["held"].items():
            if of == peer:
                lines = [self._line(*name) for name in named if name[0] == ident]
                count = sum(line is not None and not line[2] for line in lines)
                need(count <= 1, "round-state")
                held[0], held[4] = self.new, held[4] or not count
        for ident, round_ in self.t["rounds"].items():
            for line in [line for vote in round_[3] if vote[2] for line in vote[3]]:
                (of, we_owe, amount), said, booked = line
                if of == peer and we_owe and said is not None and not booked:
                    unit = self._unit_of(self.t["held"].get((ident, peer)))
                    self.comes[unit] = self.comes.get(unit, 0) - amount
        for ident, result in named:
            line = self._line(ident, result)
            need(line is not None or self.mode != FIRST, "round-state")
            if line is None:
                continue
            (_, we_owe, amount), said, booked = line
            if not booked and not (we_owe and said is not None):
                unit = self._unit_of(self.t["held"].get((ident, peer)))
                self.comes[unit] = self.comes.get(unit, 0) + (-amount if we_owe else amount)
            if we_owe and said is None:
                line[1] = self.time
