"""Our own entries in clearing (specs/clearing.md §6, §7): what a step or its other half does to the state."""

from wcbor import Refused, decode
from wentry import (DISPUTE, IDENTITY, Entry, accord_id, booked_unit, channel_of, claim_of, decision_message, exchanges, peer_account,
                    read_accord, read_intent)
from wkeys import sha256, signer_of, tagged

DAY = 86_400_000
OPEN, DONE, FREED = 0, 1, 2
ACCEPT, REJECT = 1, 2
ACCEPTED, REJECTED = 1, 2
HOLD, UPSTREAM = 0, 1


# Whether a step carries a claim and a reference; the others carry both.
FORMS = {t: (False, False) for t in (0, 7, 14, 16, 19, 20)} | {t: (False, True) for t in (8, 9, 10, 11)}


def need(ok, code):
    if not ok:
        raise Refused(code)


def own_account(name):
    return tagged("WEFT-ACCOUNT/1", name.encode())[:16]


def move(source, target, unit, amount):
    return sorted([[source, unit, -amount], [target, unit, amount]])


def exchange(own, peer, value, out):
    """The postings of a hop that is bound: `out` from our account to the peer's, else to ours. A value is
    [unit, amount, None or [foreign unit, position, worth]]."""
    unit, amount, foreign = value
    if foreign is None:
        return move(own, peer, unit, amount) if out else move(peer, own, unit, amount)
    other, position, worth = foreign
    sign = -1 if out else 1
    lines = [[own, unit, sign * amount], [own_account("exchange"), unit, -sign * worth],
             [own_account("rounding"), unit, abs(amount - worth)], [own_account("exchange"), other, sign * position],
             [peer, other, -sign * position]]
    return sorted(line for line in lines if line[2])


def turned(postings):
    return [[account, unit, -delta] for account, unit, delta in postings]


def scaled(minor, num, den, up):
    whole = (minor * num + (den - 1 if up else 0)) // den
    return whole if whole <= 1 << 62 else None


def added(postings):
    sums = {}
    for account, unit, delta in postings:
        sums[account, unit] = sums.get((account, unit), 0) + delta
    return [[account, unit, delta] for (account, unit), delta in sorted(sums.items()) if delta]


def new_in():
    return [[0, []], None, None, False, None, None, None, None]


