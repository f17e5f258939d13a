"""The rules of a ledger (specs/ledger.md, specs/kinds.md): a state, and what an entry does to it.

`State.apply` refuses with the code of specs/ledger.md §7 and then leaves the state unchanged.
"""

import marshal

from wcbor import Refused, encode
from wclearing import Clearing, move, need, own_account
from wentry import GENESIS, KEY_REVOKED, PUBLIC, ROOT_CHANGED, ZERO16, ZERO32, booked_unit
from widentity import DESK, LOG, OWN, RECOVERY, SEAL, Identities
from wkeys import key_fault, signer_of, tagged, verify
from wlog import origin_of, sha256
from wreset import Resets
from wround import Rounds
from wsettle import Statements

DAY = 86_400_000
MEMBER, ORGANISATION, COMMONS, POOL, PEER, OUTSIDE = range(6)
COORDINATOR, TREASURER, OPERATOR, ROOT, NODE = 2, 3, 4, 5, 6
MAX = 1 << 62
EMPTY_ROOT = sha256()


def check_form(postings):
    """Specs/kinds.md 5.1, but for what depends on the state."""
    need(postings, "nothing-to-do")
    keys = [(account, unit) for account, unit, _ in postings]
    need(all(a < b for a, b in zip(keys, keys[1:])), "posting-order")
    sums = {}
    for _, unit, delta in postings:
        need(delta != 0 and abs(delta) <= MAX, "posting-amount")
        sums[unit] = sums.get(unit, 0) + delta
    need(not any(sums.values()), "sum-not-zero")


def postings_digest(postings):
    return tagged("WEFT-POSTINGS/1", encode(postings))[:16]


def is_origin_of(origin, ledger):
    """The first origin of a ledger's log, or that after its n-th succession (specs/kinds.md 13.2)."""
    first = origin_of(ledger)
    number = origin.removeprefix(first + "/")
    later = origin.startswith(first + "/") and number.isascii() and number.isdigit() and number[0] != "0"
    return len(origin.encode()) <= 64 and (origin == first or later)


def bucket_after(told, room):
    """Specs/kinds.md 17.3."""
    room = max(room, 0)
    if told is not None:
        low, high = (1 << told) >> 1, 1 << min(told, 62)
        if low - low // 4 <= room < max(high + high // 4, 2):
            return told
    return min(room.bit_length(), 63)


def verdict(levels, distance):
    if distance > levels.get(2, MAX * 4):
        return "firm"
    if distance > levels.get(1, MAX * 4):
        return "stop"
    return "warn" if distance > levels.get(0, MAX * 4) else "fine"


def without_tail(row):
    """Absent items at the end of an array are left away (specs/ledger.md 5.1)."""
    row = list(row)
    while row and row[-1] is None:
        row.pop()
    return row


