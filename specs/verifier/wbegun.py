"""Channels that a RESET has begun anew, as an audit sees them (specs/clearing.md §17): what of the old sides goes over to the new
ones, and whether both have begun with one document. The old streams are not held against each other any more: a reset is for
what was lost of them."""

from wcbor import Refused
from wentry import booked_unit, channel_of, read_reset, reset_id

BOUND, FREE = 1, 2
# How a hop was closed that has gone over: by the RESET, or on the old channel; what it has moved then the new one began with.
BY_RESET, BEFORE = 1, 2


class Begun:
    """How a side of a channel began."""

    def __init__(self, line, data, reset):
        self.line, self.reset, self.positions = line, reset_id(data), reset[7]
        self.results = {result for _, result in reset.get(9, [])}

    def sums(self, is_a):
        """With what the trail of a side's stream begins: A's says what is owed."""
        return dict(enumerate(self.positions)) if is_a else {}


def of_account(side, account, postings):
    """What postings move on the peer's account beside its claims: (pair, unit, delta)."""
    of_a = 0 if side.accord is not None and side.accord[3] == side.ledger else 1
    units = [booked_unit(terms, of_a) for terms in side.accord[5]] if side.accord is not None else []
    return [(units.index(unit) if unit in units else 0, unit, delta) for whose, unit, delta in postings if whose == account]


def take_over(sides, entry, balances=None):
    """A RESET that a side says, which stands in its stream already. What was open goes over as it has ended, of our own side
    the balances of the peer's account too (`balances` gives its id and {unit: balance} by channel; None for a peer's side).
    Gives why it means nothing."""
    step = entry.payload
    try:
        reset = read_reset(step[5][0])
    except Refused:
        return None
    writer, side = entry.ledger, sides[step[0]]
    # Of our own entries the rules of the ledger say so.
    if writer not in (reset[1], reset[2]) or channel_of(reset[1], reset[2], reset[3]) != step[0]:
        return None if side.own else "it is a RESET of another channel than it stands in"
    if side.begun is not None:
        return None if side.own else "it is a RESET after one in effect"
    if 4 not in step:
        return None
    is_a = writer == reset[1]
    side.peer = reset[2 if is_a else 1]
    line = (entry.leaf, entry.stream[1], entry.seq)
    old = sides.get(channel_of(reset[1], reset[2], reset[3] - 1))
    if old is not None:
        side.accord = old.accord
        bound = {(claim, part) for claim, part, by_a in reset.get(8, []) if by_a == is_a}
        for leg, said in old.claims.items():
            if said.proposed is not None and (said.closed is None or said.binds()):
                side.claims[leg] = new = type(said)()
                new.proposed = said.proposed
                new.closed = (line, None, None, BOUND if leg in bound else FREE, BY_RESET)
                if said.closed is not None:
                    new.closed = (*said.closed[:4], BEFORE)
    side.begun = Begun(line, step[5][0], reset)
    if balances is not None:
        account, by_unit = balances(step[0])
        side.beside += of_account(side, account, [[account, unit, balance] for unit, balance in by_unit.items()])
    return None


def check_begun(cross):
    """Both sides have begun with what both root sets have signed."""
    one, other = cross.one.begun, cross.other.begun
    if one is not None and other is not None and one.reset != other.reset:
        at = [side.at(side.begun.line, cross.audited) for side in (cross.one, cross.other)]
        cross.findings.add("mismatch", "the two networks have begun this channel with different resets", at)
