"""Other networks as an audit sees them, and two sides of a channel held against each other (specs/audit.md §2, clearing.md §8)."""

from wbegun import BEFORE, BY_RESET, check_begun, of_account, take_over
from wcbor import Refused, decode
from wentry import (DISPUTE, GENESIS, IDENTITY, KEY_BOUND, KEY_REVOKED, ROOT_CHANGED, ZERO16, ZERO32, Entry, claim_of,
                    decision_message, read_accord, read_intent, read_reset)
from wkeys import key_fault, signer_of, verify
from wledger import Authority, State
from wrerun import Heard
from wround import book_netted, check_rounds, say_apply
from wsettle import book_settlement, check_settlements, check_statements, say_settlement

ACCEPT, BOUND = 1, 1
RESET = 12
MAX_GAP = 1 << 20


def short(ledger):
    return ledger.hex()[:8]


class Identity:
    """Who a network is, from its public stream alone (specs/kinds.md 1.7): the rules of area 1, and no other state."""

    def __init__(self, entry):
        self.state = State()
        if entry.kind != GENESIS:
            raise Refused("no-genesis")
        if entry.seq or entry.body[3] != ZERO32 or entry.body[5]:
            raise Refused("genesis-place")
        self._event(entry)
        self.seen = {entry.leaf}

    @classmethod
    def ours(cls, state):
        out = cls.__new__(cls)
        out.state, out.seen = state, set()
        return out

    @property
    def root(self):
        return self.state.ident[2]

    @property
    def genesis(self):
        return self.state.ident[1]

    def log_key(self, epoch):
        keys = self.state.ident[4][1]
        return keys[epoch] if epoch < len(keys) else None

    def fits(self, epoch, seq):
        """Whether an entry of this place is signed under this epoch (specs/keys.md 2.2)."""
        firsts = [0, *self.state.ident[6]]
        return epoch < len(firsts) and firsts[epoch] <= seq and (epoch + 1 == len(firsts) or seq < firsts[epoch + 1])

    def _event(self, entry):
        """An identity entry: the root signatures that its kind needs, and the node's."""
        kept = self.state._kept()
        try:
            if any((role, how) != (5, 0) for _, role, how, _ in entry.auth):
                raise Refused("unknown-signer")
            if entry.kind != GENESIS and entry.body[5] != self.state.signing_epoch(entry):
                raise Refused("unknown-epoch")
            authority = Authority(self.state, entry)
            getattr(self.state, f"_kind_{entry.kind:04x}")(entry, authority)
            key = self.log_key(entry.body[5])
            if key is None or not entry.node_signed_by(key) or not all(verify(*check) for check in authority.checks):
                raise Refused("signature")
        except Refused:
            self.state._restore(kept)
            raise

    def after(self, entry):
        if entry.ledger != self.state.ident[0]:
            raise Refused("ledger-mismatch")
        if entry.kind in IDENTITY:
            if self._has(entry):
                return
            self._event(entry)
            self.seen.add(entry.leaf)
        elif not self.fits(entry.body[5], entry.seq) or not entry.node_signed_by(self.log_key(entry.body[5])):
            raise Refused("signature")

    def _has(self, entry):
        ident, p = self.state.ident, entry.payload
        if entry.kind == KEY_BOUND:
            return p[2] in ident[4].get(p[0], [])[p[1]:p[1] + 1]
        if entry.kind == KEY_REVOKED:
            return ident[7].get((p[0], p[1]), [None])[0] == entry.seq
        return entry.kind == ROOT_CHANGED and any(until == entry.seq for _, until in ident[8])