class Authority:
    """Whose signatures an entry carries (specs/kinds.md §6); `checks` are those that must verify."""

    def __init__(self, state, entry):
        self.holders, self.roles, self.desk, self.roots, self.checks = set(), set(), set(), set(), []
        need(len(entry.auth) <= (30 if entry.kind == ROOT_CHANGED else 16), "too-many-signatures")
        for auth in entry.auth:
            signer, role, how, sig = auth
            need(how != 1, "passkey-not-yet")
            key = self._key(state, entry, signer, role, how)
            need(key is not None, "unknown-signer")
            if role == ROOT:
                need(signer not in self.roots, "signed-twice")
                self.roots.add(signer)
            need(not key_fault(key), "key")
            need(len(sig) == 64, "signature-length")
            self.checks.append((key, entry.auth_message(auth), sig))

    def _key(self, state, entry, signer, role, how):
        if role == ROOT and how == 0:
            keys = entry.payload[0][1] if entry.kind == GENESIS else state.identity()[2][1]
            if entry.kind == ROOT_CHANGED:
                keys = [*keys, *entry.payload[0][1]]
            return next((key for key in keys if signer_of(key) == signer), None)
        if role in (ROOT, NODE):
            return None
        if how == 0:
            row = state.t["signers"].get(signer)
            if row is None or not row[2]:
                return None
            account = state.holder(row[1])
            need(role == 0 or role in account[4], "role-not-held")
            self.holders.add(row[1])
            self.roles.add(role)
            return row[0]
        desk = state.in_force(DESK)
        if desk is None or signer_of(desk[1]) != signer:
            return None
        self.desk.add(role)
        return desk[1]

    def has_office(self, *offices):
        return bool((self.desk | self.roles) & set(offices))

    def root_quorum(self, root):
        need(len(self.roots) >= root[0], "root-quorum")

    def is_root(self, state):
        return len(self.roots) >= state.identity()[2][0]

    def office(self, state):
        need(self.has_office(COORDINATOR, OPERATOR) or self.is_root(state), "office-needed")

    def treasury(self, state):
        need(self.has_office(TREASURER, OPERATOR) or self.is_root(state), "office-needed")

    def coordinator(self, state):
        return self.has_office(COORDINATOR, TREASURER) or self.is_root(state)

    def may_debit(self, state, account):
        row = state.t["accounts"][account]
        if row[0] in (MEMBER, ORGANISATION):
            ok = account in self.holders or (not row[3] and bool(self.desk))
        else:
            ok = row[0] in (COMMONS, POOL, OUTSIDE) and self.coordinator(state)
        need(ok, "not-authorised")


