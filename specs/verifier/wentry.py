"""Entries: levels, records of every kind, signatures (specs/entry.md, specs/kinds.md, specs/clearing.md §1, §3, §4)."""

from wcbor import (Refused, amount, blob, boolean, decode, encode, fixed, list_of, one_of, record, sint, text,
                   tuple_of, uint)
from wkeys import tagged, verify
from wlog import leaf_hash

MAX_ENTRY = 4096
GENESIS, KEY_BOUND, KEY_REVOKED, ROOT_CHANGED, RECOVERED, UNIT_DEFINED = 0x0101, 0x0102, 0x0103, 0x0104, 0x0106, 0x0301
SUCCESSION, CAPACITY, RESET_NOTICE = 0x0105, 0x1101, 0x1102
ROUNDS = set(range(0x0C01, 0x0C06))
IDENTITY = {GENESIS, KEY_BOUND, KEY_REVOKED, ROOT_CHANGED}
PUBLIC = IDENTITY | {SUCCESSION, UNIT_DEFINED, CAPACITY, RESET_NOTICE} | ROUNDS
ZERO16, ZERO32 = bytes(16), bytes(32)
H, U8, U16, U32, U64 = fixed(32), uint(8), uint(16), uint(32), uint(64)
STEPS = {0: "ACCORD", 1: "PROPOSE", 2: "ACCEPT", 3: "REJECT", 4: "DONE", 5: "FREE", 6: "RETURN", 7: "STMT", 8: "STMT_ACK",
         9: "SETTLE", 10: "SETTLE_ACK", 11: "RESET_REFUSE", 12: "RESET", 13: "DISPUTE", 14: "KEY", 15: "OFFER", 16: "DROP_HOLD", 17: "APPLY", 19: "PAUSE", 20: "END"}

ROLE, HOW, OWNER, PURPOSE = one_of(*range(7)), one_of(*range(5)), one_of(*range(7)), one_of(*range(1, 7))
AUTH = tuple_of(fixed(8), ROLE, HOW, blob)
POSTING = tuple_of(fixed(16), U16, sint(64))
POSTINGS = list_of(POSTING)
ROOT_SET = record(k0=U8, k1=list_of(H))
LAST_GOOD = tuple_of(U64, H)
LEVELS = record(optional=(0, 1, 2), k0=U64, k1=U64, k2=U64)
LIMIT = record(optional=(1, 2, 3, 4), k0=U16, k1=fixed(16), k2=OWNER, k3=LEVELS, k4=LEVELS)
PAIR = tuple_of(U16, U16, U64, U64, one_of(0, 1), U64, U64, optional=(U16,))
ACCORD = record(optional=(2,), k0=U8, k1=U32, k2=H, k3=H, k4=H, k5=list_of(PAIR), k6=U64, k7=U64, k8=boolean,
                k9=boolean, k10=tuple_of(U8, U8))
HOP = tuple_of(U8, amount, amount, U32)
INTENT = record(k0=U8, k1=H, k2=U32, k3=H, k4=H, k5=list_of(tuple_of(list_of(H), list_of(HOP))), k6=U64, k7=H)
DECISION = tuple_of(record(k0=U8, k1=H, k2=U32, k3=H, k4=one_of(1, 2), k5=U16), fixed(64))
ROOT_SIGS = list_of(tuple_of(fixed(8), fixed(64)))
IN_FLIGHT = tuple_of(U64, list_of(U64), H)
STATEMENT = record(k0=tuple_of(U64, U64), k1=list_of(sint(64)), k2=IN_FLIGHT, k3=IN_FLIGHT)
DISPUTE = record(k0=one_of(1), k1=fixed(16), k2=H, k3=U8, k4=H, k5=H, k6=U8, k7=amount, k8=one_of(1, 2))
RESET = record(optional=(10,), lists=(8, 9), k0=U8, k1=H, k2=H, k3=U32, k4=H, k5=tuple_of(U64, H), k6=tuple_of(U64, H), k7=list_of(sint(64)),
               k8=list_of(tuple_of(H, U8, boolean)), k9=list_of(tuple_of(H, H)), k10=H)