class Networks:
    """Who others are, what their streams say, and every signature of theirs that our books rest on."""

    def __init__(self, findings):
        self.findings, self.identities, self.tails, self.sides = findings, {}, {}, {}
        self.decisions, self.waiting, self.documents, self.unreadable = {}, [], [], set()
        self.rounds = Heard()

    def know_us(self, state):
        self.identities[state.ident[0]] = Identity.ours(state)

    def learn(self, entry):
        known = self.identities.get(entry.ledger)
        if known is None:
            self.identities[entry.ledger] = Identity(entry)
        elif entry.kind == GENESIS:
            if known.genesis != entry.leaf:
                raise Refused("another-genesis")
        else:
            known.after(entry)

    def receive(self, peer, data, file, sign):
        try:
            entry = Entry(data)
        except Refused as why:
            kind = "warning" if peer in self.unreadable else "error"
            self.unreadable.add(peer)
            self.findings.add(kind, f"an entry received from {short(peer)} cannot be read: {why}", file=file)
            for (ledger, _), tail in self.tails.items():
                if ledger == peer:
                    tail["torn"] = True
            return
        self.unreadable.discard(peer)
        if entry.stream is None or entry.ledger != peer:
            self.findings.add("error", f"an entry kept as received from {short(peer)} is not of a stream of it", file=file)
            return
        stream, sseq, _ = entry.stream
        public = stream == ZERO16
        if file.endswith("/public") != public:
            self.findings.add("error", "an entry is of another stream than this file is for", file=file)
        at = f"entry {sseq} of the {'public stream' if public else 'channel'} of {short(peer)}"

        def error(what):
            self.findings.add("error", what, [at], file)

        if not self._chained(entry, at, file):
            return
        if public:
            try:
                self.learn(entry)
            except Refused as why:
                error(f"the identity entry does not verify: {why}")
            self.rounds.hear(self.identities.get, entry)
            return
        if not entry.is_step:
            return error("it stands on a channel and is no step")
        if entry.payload[0] != stream or entry.auth:
            return error("it names another channel than its stream, or carries people's signatures")
        known = self.identities.get(peer)
        if known and known.log_key(entry.body[5]) and not known.fits(entry.body[5], entry.seq):
            error("the log key of its epoch is not that of its place")
        self._queue(peer, entry.body[5], entry.node_message(), entry.node_sig, at, file, sign, "its node's signature")
        self.embedded(entry, None, at, file, sign)
        side = self.sides.setdefault(stream, Side(peer, ZERO32, stream, False))
        if entry.payload[2] == 0:
            try:
                accord = read_accord(entry.payload[5][0])
                if peer in (accord[3], accord[4]):
                    side.peer = accord[4] if accord[3] == peer else accord[3]
            except Refused:
                pass
        if side.ledger != peer:
            return error("two networks write as the peer on one channel")
        what = side.say(entry)
        if what is None and entry.payload[2] == RESET:
            what = take_over(self.sides, entry)
        return error(what) if what else None

    def _chained(self, entry, at, file):
        stream, sseq, sprev = entry.stream
        tail = self.tails.setdefault((entry.ledger, stream), {"next": 0, "head": ZERO32, "boot": 0, "torn": False})
        add, torn = self.findings.add, tail["torn"]
        if sseq < tail["next"] and not torn:
            side = self.sides.get(stream)
            known = side.lines[sseq][0] if side and sseq < len(side.lines) else None
            if known == entry.leaf:
                add("error", "it is kept twice", [at], file)
            elif known is not None and entry.boot == tail["boot"]:
                add("equivocation", "its network has signed two different entries for this place", [at], file)
            else:
                add("error", "it stands after later entries of its stream", [at], file)
            return False
        if sseq > tail["next"] and not torn:
            add("error", f"entries {tail['next']} to {sseq - 1} before it are missing", [at], file)
        elif not torn and sprev != tail["head"]:
            add("error", "it does not name the entry before it in its stream", [at], file)
        if entry.boot < tail["boot"]:
            add("error", "its boot is before that of the entry before it", [at], file)
        tail.update(next=sseq + 1, head=entry.leaf, boot=max(tail["boot"], entry.boot), torn=False)
        return True

    def _queue(self, ledger, epoch, message, sig, at, file, sign, what):
        known = self.identities.get(ledger)
        key = known.log_key(epoch) if known else None
        if key is None:
            self.waiting.append((ledger, epoch, message, sig, at, file, what))
        else:
            sign(key, message, sig, at, file, what)

    def embedded(self, entry, us, at, file, sign):
        """Signatures inside a step that the writer's own ledger does not vouch for."""
        step, t = entry.payload, entry.payload[2]

        def queue(ledger, epoch, message, sig, what):
            if ledger != us:
                self._queue(ledger, epoch, message, sig, at, file, sign, what)

        def error(what):
            self.findings.add("error", what, [at], file)

        if t == 14:
            try:
                self.learn(Entry(step[5][0]))
            except Refused as why:
                error(f"the identity entry inside does not verify: {why}")
        elif t == 1:
            data, sig = step[5][0]
            try:
                intent = read_intent(data)
            except Refused as why:
                return error(f"its Intent cannot be read: {why}")
            queue(intent[1], intent[2], b"WEFT-INTENT/1\n" + data, sig, "the payer network's signature under its Intent")
        elif t in (2, 4) or (t == 3 and 1 in step[5]):
            decision = step[5][1 if t == 3 else 0]
            _, decider, epoch, claim, outcome, _ = (decision[0][i] for i in range(6))
            first = self.decisions.setdefault((claim, decider), (outcome, at))
            if first[0] != outcome:
                what = f"{short(decider)} has signed both an ACCEPT and a REJECT of claim {claim.hex()}"
                self.findings.add("equivocation", what, [first[1], at], file)
            queue(decider, epoch, decision_message(decision), decision[1], "the decider's signature under its Decision")
        elif t == 0:
            data, sigs_a, sigs_b = (step[5][i] for i in range(3))
            try:
                accord = read_accord(data)
            except Refused as why:
                return error(str(why))
            self._wait("accord", us, ((accord[3], sigs_a), (accord[4], sigs_b)), data, at, file)
        elif t == 12:
            data, sigs_a, sigs_b = (step[5][i] for i in range(3))
            try:
                reset = read_reset(data)
            except Refused as why:
                return error(f"its reset cannot be read: {why}")
            self._wait("reset", us, ((reset[1], sigs_a), (reset[2], sigs_b)), data, at, file)
        elif t == 13:
            data, of_debtor, of_creditor = (step[5][i] for i in range(3))
            try:
                dispute = DISPUTE(decode(data, 256))
            except Refused as why:
                return error(f"its dispute cannot be read: {why}")
            self._wait("dispute", us, ((dispute[4], of_debtor), (dispute[5], of_creditor)), data, at, file)
        return None

    def _wait(self, what, us, signed, data, at, file):
        """Signatures of root sets under what both networks sign: looked at when all identities are here."""
        self.documents += [(what, signer, data, sigs, at, file) for signer, sigs in signed if signer != us]

    def finish(self, sign):
        for what, signer, data, sigs, at, file in self.documents:
            known = self.identities.get(signer)
            if known is None:
                what = f"the signatures of {short(signer)} under the {what}, as its identity is not here"
                self.findings.add("not checked", what, [at], file)
                continue
            # Where it was signed in the other ledger is not known here: any root set that ever was in force may have.
            roots = [known.root, *reversed([former for former, _ in known.state.ident.get(8, [])])]
            keys = next(filter(None, (signed_by(root, sigs) for root in roots)), None)
            if keys is None:
                self.findings.add("error", f"the {what} is not signed by {short(signer)}", [at], file)
                continue
            for key, (_, sig) in zip(keys, sigs):
                message = f"WEFT-{what.upper()}/1\n".encode() + data
                sign(key, message, sig, at, file, f"a root signature under the {what}")
        unknown = {}
        for ledger, epoch, message, sig, at, file, what in self.waiting:
            known = self.identities.get(ledger)
            key = known.log_key(epoch) if known else None
            if key is not None:
                sign(key, message, sig, at, file, what)
            elif known:
                self.findings.add("error", f"{what}: {short(ledger)} has no log key of epoch {epoch}", [at], file)
            else:
                unknown.setdefault(ledger, []).append(at)
        for ledger, places in unknown.items():
            what = f"{len(places)} signatures of {short(ledger)}, whose identity is not here"
            self.findings.add("not checked", what, places[:1])


