"""Cosignatures, policies, what a witness answers (specs/witness.md)."""

import base64

from wcbor import Refused
from wkeys import verify
from wlog import check_consistency, key_id, open_checkpoint, read_note, sha256, strict_base64, strict_decimal

LOG, COSIGNER = 1, 4


def need(ok, what="refused"):
    if not ok:
        raise Refused("refused", what)


def read_vkey(text):
    """Name, type and public key; the id must follow from them."""
    need(len(text) <= 512, "too long")
    name, plus, rest = text.partition("+")
    ident, plus2, data = rest.partition("+")
    need(plus and plus2 and name and not any(c.isspace() or c < " " for c in name), "form")
    need(len(ident) == 8 and all(c in "0123456789abcdef" for c in ident), "id")
    data = strict_base64(data)
    need(len(data) == 33 and data[0] in (LOG, COSIGNER), "type")
    need(key_id(name, data[0], data[1:]).hex() == ident, "id")
    return name, data[0], data[1:]


def message(time, text):
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def cosigned_at(note, vkey):
    """The latest time at which the witness cosigned; all of its lines must verify."""
    name, kind, key = vkey
    need(kind == COSIGNER, "not a witness's key")
    text, lines = read_note(note.encode())
    times = []
    for line_name, ident, sig in lines:
        if (line_name, ident) != (name, key_id(name, COSIGNER, key)):
            continue
        need(len(sig) == 72, "length")
        time = int.from_bytes(sig[:8], "big")
        need(time < 1 << 63 and verify(key, message(time, text), sig[8:]), "does not verify")
        times.append(time)
    need(times, "not cosigned")
    return max(times)


class Policy:
    """Specs/witness.md §2."""

    def __init__(self, text):
        data = text.encode()
        need(len(data) <= 64 * 1024 and data.endswith(b"\n"))
        need(all(b >= 0x20 and b != 0x7F or b in (9, 10) for b in data), "control character")
        self.logs, self.witnesses, self.groups, self.quorum = [], {}, {}, None
        self._used, self._quorums = set(), 0
        for line in data[:-1].split(b"\n"):
            items = line.replace(b"\t", b" ").split(b" ")
            items = [item for item in items if item]
            if items and not items[0].startswith(b"#"):
                self._line(items)
        need(self._quorums == 1, "quorum lines")
        need(max(len(self.logs), len(self.witnesses), len(self.groups)) <= 32, "too many")

    def _line(self, items):
        word, rest = items[0], items[1:]
        if word == b"log" and 1 <= len(rest) <= 2:
            vkey = read_vkey(rest[0].decode())
            need(vkey[1] == LOG and vkey[2] not in [key for _, _, key in self.logs])
            self.logs.append(vkey)
        elif word == b"witness" and 2 <= len(rest) <= 3:
            vkey = read_vkey(rest[1].decode())
            need(vkey[1] == COSIGNER and vkey[2] not in [key for _, _, key in self.witnesses.values()])
            self._name(rest[0])
            self.witnesses[rest[0]] = vkey
        elif word == b"group" and len(rest) >= 3:
            name, number, members = rest[0], rest[1], rest[2:]
            for member in members:
                need(member in self.witnesses or member in self.groups, "not defined before")
                need(member not in self._used, "a member twice")
                self._used.add(member)
            self._name(name)
            k = {b"any": 1, b"all": len(members)}.get(number)
            k = strict_decimal(number.decode()) if k is None else k
            need(1 <= k <= len(members), "threshold")
            self.groups[name] = (k, members)
        elif word == b"quorum" and len(rest) == 1:
            need(rest[0] == b"none" or rest[0] in self.witnesses or rest[0] in self.groups, "not defined before")
            self.quorum, self._quorums = rest[0], self._quorums + 1
        else:
            need(False, "no such line")

    def _name(self, name):
        need(name != b"none" and name not in self.witnesses and name not in self.groups, "name")

    def judge(self, note):
        """Whether the quorum is reached, who cosigned, and how many lines belong to nobody."""
        _, lines = read_note(note.encode())
        known = {(name, key_id(name, kind, key)) for name, kind, key in [*self.logs, *self.witnesses.values()]}
        unknown = sum((name, ident) not in known for name, ident, _ in lines)
        signed = [name for name, vkey in self.witnesses.items() if _is_cosigned(note, vkey)]
        return self.quorum == b"none" or self._holds(self.quorum, signed), signed, unknown

    def _holds(self, name, signed):
        if name in self.witnesses:
            return name in signed
        k, members = self.groups[name]
        return sum(self._holds(member, signed) for member in members) >= k