LINE = tuple_of(H, boolean, amount)
ARGS = {
    0: record(k0=blob, k1=ROOT_SIGS, k2=ROOT_SIGS),
    1: record(k0=tuple_of(blob, fixed(64)), k1=U8),
    2: record(optional=(1,), k0=DECISION, k1=blob),
    3: record(optional=(1,), k0=U16, k1=DECISION),
    4: record(k0=DECISION),
    7: record(k0=STATEMENT),
    8: record(k0=one_of(0, 1, 2, 3), k1=STATEMENT),
    9: record(k0=U8, k1=amount, k2=boolean, k3=H, k4=boolean),
    10: record(k0=one_of(0, 1, 2)),
    11: record(k0=one_of(1, 2, 3)),
    12: record(k0=blob, k1=ROOT_SIGS, k2=ROOT_SIGS),
    13: record(k0=blob, k1=ROOT_SIGS, k2=ROOT_SIGS),
    14: record(k0=blob),
    15: record(k0=H, k1=U8, k2=amount, k3=boolean),
    16: record(k0=H),
    17: record(k0=H, k1=H, k2=U8, k3=amount, k4=boolean),
    19: record(k0=boolean),
}
PAYLOADS = {
    0x0101: record(optional=(1, 3, 4), k0=ROOT_SET, k1=H, k2=list_of(tuple_of(PURPOSE, H)), k3=H,
                   k4=tuple_of(H, LAST_GOOD)),
    0x0102: record(k0=PURPOSE, k1=U32, k2=H),
    0x0103: record(optional=(3,), k0=PURPOSE, k1=U32, k2=LAST_GOOD, k3=H),
    0x0104: record(optional=(1,), k0=ROOT_SET, k1=H),
    0x0105: record(optional=(2,), lists=(5,), k0=U32, k1=U64, k2=H, k3=U64, k4=U64, k5=list_of(H)),
    0x0106: record(lists=(1,), k0=blob, k1=POSTINGS),
    0x0201: record(optional=(2,), k0=fixed(16), k1=OWNER, k2=H, k3=boolean),
    0x0202: record(optional=(1, 2, 3), k0=fixed(16), k1=H, k2=fixed(8), k3=boolean),
    0x0203: record(k0=fixed(16)),
    0x0204: record(k0=fixed(16), k1=ROLE, k2=boolean),
    0x0301: record(k0=U16, k1=text, k2=text, k3=one_of(0, 1, 2, 3), k4=U8),
    0x0401: record(k0=H, k1=tuple_of(one_of(0), tuple_of(LIMIT))),
    0x0501: record(optional=(1,), k0=POSTINGS, k1=sint(32)),
    0x0502: record(k0=U64, k1=POSTINGS),
    0x0503: record(optional=(4,), k0=fixed(16), k1=U16, k2=amount, k3=H, k4=sint(32)),
    0x0504: record(k0=H, k1=U8, k2=H, k3=POSTINGS),
    0x0505: record(k0=H, k1=fixed(16), k2=POSTINGS),
    0x0506: record(k0=H, k1=U8, k2=fixed(16), k3=H, k4=POSTINGS),
    0x0507: record(k0=H, k1=POSTINGS),
    0x0508: record(k0=H, k1=U8, k2=fixed(16), k3=H, k4=POSTINGS),
    0x050C: record(optional=(5, 6, 7), k0=one_of(*range(6)), k1=fixed(16), k2=U8, k3=amount, k4=boolean, k5=H, k6=H,
                   k7=POSTINGS),
    0x050D: record(lists=(4,), k0=one_of(0, 1), k1=fixed(16), k2=U64, k3=U64, k4=POSTINGS),
    0x050E: record(k0=H, k1=U8, k2=fixed(16), k3=H, k4=POSTINGS),
    0x050F: record(k0=H, k1=H, k2=POSTINGS),
    0x0C01: record(k0=tuple_of(one_of(0, 1, 2, 3), U8, text), k1=U64, k2=U64, k3=U64),
    0x0C02: record(k0=H, k1=U64, k2=list_of(LINE)),
    0x0C03: record(k0=H, k1=U8, k2=U16, k3=U16, k4=blob),
    0x0C04: record(optional=(4, 8), lists=(7,), k0=H, k1=U8, k2=H, k3=boolean, k4=one_of(0, 1, 2, 3, 4), k5=U32, k6=fixed(64),
                   k7=list_of(LINE), k8=H),
    0x0C05: record(k0=H, k1=H, k2=list_of(tuple_of(H, U32, fixed(64)))),
    0x0C06: record(k0=H, k1=H, k2=LINE, k3=POSTINGS),
    0x0D01: record(k0=H, k1=text, k2=U64, k3=H, k4=H),
    0x0E01: record(k0=H, k1=H, k2=one_of(1, 2, 3, 4, 6)),
    0x0E02: record(k0=H),
    0x0F01: record(k0=fixed(16), k1=one_of(0, 1, 2)),
    0x1001: record(k0=H),
    0x1101: record(lists=(2,), k0=H, k1=U32, k2=list_of(tuple_of(U8, U16, U16, U64, U64, U8, U8))),
    0x1102: record(optional=(3,), k0=one_of(0, 1, 2), k1=H, k2=U32, k3=U64),
}