def signed_by(root, sigs):
    """The keys of the signatures, if they are a quorum of a root set."""
    keys, names = {signer_of(key): key for key in root[1]}, [name for name, _ in sigs]
    good = all(name in keys and not key_fault(keys[name]) for name in names)
    return [keys[name] for name in names] if good and len(set(names)) == len(names) >= root[0] else None


class Said:
    """What one network has said, and booked, about one claim on a channel. A line is (leaf, sseq, seq)."""

    def __init__(self):
        self.proposed = self.answered = self.closed = self.returned = self.disputed = None
        self.ended = self.booked = self.gave_back = self.got_back = None

    def once(self, slot, value, again):
        if getattr(self, slot) is not None:
            return again
        setattr(self, slot, value)
        return None

    def say(self, line, entry, ends, accord):
        step = entry.payload
        t, claim, reference = step[2], step[3], step.get(4)
        if t == 1:
            return self._propose(line, entry, claim, ends, accord)
        if t in (2, 3):
            again = self.once("answered", (line, t == 2, reference), "it answers the claim a second time")
            decision = step[5].get(1) if t == 3 else step[5][0]
        elif t in (4, 5):
            decider = step[5][0][0][1] if t == 4 else None
            again = self.once("closed", (line, decider, reference, None, None), "it closes the hop a second time")
            decision = step[5][0] if t == 4 else None
        elif t == 6:
            return self.once("returned", line, "it returns the claim a second time")
        elif t == 13:
            return self._dispute(line, reference, step[5][0])
        else:
            return None
        if again is None and decision is not None and decision[0][3] != claim:
            return "its Decision is on another claim"
        return again

    def _dispute(self, line, reference, data):
        try:
            outcome = DISPUTE(decode(data, 256))[8]
        except Refused:
            return "its dispute cannot be read"
        if reference is None:
            return self.once("disputed", (line[0], outcome), "it disputes the hop a second time")
        return self.once("closed", (line, None, reference, outcome, None), "it closes the hop a second time")

    def binds(self):
        """Whether the hop is closed so that the debtor owes: by a Decision, or by a dispute."""
        return self.closed is not None and (self.closed[1] is not None or self.closed[3] == BOUND)

    def _propose(self, line, entry, claim, ends, accord):
        (data, _), place, part = entry.payload[5][0], entry.payload[5][1], entry.payload.get(6, 0)
        proposed = {"line": line, "time": entry.time, "expires": 0, "payee": ZERO32, "pair": 0, "amounts": None,
                    "fits": False}
        try:
            intent = read_intent(data)
        except Refused:
            pass
        else:
            route, hops = intent[5][part] if part < len(intent[5]) else ([], [])
            proposed.update(expires=intent[6], payee=intent[3])
            if place < len(hops):
                proposed.update(pair=hops[place][0], amounts=moved_by(hops[place], accord, ends[0]),
                                fits=claim_of(data) == claim and (route[place], route[place + 1]) == ends)
        return self.once("proposed", proposed, "it proposes the claim a second time")


