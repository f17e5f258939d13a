"""Our own entries in clearing (specs/clearing.md §6, §7): what a step or its other half does to the state."""

from wcbor import Refused
from wentry import (IDENTITY, Entry, accord_id, channel_of, claim_of, decision_message, peer_account,
                    read_accord, read_intent)
from wkeys import sha256, signer_of, tagged

DAY = 86_400_000
OPEN, DONE, FREED = 0, 1, 2
ACCEPT, REJECT = 1, 2
ACCEPTED = 1
HOLD, UPSTREAM = 0, 1


def need(ok, code):
    if not ok:
        raise Refused(code)


def own_account(name):
    return tagged("WEFT-ACCOUNT/1", name.encode())[:16]


def move(source, target, unit, amount):
    return sorted([[source, unit, -amount], [target, unit, amount]])


def new_in():
    return [[0, []], None, None, False, None]


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

    def _unit(self, channel, pair):
        return channel[2][5][pair][0 if channel[4] else 1]

    def room(self, channel, pair):
        terms = channel[2][5][pair]
        balance = self.t["balances"].get((channel[1], self._unit(channel, pair)), 0)
        return terms[5 if channel[4] else 6] - balance - channel[7].get(pair, 0)

    def _check_hop(self, channel, hop):
        pair, src, dst, version = hop
        accord = channel[2]
        need(version == accord[1] and pair < len(accord[5]), "hop-mismatch")
        need(accord[5][pair][2] == accord[5][pair][3], "not-one-to-one")
        need(src == dst, "hop-mismatch")
        return self._unit(channel, pair)

    def _step(self, entry, _):
        step, t = entry.payload, entry.kind - 0x0B00
        form = {0: (False, False), 7: (False, False), 8: (False, True), 14: (False, False)}.get(t, (True, True))
        if t == 3 and 1 in step[5]:
            form = (True, 4 in step)
        need((3 in step, 4 in step) == form, "step-form")
        need(6 not in step, "parts-not-yet")
        if t == 0:
            return self._accord(entry, step)
        channel = self._channel(step[0])
        need(step[1][0] >= channel[5], "ack-back")
        channel[5] = step[1][0]
        return getattr(self, f"_step_{t}")(entry, step, channel)

    def _own_root_sigs(self, accord_bytes, sigs):
        root, seen = self.identity()[2], set()
        for signer, sig in sigs:
            key = next((key for key in root[1] if signer_of(key) == signer), None)
            need(key is not None, "unknown-signer")
            need(signer not in seen, "signed-twice")
            seen.add(signer)
            self.checks.append((key, b"WEFT-ACCORD/1\n" + accord_bytes, sig))
        need(len(seen) >= root[0], "root-quorum")

    def _accord(self, entry, step):
        data = step[5][0]
        accord, us = read_accord(data), self.identity()[0]
        need(us in (accord[3], accord[4]), "accord-place")
        we_are_a = us == accord[3]
        peer = accord[4] if we_are_a else accord[3]
        need(step[0] == channel_of(us, peer), "accord-place")
        for pair in accord[5]:
            need(pair[0 if we_are_a else 1] in self.t["units"], "unknown-unit")
        before = self.t["channels"].get(step[0])
        if before is None:
            need(accord[1] == 1, "accord-place")
            account = peer_account(us, peer)
            self.t["accounts"][account] = [4, False, False, [], []]
            row = [peer, account, accord, accord_id(data), we_are_a, step[1][0], set(), {}]
        else:
            need(accord.get(2) == before[3] and accord[1] == before[2][1] + 1, "accord-place")
            kept = [pair[:2] + pair[4:5] for pair in accord[5]][:len(before[2][5])]
            need(kept == [pair[:2] + pair[4:5] for pair in before[2][5]], "accord-place")
            need((accord[3], accord[4]) == (before[2][3], before[2][4]), "accord-place")
            row = before[:2] + [accord, accord_id(data), before[4], max(step[1][0], before[5])] + before[6:]
        self.t["channels"][step[0]] = row
        self._own_root_sigs(data, step[5][1 if we_are_a else 2])

    def _step_14(self, _, step, channel):
        shown = Entry(step[5][0])
        need(shown.kind in IDENTITY, "step-form")
        channel[6].add(shown.ledger)

    def _claim(self, step):
        row = self.t["claims"].get((step[3], 0))
        need(row is not None, "unknown-claim")
        return row

    def _part(self, step, data, intent):
        need(claim_of(data) == step[3], "claim-mismatch")
        need(len(intent[5]) == 1, "parts-not-yet")
        route, hops = intent[5][0]
        need(self.ident[0] in route, "hop-mismatch")
        return route, hops, route.index(self.ident[0])

    def _step_1(self, entry, step, channel):
        (data, sig), hop_number = step[5][0], step[5][1]
        intent = read_intent(data)
        route, hops, place = self._part(step, data, intent)
        need(entry.time < intent[6] <= entry.time + 7 * DAY, "expires")
        need(place == hop_number and place < len(hops) and route[place + 1] == channel[0], "hop-mismatch")
        hop = hops[place]
        unit = self._check_hop(channel, hop)
        pair, src = hop[0], hop[1]
        need(src <= self.room(channel, pair) or self.lost is not None, "no-room")
        payer = intent[1]
        need(payer in (self.ident[0], channel[0]) or payer in channel[6], "not-introduced")
        row = self.t["claims"].setdefault((step[3], 0), [{}, None, intent[6]])
        need(row[1] is None, "claim-exists")
        if place == 0:
            hold = self.t["holds"].get(step[4])
            if hold is None and self.lost is not None:
                hold = [own_account("disputed"), unit, src, intent[3], intent[4], None]
                self.t["holds"][step[4]] = hold
                self.lost = move(own_account("disputed"), own_account("hold"), unit, src)
            need(hold is not None, "unknown-hold")
            need(hold[5] is None, "hold-bound")
            need(hold[1:5] == [unit, src, intent[3], intent[4]], "hold-mismatch")
            hold[5] = step[3]
            origin = [HOLD, [step[4], hold[0]]]
        else:
            key, before = self._channel_with(route[place - 1])
            need(self._check_hop(before, hops[place - 1]) == unit and before[2][8], "hop-mismatch")
            answered = row[0].get(key)
            need(answered is None or (answered[0][0] != 2 and answered[2] is None), "already-answered")
            origin = [UPSTREAM, [key]]
        channel[7][pair] = channel[7].get(pair, 0) + src
        row[2] = max(row[2], intent[6])
        row[1] = [step[0], pair, unit, src, origin, intent[3], [OPEN, []], False, False]
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
            unit = self._check_hop(channel, hops[place - 1])
            row = self.t["claims"].setdefault((step[3], 0), [{}, None, intent[6]])
            self.t["decisions"][step[3]] = [ACCEPT, step[0], [unit, hops[place - 1][2]], list(nonce), False,
                                            intent[6], body[2], body[5], entry.stream[1]]
            self.t["nonces"][nonce] = step[3]
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

    def _step_3(self, entry, step, _):
        row = self.t["claims"].setdefault((step[3], 0), [{}, None, entry.time + 7 * DAY])
        out = row[1]
        bound = out is not None and out[4] == [UPSTREAM, [step[0]]] and out[6][0] != FREED
        need(not bound, "bound-downstream")
        if 1 in step[5]:
            decision = step[5][1]
            self._says(step, decision, REJECT)
            body = decision[0]
            if body[1] == self.ident[0]:
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
        channel[7][out[1]] = max(0, channel[7].get(out[1], 0) - out[3])

    def _step_5(self, entry, step, channel):
        out = self._open_out(step)
        self._lower(channel, out)
        out[6] = [FREED, [entry.leaf]]

    def _step_6(self, entry, step, _):
        row = self._claim(step)
        hop, out = row[0].get(step[0]), row[1]
        need(hop is not None, "unknown-claim")
        decision = self.t["decisions"].get(step[3])
        here = decision is not None and decision[:2] == [ACCEPT, step[0]]
        ours = out is not None and out[4] == [UPSTREAM, [step[0]]]
        onward = (not out[8] and out[6][0] != FREED) if ours else hop[0][0] == ACCEPTED
        need(not onward and not here and hop[1] is not None and hop[2] is None, "hop-state")
        hop[2] = entry.leaf

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
            expected = move(own_account("hold" if held else "transit"), channel[1], out[2], out[3])
        else:
            need(held, "hop-state")
            expected = move(own_account("hold"), out[4][1][1], out[2], out[3])
        self.exactly(postings, expected)
        out[7] = True
        if state == DONE:
            self._lower(channel, out)
        if held:
            del self.t["holds"][out[4][1][0]]

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
        decision, out = self.t["decisions"].get(claim), row[1]
        decided = decision is not None and decision[:2] == [ACCEPT, key]
        if decided and decision[2] is not None:
            unit, value = decision[2]
        elif out is not None and out[4] == [UPSTREAM, [key]]:
            unit, value = out[2], out[3]
        else:
            said = [(u, -d) for account, u, d in postings if account == channel[1] and d < 0]
            need(said, "postings-differ")
            unit, value = said[0]
        hop = row[0].setdefault(key, new_in())
        need(hop[1] is None, "hop-state")
        hop[1], hop[4] = [unit, value], closing
        self.exactly(postings, move(channel[1], own_account("incoming" if decided else "transit"), unit, value))

    def _kind_0508(self, entry, _):
        claim, part, key, reference, postings = (entry.payload[i] for i in range(5))
        channel = self._channel(key)
        row = self._claim_of(claim, part)
        hop, out = row[0].get(key), row[1]
        if hop is not None and hop[2] == reference:
            need(hop[1] is not None and not hop[3], "hop-state")
            hop[3] = True
            expected = move(own_account("transit"), channel[1], *hop[1])
        else:
            need(out is not None and out[0] == key, "unknown-claim")
            need(out[6][0] == DONE and out[7] and not out[8], "hop-state")
            out[8] = True
            target = out[4][1][1] if out[4][0] == HOLD else own_account("transit")
            expected = move(channel[1], target, out[2], out[3])
        self.exactly(postings, expected)