def _step(t):
    fields = dict(k0=fixed(16), k1=tuple_of(U64, H), k2=one_of(t), k3=H, k4=H, k6=U8)
    if t in ARGS:
        fields["k5"] = ARGS[t]
    inner = record(optional=(3, 4, 6), **fields)

    def check(value):
        out = inner(value)
        if out.get(6) == 0:
            raise Refused("not-canonical")
        return out
    return check


PAYLOADS.update({0x0B00 + t: _step(t) for t in STEPS})
OUTER = tuple_of(blob, fixed(64))
BODY = record(optional=(10,), lists=(8,), k0=U8, k1=H, k2=U64, k3=H, k4=U64, k5=U32, k6=U16, k7=blob,
              k8=list_of(AUTH), k9=fixed(16), k10=tuple_of(fixed(16), U64, H), k11=U64)


class Entry:
    """Bytes that passed the gate at every level."""

    def __init__(self, data):
        try:
            self._read(data)
        except Refused as refused:
            raise Refused("entry", refused.code) from None

    def _read(self, data):
        self.bytes = data
        self.body_bytes, self.node_sig = OUTER(decode(data, MAX_ENTRY))
        self.body = BODY(decode(self.body_bytes, MAX_ENTRY))
        if self.body[0] != 1:
            raise Refused("version")
        self.kind = self.body[6]
        if self.kind not in PAYLOADS:
            raise Refused("unknown-kind")
        op = record(lists=(3,), k0=fixed(16), k1=U64, k2=PAYLOADS[self.kind], k3=list_of(H))
        self.op_bytes = self.body[7]
        self.op = op(decode(self.op_bytes))
        self.payload = self.op[2]
        self.ledger, self.seq, self.time, self.boot = self.body[1], self.body[2], self.body[4], self.body[11]
        self.auth, self.stream = self.body.get(8, []), self.body.get(10)
        self.leaf = leaf_hash(data)

    @property
    def is_step(self):
        return self.kind >> 8 == 0x0B

    @property
    def context_ledger(self):
        return ZERO32 if self.kind == GENESIS else self.ledger

    def node_message(self):
        return b"WEFT-ENTRY/1\n" + self.context_ledger + self.body_bytes

    def auth_message(self, auth):
        signer, role, how, _ = auth
        return op_message(self.context_ledger, self.kind, signer, role, how, self.op_bytes)

    def ledger_id(self):
        body = dict(self.body)
        body[1] = ZERO32
        return tagged("WEFT-LEDGER/1", encode(body))

    def authors(self):
        return {auth[0] for auth in self.auth} or {bytes(8)}

    def node_signed_by(self, key):
        return verify(key, self.node_message(), self.node_sig)