def moved_by(hop, accord, sender):
    """What a hop moves on the peer accounts of its two ends: what it says, where each books in its own unit."""
    terms = accord[5][hop[0]] if accord and hop[0] < len(accord[5]) else []
    if len(terms) < 8:
        return hop[1], hop[2]
    position = hop[1] if (terms[4] == 0) == (accord[3] == sender) else hop[2]
    return position, position


NOTHING = Said()


class Side:
    """One network's words on a channel, and its books on them where these are at hand."""

    def __init__(self, ledger, peer, channel, own):
        self.ledger, self.peer, self.channel, self.own = ledger, peer, channel, own
        self.lines, self.acks, self.claims, self.accord = [], [], {}, None
        # (line, how far the other stream was there, None or (STMT answered, verdict), statement)
        self.statements = []
        self.settlements = {}
        self.cleared = {}
        # How it began, if with a RESET; what moved on the peer's account beside claims, as (pair, unit, delta).
        self.begun, self.beside = None, []

    def first_gap(self):
        return next((place for place, (leaf, _) in enumerate(self.lines) if leaf == ZERO32), len(self.lines))

    def acked_to(self):
        return self.acks[-1][1] if self.acks else 0

    def at(self, line, audited):
        leaf, sseq, seq = line
        if not self.own:
            return f"entry {sseq} of the channel of {short(self.ledger)}"
        return f"entry {seq}" if self.ledger == audited else f"entry {seq} of {short(self.ledger)}"

    def say(self, entry):
        """Takes in a step. Gives what is wrong with it as a line of this stream."""
        step, sseq = entry.payload, entry.stream[1]
        line = (entry.leaf, sseq, entry.seq)
        if sseq - len(self.lines) > MAX_GAP:
            return "its place in the stream is far beyond the entries before it"
        while len(self.lines) < sseq:
            self.lines.append((ZERO32, entry.seq))
        self.lines[sseq:sseq + 1] = [(entry.leaf, entry.seq)]
        ack, head = step[1]
        if ack > self.acked_to():
            self.acks.append((line, ack, head))
        if 3 not in step:
            if step[2] == 0:
                try:
                    self.accord = read_accord(step[5][0])
                except Refused:
                    self.accord = None
            elif step[2] == 7:
                self.statements.append((line, ack, None, step[5][0]))
            elif step[2] == 8:
                self.statements.append((line, ack, (step[4], step[5][0]), step[5][1]))
            elif step[2] in (9, 10):
                return say_settlement(self.settlements, line, step)
            elif step[2] == 17:
                return say_apply(self.cleared, line, step)
            return None
        leg = (step[3], step.get(6, 0))
        return self.claims.setdefault(leg, Said()).say(line, entry, (self.ledger, self.peer), self.accord)

    @staticmethod
    def book(sides, held, accounts, entry):
        """An own entry beside the streams; `held` and `accounts` are as they were before it."""
        def moved(channel, cause, postings):
            for account, unit, delta in postings:
                if account == accounts.get(channel):
                    return {"seq": entry.seq, "unit": unit, "amount": abs(delta), "cause": cause}
            return None

        p = entry.payload
        if entry.kind == 0x050C:
            book_settlement(sides, accounts, entry)
        if entry.kind == 0x050D and p[1] in sides:
            sides[p[1]].beside += of_account(sides[p[1]], accounts.get(p[1]), p.get(4, []))
        if entry.kind == 0x050F:
            for channel, account in accounts.items():
                if channel in sides and sides[channel].peer == p[0]:
                    sides[channel].beside += of_account(sides[channel], account, p[2])
        if entry.kind == 0x0C06:
            book_netted(sides, held, accounts, entry)
        if entry.kind == 0x0504:
            if held is not None and held in sides:
                sides[held].claims.setdefault((p[0], p[1]), Said()).ended = moved(held, p[2], p[3])
        elif entry.kind in (0x0506, 0x0508) and p[2] in sides:
            said = sides[p[2]].claims.setdefault((p[0], p[1]), Said())
            value = moved(p[2], p[3], p[4])
            if entry.kind == 0x0506:
                said.booked = value
            elif said.returned is not None and said.returned[0] == p[3]:
                said.gave_back = value
            else:
                said.got_back = value