class State(Identities, Clearing, Resets, Rounds, Statements):
    TABLES = ("accounts", "signers", "units", "limits", "balances", "ops", "transfers", "holds", "streams",
              "channels", "claims", "decisions", "nonces")
    # Tables of later versions, by field: absent when empty.
    LATER = {15: "views", 16: "accused", 17: "successions", 18: "erased", 19: "capacity", 20: "statements",
             21: "settlements", 22: "rounds", 23: "held", 24: "written_off", 25: "resets"}

    def __init__(self):
        self.ident, self.head = None, [0, ZERO32, 0, 0]
        self.t = {name: {} for name in (*self.TABLES, *self.LATER.values())}
        self.checks = []
        # While a step comes back after a succession: what it moves.
        self.lost = None

    def identity(self):
        need(self.ident is not None, "no-genesis")
        return self.ident

    def log_key(self, epoch):
        keys = self.identity()[4][LOG]
        need(epoch < len(keys), "unknown-epoch")
        return keys[epoch]

    def in_force(self, purpose):
        """(epoch, key) of a purpose, or None."""
        keys = self.identity()[4].get(purpose, [])
        epoch = len(keys) - 1
        return (epoch, keys[-1]) if keys and (purpose, epoch) not in self.ident.get(7, {}) else None

    def signing_epoch(self, entry):
        """A revocation that replaces the log key in force is signed under the replacement."""
        epoch = self.in_force(LOG)[0]
        if entry.kind == KEY_REVOKED:
            purpose, revoked, replacement = entry.payload[0], entry.payload[1], entry.payload.get(3)
            epoch += purpose == LOG and revoked == epoch and replacement is not None
        return epoch

    def root_keys(self):
        return [key for root in [former[0] for former in self.ident.get(8, [])] + [self.ident[2]] for key in root[1]]

    # Digest (specs/ledger.md §5)

    def encoded(self):
        tables = {1: self.head}
        if self.ident is not None:
            ident = {field: row for field, row in self.ident.items() if field < 6 or row}
            ident[4] = dict(sorted(ident[4].items()))
            if 7 in ident:
                ident[7] = dict(sorted(ident[7].items()))
            tables = {0: ident} | tables
        for field, name in enumerate(self.TABLES, 2):
            tables[field] = {key: self._row(name, row) for key, row in sorted(self.t[name].items())}
        for field, name in self.LATER.items():
            if self.t[name]:
                tables[field] = {key: self._row(name, row) for key, row in sorted(self.t[name].items())}
        return encode(tables)

    @staticmethod
    def _row(name, row):
        if name == "holds":
            return without_tail(row)
        if name == "channels":
            return row[:6] + [sorted(row[6]), dict(sorted(row[7].items()))] + row[8:]
        if name in ("settlements", "resets"):
            return without_tail(row)
        if name == "rounds":
            return Rounds.rounds_row(row)
        if name in ("written_off", "held"):
            return row
        if name == "statements":
            return row if row[1] is not None else row[:1]
        if name == "claims":
            hops = {key: without_tail(hop) for key, hop in sorted(row[0].items())}
            return [hops, row[1] and without_tail(row[1]), row[2]]
        return row

    def digest(self):
        return tagged("WEFT-STATE/1", self.encoded())

    # Applying an entry

    def apply(self, entry):
        """The entry with its signatures, one by one: it is accepted, or Refused with the state unchanged."""
        kept = self._kept()
        checks = self.rules(entry)
        if not all(verify(*check) for check in checks):
            self._restore(kept)
            raise Refused("signature")

    def rules(self, entry):
        """What the rules alone say. Gives the signatures that must verify as well, or Refused with the state unchanged."""
        kept = self._kept()
        try:
            return self._apply(entry)
        except Refused:
            self._restore(kept)
            raise

    def _kept(self):
        return marshal.dumps((self.ident, self.head, self.t))

    def _restore(self, kept):
        self.ident, self.head, self.t = marshal.loads(kept)

    def sums(self):
        out = {}
        for (_, unit), balance in self.t["balances"].items():
            out[unit] = out.get(unit, 0) + balance
        return out

    def claims_out(self, entry):
        """The channel that an `end` takes value over, or that and the pair of a debt that is netted, as it stands before it."""
        if entry.kind == 0x0C06:
            held = self.t["held"].get((entry.payload[0], entry.payload[2][0]))
            return held and held[:2]
        row = self.t["claims"].get((entry.payload[0], entry.payload[1])) if entry.kind == 0x0504 else None
        return row[1][0] if row and row[1] else None

    def _apply(self, entry):
        self.checks = []
        self._place(entry)
        self._operation(entry)
        authority = Authority(self, entry)
        signed = bool(entry.auth)
        by_node = (0x0B00 <= entry.kind < 0x0F00 and entry.kind != 0x0E02) or 0x0504 <= entry.kind <= 0x0508
        by_node = by_node or entry.kind in (0x0106, 0x1101)
        by_node = by_node or (entry.kind == 0x050C and entry.payload[0] in (4, 5)) or entry.kind in (0x050E, 0x050F)
        by_node = by_node or (entry.kind == 0x050D and entry.payload[0] == 1)
        need(not (by_node and signed), "node-only")
        need(by_node or signed, "unsigned")
        getattr(self, f"_kind_{entry.kind:04x}", self._step)(entry, authority)
        for signer in entry.authors():
            self.t["ops"][(signer, entry.op[0])] = entry.op[1]
        if entry.stream:
            self.t["streams"][entry.stream[0]] = [entry.stream[1] + 1, entry.leaf]
        self.head = [entry.seq + 1, entry.leaf, entry.time, entry.boot]
        node = (self.log_key(self._epoch_before), entry.node_message(), entry.node_sig)
        self._forget()
        return [node, *authority.checks, *self.checks]

    def _place(self, entry):
        if self.ident is not None:
            need(entry.ledger == self.ident[0], "ledger-mismatch")
            need(entry.kind != GENESIS, "genesis-place")
            need(entry.body[5] == self.signing_epoch(entry), "unknown-epoch")
        else:
            need(entry.kind == GENESIS, "no-genesis")
        self._epoch_before = entry.body[5]
        next_seq, leaf, time, boot = self.head
        need(entry.seq == next_seq, "seq")
        need(entry.body[3] == leaf, "prev")
        need(entry.time >= time, "time-back")
        need(entry.boot >= boot, "boot-back")
        wanted = ZERO16 if entry.kind in PUBLIC else entry.payload[0] if entry.is_step else None
        need(wanted == (entry.stream[0] if entry.stream else None), "stream-header")
        if wanted is not None:
            place = self.t["streams"].get(wanted, [0, ZERO32])
            need(entry.stream[1:] == place, "stream-place")

    def _operation(self, entry):
        not_after = entry.op[1]
        need(not_after >= entry.time, "op-expired")
        need(not_after <= entry.time + 35 * DAY, "op-life")
        done = any((signer, entry.op[0]) in self.t["ops"] for signer in entry.authors())
        need(not done, "op-done")

    def _forget(self):
        now, t = self.head[2], self.t
        gone = [key for key, at in t["ops"].items() if at < now]
        for key in gone:
            del t["ops"][key]
        for seq in [seq for seq, row in t["transfers"].items() if row[0] + 60 * DAY < now]:
            del t["transfers"][seq]
        for key in [key for key, row in t["claims"].items() if self.is_closed(row) and row[2] + 60 * DAY < now]:
            del t["claims"][key]
        for claim, row in list(t["decisions"].items()):
            if (row[0] == 2 or row[4]) and row[5] + 60 * DAY < now:
                if row[3] is not None:
                    t["nonces"].pop(tuple(row[3]), None)
                del t["decisions"][claim]

    # Area 2

    def holder(self, account):
        row = self.t["accounts"].get(account)
        need(row is not None, "unknown-account")
        need(not row[2], "account-closed")
        need(row[0] not in (PEER, OWN), "owner-kind")
        return row

    def _register(self, row, account, key):
        need(not key_fault(key), "key")
        signer = signer_of(key)
        bound = [k for purpose, keys in self.ident[4].items() if purpose not in (SEAL, RECOVERY) for k in keys]
        network = bound + self.root_keys()
        need(signer not in self.t["signers"] and signer not in map(signer_of, network), "signer-exists")
        need(len(row[3]) < 8, "too-many-keys")
        row[3] = sorted([*row[3], signer])
        self.t["signers"][signer] = [key, account, True]

    def _kind_0201(self, entry, authority):
        account, owner, key, anchor = (entry.payload.get(i) for i in range(4))
        authority.office(self)
        need(owner not in (PEER, OWN), "owner-kind")
        need(account not in self.t["accounts"], "account-exists")
        need(not anchor or owner == ORGANISATION, "anchor-owner")
        row = [owner, anchor, False, [], []]
        if key is not None:
            self._register(row, account, key)
        self.t["accounts"][account] = row

    def _kind_0202(self, entry, authority):
        account, add, remove, anchor = (entry.payload.get(i) for i in range(4))
        authority.office(self)
        need(len(entry.payload) > 1, "nothing-to-do")
        row = self.holder(account)
        if remove is not None:
            need(remove in row[3], "unknown-signer")
            row[3] = [signer for signer in row[3] if signer != remove]
            self.t["signers"][remove][2] = False
        if add is not None:
            self._register(row, account, add)
        if anchor is not None:
            need(not anchor or row[0] == ORGANISATION, "anchor-owner")
            row[1] = anchor

    def _kind_0203(self, entry, authority):
        account = entry.payload[0]
        authority.office(self)
        row = self.holder(account)
        need(not any(b for (a, _), b in self.t["balances"].items() if a == account), "not-empty")
        need(all(hold[0] != account for hold in self.t["holds"].values()), "holds-open")
        row[2] = True
        for signer in row[3]:
            self.t["signers"][signer][2] = False

    def _kind_0204(self, entry, authority):
        account, role, granted = (entry.payload[i] for i in range(3))
        authority.root_quorum(self.identity()[2])
        need(role in (1, COORDINATOR, TREASURER, OPERATOR), "role-not-grantable")
        row = self.holder(account)
        need((role in row[4]) != granted, "nothing-to-do")
        row[4] = sorted({*row[4], role} if granted else {*row[4]} - {role})

    # Areas 3 and 4

    def _kind_0301(self, entry, authority):
        unit, code, name, _, scale = (entry.payload[i] for i in range(5))
        authority.root_quorum(self.identity()[2])
        alphabet = "abcdefghijklmnopqrstuvwxyz0123456789-"
        need(1 <= len(code) <= 16 and all(c in alphabet for c in code), "unit-code")
        need(1 <= len(name.encode()) <= 64, "name-length")
        need(scale <= 6, "unit-scale")
        units = self.t["units"]
        need(unit not in units and all(row[1] != code for row in units.values()), "unit-exists")
        units[unit] = dict(entry.payload)

    def _kind_0401(self, entry, authority):
        authority.root_quorum(self.identity()[2])
        need(entry.payload[0] == self.ident[1], "authority-unknown")
        rule = entry.payload[1][1][0]
        need(rule[0] in self.t["units"], "unknown-unit")
        if 1 in rule and 2 not in rule:
            self.holder(rule[1])
            scope = (0, (rule[1],))
        else:
            need(2 in rule and 1 not in rule and rule[2] not in (PEER, OWN), "limit-scope")
            scope = (1, (rule[2],))
        need(rule.get(3) != {} and rule.get(4) != {}, "nothing-to-do")
        below, above = rule.get(3, {}), rule.get(4, {})
        for levels in (below, above):
            there = [levels[i] for i in sorted(levels)]
            need(there == sorted(there), "levels-order")
        self.t["limits"][(scope, rule[0])] = [below, above, entry.payload[0], entry.seq]

    # Area 5

    def post(self, postings):
        check_form(postings)
        for account, unit, delta in postings:
            need(unit in self.t["units"], "unknown-unit")
            after = self.t["balances"].get((account, unit), 0) + delta
            need(abs(after) <= MAX, "balance-overflow")
            self.t["balances"][(account, unit)] = after

    def exactly(self, given, expected):
        need(given == expected, "postings-differ")
        self.post(given)

    def _limits(self, postings, lifted):
        """Judged after the postings were made."""
        for account, unit, delta in postings:
            after = self.t["balances"][(account, unit)]
            owner = self.t["accounts"][account][0]
            limits = self.t["limits"]
            limit = limits.get(((0, (account,)), unit)) or limits.get(((1, (owner,)), unit))
            if limit is None or (after < 0) != (delta < 0):
                continue
            says = verdict(limit[0] if after < 0 else limit[1], abs(after))
            need(says != "firm", "limit-firm")
            need(says != "stop" or lifted, "limit-stop")

    def _kind_0501(self, entry, authority):
        postings = entry.payload[0]
        self.post(postings)
        for account, _, delta in postings:
            self.holder(account)
            if delta < 0:
                authority.may_debit(self, account)
        self._limits(postings, authority.coordinator(self))
        self.t["transfers"][entry.seq] = [entry.time, postings_digest(postings), False]

    def _kind_0502(self, entry, authority):
        seq, postings = entry.payload[0], entry.payload[1]
        row = self.t["transfers"].get(seq)
        need(row is not None, "not-reversible")
        need(not row[2], "already-reversed")
        turned = [[account, unit, -delta] for account, unit, delta in postings]
        need(postings_digest(turned) == row[1], "reversal-differs")
        self.post(postings)
        for account, _, delta in postings:
            self.holder(account)
            if delta < 0 and not authority.coordinator(self):
                authority.may_debit(self, account)
        row[2] = True

    def _kind_0503(self, entry, authority):
        account, unit, value, network = (entry.payload[i] for i in range(4))
        self.holder(account)
        sidecars = entry.op.get(3, [])
        need(len(sidecars) == 1, "hold-sidecar")
        need(network != entry.ledger, "own-network")
        self.post(move(account, own_account("hold"), unit, value))
        authority.may_debit(self, account)
        self._limits([[account, unit, -value]], authority.coordinator(self))
        self.t["holds"][entry.leaf] = [account, unit, value, network, sidecars[0], None, None]

    # Areas 15 and 16

    def _kind_0f01(self, entry, authority):
        account, reason = (entry.payload[i] for i in range(2))
        authority.office(self)
        row = self.t["accounts"].get(account)
        need(row is not None, "unknown-account")
        need(row[0] not in (PEER, OWN), "owner-kind")
        need(account not in self.t["erased"], "nothing-to-do")
        need(all(hold[0] != account for hold in self.t["holds"].values()), "holds-open")
        if not row[2]:
            row[2] = True
            for signer in row[3]:
                self.t["signers"][signer][2] = False
        self.t["erased"][account] = [entry.seq, reason]

    def _kind_1001(self, entry, authority):
        authority.office(self)
        need(entry.payload[0] == self.digest(), "forward-state")

    # Area 13

    def _kind_0d01(self, entry, _):
        peer, origin, size, root, note = (entry.payload[i] for i in range(5))
        need(any(row[0] == peer for row in self.t["channels"].values()), "no-accord")
        need(is_origin_of(origin, peer), "view-origin")
        last = self.t["views"].get((peer, origin), [0, EMPTY_ROOT])
        need(size >= last[0], "view-back")
        need(size > last[0] or root == last[1], "view-conflict")
        need(size > last[0], "nothing-to-do")
        self.t["views"][(peer, origin)] = [size, root, note, entry.time]

    def _kind_0507(self, entry, _):
        hold = self.t["holds"].get(entry.payload[0])
        need(hold is not None, "unknown-hold")
        need(hold[5] is None or hold[6] is not None, "hold-bound")
        loose = hold[2] if hold[5] is None else hold[6]
        self.exactly(entry.payload[1], move(own_account("hold"), hold[0], hold[1], loose))
        hold[6] = None
        self._less(entry.payload[0], loose)

    # Area 17

    def _kind_1101(self, entry, _):
        peer, version, lines = (entry.payload.get(i) for i in range(3))
        _, channel = self._channel_with(peer)
        told = self.t["capacity"].get(peer, [0, version, []])
        buckets = {line[0]: line[5:] for line in told[2]}
        accord, we_are_a = channel[2], channel[4]
        expected = []
        passes = accord[8] and not self.t["accused"].get(peer, [[], False])[1]
        for pair, terms in enumerate(accord[5] if passes else []):
            unit, peer_unit = terms[:2] if we_are_a else terms[1::-1]
            num, den = terms[2:4] if we_are_a else terms[3:1:-1]
            balance = self.t["balances"].get((channel[1], booked_unit(terms, self._side(channel))), 0)
            rooms = self.room(channel, pair), terms[6 if we_are_a else 5] + balance
            seen = [bucket_after(old, room) for old, room in zip(buckets.get(pair, (None, None)), rooms)]
            expected.append([pair, unit, peer_unit, num, den, *seen])
        need(version == accord[1] and (lines or []) == expected, "capacity-differs")
        need(expected != told[2] or (expected and version != told[1]), "nothing-to-do")
        self.t["capacity"][peer] = [entry.time, version, expected]

    # Area 14

    def _kind_0e01(self, entry, authority):
        evidence, accused, kind = (entry.payload[i] for i in range(3))
        need(accused != self.identity()[0], "own-network")
        recorded = self.t["accused"].get(accused, [[], False])[0]
        need(all(known != evidence for known, _ in recorded), "nothing-to-do")
        need(len(recorded) < 8, "evidence-enough")
        self.t["accused"][accused] = [[*recorded, [evidence, kind]], True]

    def _kind_0e02(self, entry, authority):
        accused = entry.payload[0]
        authority.root_quorum(self.identity()[2])
        known = accused in self.t["accused"] or any(row[0] == accused for row in self.t["channels"].values())
        need(known, "no-accord")
        need(len(entry.op.get(3, [])) == 1, "reason-sidecar")
        self.t["accused"][accused] = [self.t["accused"].get(accused, [[], False])[0], False]