class Clearing:
    """The part of a state that deals with channels and claims. A claim row is [ins, out, expires_ms]."""

    @staticmethod
    def is_closed(row):
        ins, out, _ = row
        if not all(hop[0][0] == 2 or hop[1] is not None for hop in ins.values()):
            return False
        if out is None:
            return True
        closing, origin = out[6][0], out[4][0]
        if closing == OPEN:
            return False
        return out[7] or (closing == FREED and origin == UPSTREAM)

    def _channel(self, channel):
        row = self.t["channels"].get(channel)
        need(row is not None, "unknown-channel")
        return row

    def _channel_with(self, peer):
        found = [(key, row) for key, row in self.t["channels"].items() if row[0] == peer]
        need(found, "no-accord")
        return found[0]

    @staticmethod
    def _side(channel):
        return 0 if channel[4] else 1

    def room(self, channel, pair):
        terms = channel[2][5][pair]
        balance = self.t["balances"].get((channel[1], booked_unit(terms, self._side(channel))), 0)
        return terms[5 if channel[4] else 6] - balance - channel[7].get(pair, 0) - self.reserved(channel, pair) - self.held_of(channel, pair, False)

    def _check_hop(self, channel, hop, out):
        """What a hop moves in our books: [unit, amount, foreign]."""
        pair, src, dst, version = hop
        accord, side = channel[2], self._side(channel)
        need(version == accord[1] and pair < len(accord[5]), "hop-mismatch")
        terms = accord[5][pair]
        num, den = terms[2], terms[3]
        need(num == den or len(terms) > 7, "not-one-to-one")
        sender = side if out else 1 - side
        need(scaled(dst, *((den, num) if sender == 0 else (num, den)), True) == src, "hop-mismatch")
        amount, foreign = src if out else dst, None
        if exchanges(terms, side):
            position = src if terms[4] == sender else dst
            worth = scaled(position, *((den, num) if side == 0 else (num, den)), False)
            need(worth is not None, "hop-mismatch")
            foreign = [terms[7], position, worth]
        return [terms[side], amount, foreign]

    @staticmethod
    def position(value):
        return value[1] if value[2] is None else value[2][1]

    def _step(self, entry, _):
        step, t = entry.payload, entry.kind - 0x0B00
        form = FORMS.get(t, (True, True))
        if t == 13 or (t == 3 and 1 in step[5]):
            form = (True, 4 in step)
        if t in (12, 15, 17):
            form = (False, 4 in step)
        need((3 in step, 4 in step) == form, "step-form")
        whole = 3 not in step or (t == 2 and 1 in step[5])
        need(6 not in step or (not whole and step[6] < 8), "step-form")
        if t == 0:
            return self._accord(entry, step)
        if t == 11:
            return self._step_11(step)
        if t == 12:
            return self._step_12(entry, step)
        channel = self._channel(step[0])
        need(not self.is_closed_to(channel[0]), "channel-closed")
        need(step[1][0] >= channel[5], "ack-back")
        channel[5] = step[1][0]
        return getattr(self, f"_step_{t}")(entry, step, channel)

    def _own_root_sigs(self, accord_bytes, sigs, context=b"WEFT-ACCORD/1\n"):
        root, seen = self.identity()[2], set()
        for signer, sig in sigs:
            key = next((key for key in root[1] if signer_of(key) == signer), None)
            need(key is not None, "unknown-signer")
            need(signer not in seen, "signed-twice")
            seen.add(signer)
            self.checks.append((key, context + accord_bytes, sig))
        need(len(seen) >= root[0], "root-quorum")

    def _accord(self, entry, step):
        data = step[5][0]
        accord, us = read_accord(data), self.identity()[0]
        need(us in (accord[3], accord[4]), "accord-place")
        we_are_a = us == accord[3]
        peer = accord[4] if we_are_a else accord[3]
        need(step[0] == channel_of(us, peer, self.incarnation(peer)), "accord-place")
        for pair in accord[5]:
            side = 0 if we_are_a else 1
            need(pair[side] in self.t["units"] and booked_unit(pair, side) in self.t["units"], "unknown-unit")
        before = self.t["channels"].get(step[0])
        need(not self.reset_row(peer)[5], "channel-closed")
        if before is None:
            need(accord[1] == 1, "accord-place")
            account = peer_account(us, peer)
            self.t["accounts"][account] = [4, False, False, [], []]
            row = [peer, account, accord, accord_id(data), we_are_a, step[1][0], set(), {}]
        else:
            need(accord.get(2) == before[3] and accord[1] == before[2][1] + 1, "accord-place")
            kept = [pair[:2] + pair[4:5] + pair[7:] for pair in accord[5]][:len(before[2][5])]
            need(kept == [pair[:2] + pair[4:5] + pair[7:] for pair in before[2][5]], "accord-place")
            need((accord[3], accord[4]) == (before[2][3], before[2][4]), "accord-place")
            row = before[:2] + [accord, accord_id(data), before[4], max(step[1][0], before[5])] + before[6:8]
        self.t["channels"][step[0]] = row
        self._own_root_sigs(data, step[5][1 if we_are_a else 2])

    def _step_14(self, _, step, channel):
        shown = Entry(step[5][0])
        need(shown.kind in IDENTITY, "step-form")
        channel[6].add(shown.ledger)

    def _claim(self, step):
        row = self.t["claims"].get((step[3], step.get(6, 0)))
        need(row is not None, "unknown-claim")
        return row

    def _row_or_new(self, step, part, expires):
        return self.t["claims"].setdefault((step[3], part), [{}, None, expires])

    def _part(self, step, data, intent):
        need(claim_of(data) == step[3], "claim-mismatch")
        part = step.get(6, 0)
        need(part < len(intent[5]), "hop-mismatch")
        route, hops = intent[5][part]
        need(self.ident[0] in route, "hop-mismatch")
        return route, hops, route.index(self.ident[0])

    def _step_1(self, entry, step, channel):
        (data, sig), hop_number = step[5][0], step[5][1]
        need(len(channel) == 8 or self.lost is not None, "halted")
        need(step[0] not in self.t["written_off"] or self.lost is not None, "written-off")
        need(not self.is_noticed(channel[0]) or self.lost is not None, "reset-noticed")
        intent = read_intent(data)
        route, hops, place = self._part(step, data, intent)
        need(entry.time < intent[6] <= entry.time + 7 * DAY, "expires")
        need(place == hop_number and place < len(hops) and route[place + 1] == channel[0], "hop-mismatch")
        hop = hops[place]
        value = self._check_hop(channel, hop, True)
        unit, src, foreign = value
        pair, position = hop[0], self.position(value)
        need(position <= self.room(channel, pair) or self.lost is not None, "no-room")
        payer = intent[1]
        need(payer in (self.ident[0], channel[0]) or payer in channel[6], "not-introduced")
        row, before = self._row_or_new(step, step.get(6, 0), intent[6]), None
        need(row[1] is None, "claim-exists")
        if place == 0:
            whole = sum(part[1][0][1] for part in intent[5])
            need(whole <= 1 << 62, "hold-mismatch")
            hold = self.t["holds"].get(step[4])
            if hold is None and self.lost is not None:
                hold = [own_account("disputed"), unit, whole, intent[3], intent[4], None, None]
                self.t["holds"][step[4]] = hold
                self.lost = move(own_account("disputed"), own_account("hold"), unit, whole)
            need(hold is not None, "unknown-hold")
            need(hold[5] is None or (hold[5] == step[3] and hold[6] is not None), "hold-bound")
            need(hold[1] == unit and (hold[5] is not None or hold[2] == whole), "hold-mismatch")
            need(hold[3:5] == [intent[3], intent[4]], "hold-mismatch")
            left = (hold[2] if hold[5] is None else hold[6]) - src
            need(left >= 0, "hold-mismatch")
            hold[5], hold[6] = step[3], left or None
            origin = [HOLD, [step[4], hold[0]]]
        else:
            key, upstream = self._channel_with(route[place - 1])
            came, _, before = self._check_hop(upstream, hops[place - 1], False)
            need(came == unit and upstream[2][8], "hop-mismatch")
            need(not self.is_closed_to(upstream[0]) or self.lost is not None, "channel-closed")
            answered = row[0].get(key) if self.lost is None else None
            need(answered is None or (answered[0][0] != 2 and answered[2] is None), "already-answered")
            origin = [UPSTREAM, [key]]
        channel[7][pair] = channel[7].get(pair, 0) + position
        row[2] = max(row[2], intent[6])
        row[1] = [step[0], pair, unit, src, origin, intent[3], [OPEN, []], False, False, foreign, before]
        if payer == self.ident[0]:
            self.checks.append((self.log_key(intent[2]), b"WEFT-INTENT/1\n" + data, sig))

    def _own_decision(self, decision):
        if decision[0][1] == self.ident[0]:
            self.checks.append((self.log_key(decision[0][2]), decision_message(decision), decision[1]))

    @staticmethod
    def _says(step, decision, outcome):
        body = decision[0]
        need(body[0] == 1 and body[3] == step[3] and body[4] == outcome, "decision-mismatch")

    def _answer(self, row, step, answer):
        hop = row[0].setdefault(step[0], new_in())
        need(hop[0][0] == 0, "already-answered")
        hop[0] = answer

    def _step_2(self, entry, step, channel):
        decision = step[5][0]
        self._says(step, decision, ACCEPT)
        body = decision[0]
        if 1 in step[5]:
            data = step[5][1]
            intent = read_intent(data)
            route, hops, place = self._part(step, data, intent)
            need(intent[3] == self.ident[0] == body[1], "decision-mismatch")
            need(step[3] not in self.t["decisions"], "already-decided")
            need(entry.time <= intent[6], "expires")
            nonce = (intent[1], intent[7])
            need(nonce not in self.t["nonces"], "nonce-used")
            need(place > 0 and route[place - 1] == channel[0], "hop-mismatch")
            dues = self._dues(intent)
            value = [dues[0][1][0], sum(due[1][1] for due in dues)]
            need(all(due[1][0] == value[0] for due in dues) and value[1] <= 1 << 62, "hop-mismatch")
            row = self._row_or_new(step, 0, intent[6])
            for part, (key, due) in enumerate(dues):
                if len(dues) > 1 or due[2] is not None:
                    hop = self._row_or_new(step, part, intent[6])[0].setdefault(key, new_in())
                    need(hop[0][0] == 0, "already-answered")
                    hop[5], hop[6] = due[:2], due[2]
            self.t["decisions"][step[3]] = [ACCEPT, step[0], value, list(nonce), False,
                                            intent[6], body[2], body[5], entry.stream[1]]
            self.t["nonces"][nonce] = step[3]
        elif 6 in step and body[1] == self.ident[0]:
            need(self._as_decided(step, decision), "decision-mismatch")
            row = self._claim(step)
            need(step[0] in row[0] and row[0][step[0]][5] is not None, "hop-mismatch")
        else:
            row = self._claim(step)
            out = row[1]
            need(out is not None, "unknown-claim")
            need(out[5] == body[1], "decision-mismatch")
            need(out[4] == [UPSTREAM, [step[0]]], "hop-mismatch")
            need(out[6][0] == DONE, "hop-state")
            need(out[5] == channel[0] or out[5] in channel[6], "not-introduced")
        self._answer(row, step, [1, [entry.leaf]])
        self._own_decision(decision)

    def _dues(self, intent):
        """What each part brings us, as the payee's network: [channel, value]."""
        out = []
        for route, hops in intent[5]:
            key, channel = self._channel_with(route[-2])
            out.append([key, self._check_hop(channel, hops[-1], False)])
        return out

    def _as_decided(self, step, decision):
        row, body = self.t["decisions"].get(step[3]), decision[0]
        return row is not None and body[1] == self.ident[0] and [row[0], row[6], row[7]] == [body[4], body[2], body[5]]

    def _accepted_on(self, claim, part, key):
        """Our own yes, if this is the last hop of that part."""
        decision = self.t["decisions"].get(claim)
        if decision is None or decision[0] != ACCEPT:
            return None
        hop = self.t["claims"].get((claim, part), [{}])[0].get(key)
        due = hop is not None and hop[5] is not None
        return decision if due or (part == 0 and decision[1] == key) else None

    def _step_3(self, entry, step, _):
        row = self._row_or_new(step, step.get(6, 0), entry.time + 7 * DAY)
        out = row[1]
        bound = out is not None and out[4] == [UPSTREAM, [step[0]]] and out[6][0] != FREED
        need(not bound, "bound-downstream")
        need(step[0] not in row[0] or row[0][step[0]][7] is None, "already-answered")
        need(step[0] not in row[0] or row[0][step[0]][5] is None, "already-decided")
        if 1 in step[5]:
            decision = step[5][1]
            self._says(step, decision, REJECT)
            body = decision[0]
            again = all(hop[0][0] == 0 for hop in row[0].values()) and self._as_decided(step, decision)
            if body[1] == self.ident[0] and not again:
                need(step[3] not in self.t["decisions"], "already-decided")
                self.t["decisions"][step[3]] = [REJECT, step[0], None, None, False, row[2], body[2], body[5],
                                                entry.stream[1]]
            self._own_decision(decision)
        self._answer(row, step, [2, [entry.leaf]])

    def _open_out(self, step):
        out = self._claim(step)[1]
        need(out is not None, "unknown-claim")
        need(out[0] == step[0] and out[6][0] == OPEN, "hop-state")
        return out

    def _step_4(self, entry, step, channel):
        out = self._open_out(step)
        self._says(step, step[5][0], ACCEPT)
        need(step[5][0][0][1] == out[5] and step[4] == sha256(decision_message(step[5][0])), "decision-mismatch")
        need(out[5] == channel[0] or out[5] in channel[6], "not-introduced")
        out[6] = [DONE, [entry.leaf]]

    @staticmethod
    def _lower(channel, out):
        channel[7][out[1]] = max(0, channel[7].get(out[1], 0) - Clearing.position([out[2], out[3], out[9]]))

    def _step_5(self, entry, step, channel):
        out = self._open_out(step)
        self._lower(channel, out)
        out[6] = [FREED, [entry.leaf]]

    def _step_6(self, entry, step, _):
        row = self._claim(step)
        hop, out = row[0].get(step[0]), row[1]
        need(hop is not None, "unknown-claim")
        here = self._accepted_on(step[3], step.get(6, 0), step[0]) is not None
        ours = out is not None and out[4] == [UPSTREAM, [step[0]]]
        onward = (not out[8] and out[6][0] != FREED) if ours else hop[0][0] == ACCEPTED
        need(step[4] == hop[4], "hop-state")
        need(not onward and not here and hop[1] is not None and hop[2] is None, "hop-state")
        hop[2] = entry.leaf

    # Disputes (§15)

    def _step_13(self, entry, step, channel):
        data = step[5][0]
        dispute, us, part = DISPUTE(decode(data, 256)), self.ident[0], step.get(6, 0)
        need([dispute[1], dispute[2], dispute[3]] == [step[0], step[3], part], "dispute-mismatch")
        need({dispute[4], dispute[5]} == {us, channel[0]}, "dispute-mismatch")
        of_debtor, outcome = dispute[4] == us, dispute[8]
        need((4 in step) == of_debtor, "step-form")
        row = self._row_or_new(step, part, entry.time + 7 * DAY)
        if of_debtor:
            out = row[1]
            need(out is not None, "unknown-claim")
            need(out[0] == step[0] and out[6][0] == OPEN, "hop-state")
            need([out[1], self.position([out[2], out[3], out[9]])] == [dispute[6], dispute[7]], "dispute-mismatch")
            if outcome == 2:
                self._lower(channel, out)
            out[6] = [FREED if outcome == 2 else DONE, [entry.leaf]]
        else:
            out = row[1]
            onward = out is not None and out[4] == [UPSTREAM, [step[0]]] and out[6][0] != FREED
            value = self._coming(step[3], part, step[0])
            need(value is None or self.position(value) == dispute[7], "dispute-mismatch")
            hop = row[0].setdefault(step[0], new_in())
            need(hop[7] is None and hop[1] is None, "hop-state")
            if outcome == 2:
                need(not onward, "bound-downstream")
                hop[0] = [2, [entry.leaf]]
            else:
                decided = self._accepted_on(step[3], part, step[0]) is not None
                need(hop[0][0] != 2 and (decided or onward), "hop-state")
            hop[7] = [entry.leaf, outcome, False]
        self._own_root_sigs(data, step[5][1 if of_debtor else 2], b"WEFT-DISPUTE/1\n")

    def _coming(self, claim, part, key):
        """What an in-hop would bring, as far as our own entries say."""
        row = self.t["claims"].get((claim, part), [{}, None])
        decided, out, hop = self._accepted_on(claim, part, key), row[1], row[0].get(key)
        if decided:
            return hop[5] + [hop[6]] if hop is not None and hop[5] is not None else decided[2] + [None]
        if out is not None and out[4] == [UPSTREAM, [key]]:
            return [out[2], out[3], out[10]]
        return None

    def _kind_050e(self, entry, _):
        claim, part, key, dispute, postings = (entry.payload[i] for i in range(5))
        hop = self._claim_of(claim, part)[0].get(key)
        need(hop is not None and hop[7] is not None and hop[7] == [dispute, 2, False], "hop-state")
        need(self._accepted_on(claim, part, key) is not None and hop[1] is None, "hop-state")
        unit, amount, _ = self._coming(claim, part, key)
        self.exactly(postings, move(own_account("disputed"), own_account("incoming"), unit, amount))
        hop[7][2] = True

    # Write-offs (§16). A row is [time, next, back].

    def _kind_050d(self, entry, authority):
        p, rows = entry.payload, self.t["written_off"]
        act, key, heard, following, postings = p[0], p[1], p[2], p[3], p.get(4, [])
        channel = self._channel(key)
        if act == 0:
            need(key not in rows, "nothing-to-do")
            authority.root_quorum(self.identity()[2])
            seen = max([view[3] for (peer, _), view in self.t["views"].items() if peer == channel[0]], default=0)
            need(entry.time - max(heard, seen) >= 30 * DAY and following >= channel[5], "write-off-early")
            back, gone, hops = self._lost_with(key, channel)
            need(postings == added(back + gone), "postings-differ")
            for out in hops:
                out[4][1][1] = own_account("disputed")
            rows[key] = [entry.time, following, added([[a, u, -d] for a, u, d in back])]
        else:
            need(key in rows and following > rows[key][1], "nothing-to-do")
            need(postings == rows[key][2], "postings-differ")
            del rows[key]
        if postings:
            self.post(postings)

    def _lost_with(self, key, channel):
        disputed, back, gone, hops = own_account("disputed"), [], [], []
        side = 0 if channel[4] else 1
        for pair in channel[2][5]:
            unit = booked_unit(pair, side)
            owed = self.t["balances"].get((channel[1], unit), 0)
            back += [[channel[1], unit, -owed], [disputed, unit, owed]]
        for (claim, part), row in self.t["claims"].items():
            out, hop = row[1], row[0].get(key)
            if out is not None and out[0] == key and out[6][0] == OPEN and out[4][0] == HOLD and out[4][1][1] != disputed:
                gone += [[disputed, out[2], -out[3]], [out[4][1][1], out[2], out[3]]]
                hops.append(out)
            if hop is not None and hop[1] is None and hop[7] is None and self._accepted_on(claim, part, key) is not None:
                unit, amount, _ = self._coming(claim, part, key)
                back += [[disputed, unit, -amount], [own_account("incoming"), unit, amount]]
        return back, gone, hops

    # The other halves (6.10)

    def _claim_of(self, claim, part):
        row = self.t["claims"].get((claim, part))
        need(row is not None, "unknown-claim")
        return row

    def _kind_0504(self, entry, _):
        claim, part, closing, postings = (entry.payload[i] for i in range(4))
        out = self._claim_of(claim, part)[1]
        need(out is not None, "unknown-claim")
        channel = self._channel(out[0])
        state, leaf = out[6][0], out[6][1]
        need(leaf == [closing] and not out[7], "hop-state")
        held = out[4][0] == HOLD
        if state == DONE:
            value = [out[2], out[3], out[9]]
            expected = exchange(own_account("hold" if held else "transit"), channel[1], value, True)
        else:
            need(held, "hop-state")
            expected = move(own_account("hold"), out[4][1][1], out[2], out[3])
        self.exactly(postings, expected)
        out[7] = True
        if state == DONE:
            self._lower(channel, out)
        if held:
            self._less(out[4][1][0], out[3])

    def _less(self, hold, taken):
        row = self.t["holds"].get(hold)
        if row is not None:
            row[2] -= taken
            if not row[2]:
                del self.t["holds"][hold]

    def _kind_0505(self, entry, _):
        claim, account, postings = (entry.payload[i] for i in range(3))
        self.holder(account)
        row = self.t["decisions"].get(claim)
        need(row is not None, "unknown-claim")
        need(row[2] is not None and not row[4], "hop-state")
        self.exactly(postings, move(own_account("incoming"), account, *row[2]))
        row[4] = True

    def _kind_0506(self, entry, _):
        claim, part, key, closing, postings = (entry.payload[i] for i in range(5))
        channel = self._channel(key)
        row = self.t["claims"].setdefault((claim, part), [{}, None, entry.time + 7 * DAY])
        decided, out = self._accepted_on(claim, part, key), row[1]
        target = own_account("incoming" if decided else "transit")
        hop = row[0].get(key)
        if decided and hop is not None and hop[5] is not None:
            value = hop[5] + [hop[6]]
        elif decided:
            value = decided[2] + [None]
        elif out is not None and out[4] == [UPSTREAM, [key]]:
            value = [out[2], out[3], out[10]]
        else:
            value = self._posted_in(channel, target, postings)
        hop = row[0].setdefault(key, new_in())
        need(hop[1] is None, "hop-state")
        hop[1], hop[4], hop[6] = value[:2], closing, value[2]
        self.exactly(postings, exchange(target, channel[1], value, False))

    def _posted_in(self, channel, target, postings):
        said = [(u, -d) for account, u, d in postings if account == channel[1] and d < 0]
        need(said, "postings-differ")
        unit, position = said[0]
        side = self._side(channel)
        own = [pair[side] for pair in channel[2][5] if exchanges(pair, side) and pair[7] == unit]
        if not own:
            return [unit, position, None]
        by = {(account, u): d for account, u, d in postings}
        amount, worth = by.get((target, own[0]), 0), -by.get((own_account("exchange"), own[0]), 0)
        need(0 < amount <= worth, "postings-differ")
        return [own[0], amount, [unit, position, worth]]

    def _kind_0508(self, entry, _):
        claim, part, key, reference, postings = (entry.payload[i] for i in range(5))
        channel = self._channel(key)
        row = self._claim_of(claim, part)
        hop, out = row[0].get(key), row[1]
        if hop is not None and hop[2] == reference:
            need(hop[1] is not None and not hop[3], "hop-state")
            hop[3] = True
            expected = turned(exchange(own_account("transit"), channel[1], hop[1] + [hop[6]], False))
        else:
            need(out is not None and out[0] == key, "unknown-claim")
            need(out[6][0] == DONE and out[7] and not out[8], "hop-state")
            out[8] = True
            target = out[4][1][1] if out[4][0] == HOLD else own_account("transit")
            expected = turned(exchange(target, channel[1], [out[2], out[3], out[9]], True))
        self.exactly(postings, expected)