def named(claim, part):
    return claim.hex() + (f", part {part}" if part else "")


class Cross:
    """Two sides held against each other, each as the debtor of the other."""

    def __init__(self, findings, audited, now, may_lag, one, other):
        self.findings, self.audited, self.now, self.may_lag, self.one, self.other = (
            findings, audited, now, may_lag, one, other)

    def check(self):
        for us, them in ((self.one, self.other), (self.other, self.one)):
            self._acks(us, them)
            for claim, said in sorted(us.claims.items()):
                self._hop(claim, us, said, them, them.claims.get(claim, NOTHING))
            for claim, answer in sorted(them.claims.items()):
                if claim not in us.claims:
                    self._hop(claim, us, NOTHING, them, answer)
        check_begun(self)
        check_settlements(self)
        check_rounds(self)
        check_statements(self)
        if self.one.accord and self.other.accord and self.one.accord != self.other.accord:
            self.findings.add("warning", "the two networks have different versions of the accord in force")

    def _acks(self, us, them):
        for line, number, head in us.acks:
            at = us.at(line, self.audited)
            if number > len(them.lines):
                what = (f"{short(us.ledger)} has acknowledged {number} entries of {short(them.ledger)} on the channel, "
                        f"{len(them.lines)} are here")
                self.findings.add("warning" if self.may_lag else "error", what, [at])
                return
            leaf, seq = them.lines[number - 1]
            if leaf not in (head, ZERO32):
                what = f"{short(us.ledger)} has acknowledged another entry at this place: history was rewritten"
                self.findings.add("equivocation", what, [them.at((leaf, number - 1, seq), self.audited), at])
                return

    def _hop(self, claim, us, said, them, answer):
        """One hop of one claim: `us` owes, `them` receives."""
        debtor_lags, creditor_lags = them.acked_to() > len(us.lines), us.acked_to() > len(them.lines)
        name, add = named(*claim), self.findings.add
        proposed, answered, closed = said.proposed, answer.answered, said.closed

        def in_flight(how):
            if self.now > proposed["expires"]:
                how += "; it has expired"
            add("in flight", f"claim {name}: {how}, for {self.now - proposed['time']} ms",
                [us.at(proposed["line"], self.audited)])

        if proposed and not proposed["fits"]:
            add("mismatch", f"its proposal is not a hop of claim {name}", [us.at(proposed["line"], self.audited)])
        if answered:
            line, accepted, reference = answered
            at = [them.at(line, self.audited)]
            right = proposed is not None and reference == proposed["line"][0]
            early_no = reference is None and not accepted
            if not right and not early_no:
                if proposed is not None:
                    add("mismatch", f"it does not answer the proposal of claim {name}", at)
                elif not debtor_lags:
                    add("orphan", f"it answers claim {name}, which {short(us.ledger)} has not proposed", at)
        if closed and proposed and closed[4] == BEFORE:
            pass
        elif closed and proposed:
            self._closed(name, us, said, them, answer, creditor_lags, in_flight)
        elif closed:
            add("orphan", f"it closes claim {name}, which was not proposed", [us.at(closed[0], self.audited)])
        elif proposed:
            in_flight("proposed, not closed")
        if answer.booked:
            booked_, done = answer.booked, closed if said.binds() else None
            amounts = proposed["amounts"] if proposed else None
            by_reset = them.begun is not None and them.begun.line[0] == booked_["cause"]
            right = done and amounts and amounts[1] == booked_["amount"]
            right = right and (done[0][0] == booked_["cause"] or (done[4] == BY_RESET and by_reset))
            # Of a reset the debtor may have lost the hop, and the document that both have signed binds it all the same.
            if not right and not (done is None and (debtor_lags or by_reset)):
                add("mismatch", f"{short(them.ledger)} booked claim {name} otherwise than the DONE and the Intent say",
                    [f"entry {booked_['seq']}"])
        if said.got_back:
            gave = said.ended["amount"] if said.ended else None
            if gave is None and closed and closed[4] == BEFORE and proposed and proposed["amounts"]:
                gave = proposed["amounts"][0]
            right = (answer.returned and answer.returned[0] == said.got_back["cause"]
                     and gave == said.got_back["amount"])
            if not right and not creditor_lags:
                add("mismatch", f"claim {name} came back without a RETURN of {short(them.ledger)}",
                    [f"entry {said.got_back['seq']}"])

    def _closed(self, name, us, said, them, answer, creditor_lags, in_flight):
        (line, decider, reference, disputed, how), proposed, add = said.closed, said.proposed, self.findings.add
        at = [us.at(line, self.audited)]
        if disputed is not None and how != BY_RESET:
            right = answer.disputed == (reference, disputed) or (answer.disputed is None and creditor_lags)
            if not right:
                add("mismatch", f"it closes claim {name} by a dispute that {short(them.ledger)} has not written", at)
        if not said.binds() and disputed is not None:
            return
        if not said.binds():
            reject = answer.answered[0][0] if answer.answered and not answer.answered[1] else None
            if (answer.answered or not creditor_lags) and (reject is None or reference != reject):
                add("mismatch", f"it frees claim {name} without a REJECT of {short(them.ledger)}", at)
            return
        if disputed is None and decider != proposed["payee"]:
            add("mismatch", f"claim {name} is done by the word of another network than the payee's", at)
        if us.own:
            if said.ended is None:
                in_flight("done, not in the payer's books yet")
            elif proposed["amounts"] and (said.ended["amount"], said.ended["cause"]) != (proposed["amounts"][0], line[0]):
                add("mismatch", f"the books on claim {name} are not what its Intent says", at)
            elif not proposed["amounts"]:
                add("mismatch", f"the books on claim {name} are not what its Intent says", at)
        if them.own and answer.booked is None:
            in_flight("done, not in the receiver's books yet")