def _is_cosigned(note, vkey):
    try:
        cosigned_at(note, vkey)
    except Refused:
        return False
    return True


def least_quorum(n, f):
    """The least k of n of whom f may lie, or None (specs/witness.md 2.4)."""
    k = (n + f) // 2 + 1
    return k if k <= n and f < n else None


def read_request(text):
    need(len(text.encode()) <= 68 * 1024)
    head, blank, note = text.partition("\n\n")
    need(blank, "no empty line")
    first, *proof = head.split("\n")
    need(first.startswith("old ") and len(proof) <= 63)
    proof = [strict_base64(line) for line in proof]
    need(all(len(item) == 32 for item in proof))
    read_note(note.encode())
    return strict_decimal(first[4:]), proof, note


def answer(log, seen, text):
    """Status, the size told with 409, and whether the log has contradicted itself (specs/witness.md 3.2)."""
    old, proof, note = read_request(text)
    try:
        size, root, _ = open_checkpoint(note.encode(), log[0], log[2])
    except Refused:
        return 403, None, False
    if old > size:
        return 400, None, False
    last, last_root = seen or (0, sha256())
    if seen and size == last and root != last_root:
        return 409, last, True
    if old != last:
        return 409, last, False
    try:
        if last == 0:
            need(not proof)
        else:
            check_consistency(last, size, proof, last_root, root)
    except Refused:
        return 422, None, False
    return 200, None, False


def witness(run, v, refused_entry, ledgers):
    cosignatures(run, v["cosignatures"])
    for i, case in enumerate(v["policies"]):
        policy = run.accepted(f"policy {i}", lambda: Policy(case["text"]))
        for j, given in enumerate(case["notes"]):
            reached, signed, unknown = policy.judge(given["note"])
            run.same(f"policy {i}, note {j}", (reached, [s.decode() for s in signed], unknown),
                     (given["reached"], given["cosigned"], given["unknown"]))
    for case in v["invalid_policies"]:
        run.refused(f"policy: {case['about']}", None, lambda: Policy(case["text"]))
    for case in v["least_quorum"]:
        run.same(f"least quorum {case}", least_quorum(case["witnesses"], case["liars"]), case["least"])
    for case in v["requests"]:
        seen = (case["seen"]["size"], bytes.fromhex(case["seen"]["root"])) if case["seen"] else None
        got = answer(read_vkey(case["log"]), seen, case["request"])
        run.same(f"request: {case['about']}", got, (case["status"], case["size"], case["contradiction"]))
    for case in v["invalid_requests"]:
        run.refused(f"request: {case['about']}", None, lambda: read_request(case["text"]))
    views = v["views"]
    states = ledgers(run, views["ledgers"])
    for case in views["invalid"]:
        refused_entry(run, states[views["of"]], case)


def cosignatures(run, v):
    payload = base64.b64decode(v["example"]["payload"])
    got = (payload[:4].hex(), int.from_bytes(payload[4:12], "big"), len(payload))
    run.same("the published cosignature", got, (v["example"]["key_id"], v["example"]["time"], 76))
    vkey = read_vkey(v["verifier_key"])
    run.same("name of a witness", vkey[0], v["name"])
    run.same("message", message(v["time"], v["text"]).decode(), v["message"])
    run.true("signature", verify(vkey[2], v["message"].encode(), bytes.fromhex(v["signature"])))
    for i, case in enumerate(v["valid"]):
        run.same(f"cosignature {i}", run.accepted("cosignature", lambda: cosigned_at(case["note"], vkey)), case["time"])
    for case in v["invalid"]:
        run.refused(f"cosignature: {case['about']}", None, lambda: cosigned_at(case["note"], vkey))