def op_message(ledger, kind, signer, role, how, op):
    return b"WEFT-OP/1\n" + ledger + kind.to_bytes(2, "big") + signer + bytes([role, how]) + op


def exchanges(pair, side):
    """Whether a side (0 A, 1 B) keeps the peer account in the other's unit."""
    return len(pair) > 7 and pair[4] != side


def booked_unit(pair, side):
    return pair[7] if exchanges(pair, side) else pair[side]


def clash(pairs, i, side):
    """Whether the number of a foreign unit is in use beside that."""
    if not exchanges(pairs[i], side):
        return False
    others = [pair for j, pair in enumerate(pairs) if j != i]
    taken = [pair[side] for pair in pairs] + [pair[7] for pair in others if exchanges(pair, side)]
    return pairs[i][7] in taken


def read_accord(data):
    """An accord that keeps specs/clearing.md §1, else Refused("accord")."""
    try:
        accord = ACCORD(decode(data, 1024))
    except Refused as refused:
        raise Refused("accord", refused.code) from None
    pairs = accord[5]
    ok = (
        accord[0] == 1 and accord[3] != accord[4] and accord[1] >= 1 and (accord[1] == 1) == (2 not in accord)
        and 1 <= len(pairs) <= 8
        and len({p[0] for p in pairs}) == len(pairs) == len({p[1] for p in pairs})
        and all(1 <= n <= 1 << 32 for p in pairs for n in p[2:4])
        and all(limit <= 1 << 62 for p in pairs for limit in p[5:7])
        and not any(clash(pairs, i, side) for i in range(len(pairs)) for side in (0, 1))
        and 1 <= accord[7] <= 7 * 86_400_000 and accord[6] >= 1 and min(accord[10]) >= 1
    )
    if not ok:
        raise Refused("accord")
    return accord


def read_reset(data):
    """What both root sets agree about a channel (specs/clearing.md 17.4), else Refused("reset")."""
    try:
        reset = RESET(decode(data, 2_048))
    except Refused as refused:
        raise Refused("reset", refused.code) from None
    bound, rounds, positions = reset.get(8, []), reset.get(9, []), reset[7]
    ok = (
        reset[0] == 1 and reset[1] != reset[2] and reset[3] >= 1 and 1 <= len(positions) <= 8
        and all(abs(position) <= 1 << 62 for position in positions) and len(bound) <= 32 and len(rounds) <= 4
        and all(one < other for names in (bound, rounds) for one, other in zip(names, names[1:]))
    )
    if not ok:
        raise Refused("reset")
    return reset


def reset_id(data):
    return tagged("WEFT-RESET/1", data)


def accord_id(data):
    return tagged("WEFT-ACCORD/1", data)


def channel_of(a, b, n=0):
    return tagged("WEFT-CHANNEL/1", min(a, b), max(a, b), n.to_bytes(4, "big"))[:16]


def peer_account(a, b):
    return tagged("WEFT-PEER/1", min(a, b), max(a, b))[:16]


def read_intent(data):
    try:
        intent = INTENT(decode(data, 3600))
    except Refused as refused:
        raise Refused("encoding", refused.code) from None
    ok = intent[0] == 1 and intent[1] != intent[3] and 1 <= len(intent[5]) <= 8
    for route, hops in intent[5]:
        ok = ok and 1 <= len(hops) <= 6 and len(route) == len(hops) + 1
        ok = ok and route[0] == intent[1] and route[-1] == intent[3] and len(set(route)) == len(route)
        ok = ok and all(a[2] == b[1] for a, b in zip(hops, hops[1:]))
    if not ok:
        raise Refused("intent")
    return intent


def claim_of(intent):
    return tagged("WEFT-CLAIM/1", intent)


def decision_message(decision):
    return b"WEFT-DECISION/1\n" + encode(decision[0])