def booked(side):
    """What the claims of a side have moved on its peer account, by unit."""
    sums = {}
    for said in side.claims.values():
        for moved, sign in ((said.ended, 1), (said.gave_back, 1), (said.booked, -1), (said.got_back, -1)):
            if moved:
                sums[moved["unit"]] = sums.get(moved["unit"], 0) + sign * moved["amount"]
    for one in [*side.settlements.values(), *side.cleared.values()]:
        if "booked" in one:
            sums[one["booked"]["unit"]] = sums.get(one["booked"]["unit"], 0) + one["booked"]["delta"]
    for _, unit, delta in side.beside:
        sums[unit] = sums.get(unit, 0) + delta
    return sums


def in_flight(one, other):
    """By how much two peer accounts may differ from opposite, by pair."""
    out = {}
    for us, them in ((one, other), (other, one)):
        for claim, said in us.claims.items():
            if said.proposed:
                answer = them.claims.get(claim, NOTHING)
                value = [moved["amount"] if moved else 0
                         for moved in (said.ended, said.got_back, answer.booked, answer.gave_back)]
                pair = said.proposed["pair"]
                out[pair] = out.get(pair, 0) + value[0] - value[1] - value[2] + value[3]
    for said in [said for side in (one, other) for said in (*side.settlements.values(), *side.cleared.values())]:
        if "booked" in said:
            pair = said["booked"]["pair"]
            out[pair] = out.get(pair, 0) + said["booked"]["delta"]
    for pair, _, delta in [*one.beside, *other.beside]:
        out[pair] = out.get(pair, 0) + delta
    return out
