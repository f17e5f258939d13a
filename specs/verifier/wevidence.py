"""Evidence (specs/evidence.md): whether a file proves that a network signed two things that exclude each other."""

import base64

import wlog
from wcbor import Refused, blob, decode, encode, fixed, list_of, one_of, record, tuple_of, uint
from wentry import DECISION, GENESIS, Entry, decision_message
from wkeys import key_fault, sha256, tagged, verify
from wledger import Authority, State

NOTES, PROOFS, ENTRIES, DECISIONS, SEEN = 1, 2, 3, 4, 6
MAX_EVIDENCE, MAX_HALF, MAX_TEXT = 61_440, 16_384, 83_253
IDENTITY, LOG, WITNESS = range(0x0101, 0x0105), 1, 2
EVIDENCE = record(lists=(3,), k0=uint(8), k1=one_of(NOTES, PROOFS, ENTRIES, DECISIONS, SEEN), k2=fixed(32),
                  k3=list_of(blob), k4=tuple_of(blob, blob))
PROOF = tuple_of(blob, uint(64), fixed(32), list_of(fixed(32)))


def need(ok, code):
    if not ok:
        raise Refused(code)


def checkpoint(note):
    """Origin, size, text and signature lines of a checkpoint; who signed it is not looked at."""
    text, lines = wlog.read_note(note)
    parts = text[:-1].split("\n")
    need(len(parts) == 3, "half")
    size, root = wlog.strict_decimal(parts[1]), wlog.strict_base64(parts[2])
    need(wlog._is_name(parts[0]) and len(parts[0].encode()) <= 255, "half")
    need(len(root) == 32 and (size > 0 or root == sha256()), "half")
    return parts[0], size, root, text, lines


class Half:
    """One statement: `said` names it, `about` is what two must share, `word` what they must not."""

    def __init__(self, kind, data):
        self.kind = kind
        try:
            need(len(data) <= MAX_HALF, "half")
            self._read(data)
        except Refused:
            raise Refused("half") from None

    def _read(self, data):
        if self.kind in (NOTES, SEEN):
            self.origin, self.size, _, self.text, self.lines = checkpoint(data)
            self.said = sha256(self.text.encode())
            self.about, self.word = (self.origin, self.size), self.text
            self.words = f"the log {self.origin} has {self.size} entries and this root: {self.text.split()[-1]}"
        elif self.kind == PROOFS:
            note, index, leaf, proof = PROOF(decode(data, MAX_HALF))
            self.origin, self.size, root, self.text, self.lines = checkpoint(note)
            wlog.check_inclusion(leaf, index, self.size, proof, root)
            self.said = sha256(self.text.encode(), index.to_bytes(8, "big"), leaf)
            self.about, self.word = (self.origin, index), leaf
            self.words = f"entry {index} of its log of {self.size} entries has the hash {leaf.hex()}"
        elif self.kind == ENTRIES:
            self.entry = Entry(data)
            self.said = sha256(self.entry.node_message())
            self.word = self.entry.node_message()
            self.words = f"entry {self.entry.seq} of its ledger has the hash {self.entry.leaf.hex()}"
        else:
            self.decision = DECISION(decode(data, 256))
            self.said = sha256(decision_message(self.decision))
            self.about, self.word = self.decision[0][3], self.decision[0][4]
            self.words = f"{'yes' if self.word == 1 else 'no'} to the payment {self.about.hex()}"

    def excludes(self, other):
        if self.kind == ENTRIES:
            a, b = self.entry, other.entry
            need((a.ledger, a.boot) == (b.ledger, b.boot), "other-subject")
            stream = a.stream is not None and b.stream is not None and a.stream[:2] == b.stream[:2]
            need(a.seq == b.seq or stream, "other-subject")
        else:
            need(self.about == other.about, "other-subject")
            need(self.word != other.word, "same")

    def speaks_for(self, accused):
        if self.kind in (NOTES, PROOFS):
            base, rest = wlog.origin_of(accused), self.origin
            need(rest.startswith(base), "other-accused")
            rest = rest[len(base):]
            need(rest == "" or (rest[0] == "/" and is_number(rest[1:])), "other-accused")
        elif self.kind == ENTRIES:
            need(self.entry.ledger == accused, "other-accused")
        elif self.kind == DECISIONS:
            need(self.decision[0][1] == accused, "other-accused")

    def lines_by(self, name, kind, key):
        return [sig for who, ident, sig in self.lines if (who, ident) == (name, wlog.key_id(name, kind, key))]

    def cosigned_by(self, name, key):
        """Whether the key has cosigned under this name; a line of it that does not verify is no evidence."""
        lines = self.lines_by(name, 4, key)
        for sig in lines:
            time = int.from_bytes(sig[:8], "big")
            message = f"cosignature/v1\ntime {time}\n{self.text}".encode()
            need(len(sig) == 72 and time < 1 << 63 and verify(key, message, sig[8:]), "signature")
        return bool(lines)


def is_number(text):
    try:
        return wlog.strict_decimal(text) > 0
    except Refused:
        return False


class Identity:
    """Keys, where each was in force, and which are revoked: the rules of area 1 alone, all signatures checked."""

    def __init__(self, entries):
        self.state = State()
        try:
            for entry in entries:
                self._take(entry)
        except Refused:
            raise Refused("identity") from None
        self.keys, self.since, self.revoked = self.state.ident[4], self.state.ident[6], self.state.ident[7]

    def _take(self, entry):
        if self.state.ident is None:
            need(entry.kind == GENESIS and entry.body[5] == 0, "identity")
        else:
            need(entry.kind != GENESIS and entry.body[5] == self.state.signing_epoch(entry), "identity")
        authority = Authority(self.state, entry)
        getattr(self.state, f"_kind_{entry.kind:04x}")(entry, authority)
        node = (self.state.log_key(entry.body[5]), entry.node_message(), entry.node_sig)
        need(all(verify(*check) for check in [node, *authority.checks]), "identity")

    def in_force_at(self, epoch, seq):
        first = self.since[epoch - 1] if epoch else 0
        return first <= seq and (epoch >= len(self.since) or seq < self.since[epoch])

    def check(self, half):
        if half.kind == SEEN:
            self._seen(half)
        elif half.kind in (NOTES, PROOFS):
            self._head(half)
        else:
            epoch = half.entry.body[5] if half.kind == ENTRIES else half.decision[0][2]
            need(epoch < len(self.keys[LOG]), "signature")
            check_signed(half, self.keys[LOG][epoch])
            need((LOG, epoch) not in self.revoked, "key-not-in-force")
            need(half.kind != ENTRIES or self.in_force_at(epoch, half.entry.seq), "key-not-in-force")

    def _seen(self, half):
        names = {name for name, _, _ in half.lines}
        found = [epoch for epoch, key in enumerate(self.keys[WITNESS]) for name in names if half.cosigned_by(name, key)]
        need(found, "signature")
        need(any((WITNESS, epoch) not in self.revoked for epoch in found), "key-not-in-force")

    def _head(self, half):
        signed = False
        for epoch, key in enumerate(self.keys[LOG]):
            lines = half.lines_by(half.origin, 1, key)
            need(all(verify(key, half.text.encode(), sig) for sig in lines), "signature")
            if lines:
                signed = True
                last = half.size > 0 and self.in_force_at(epoch, half.size - 1)
                if (LOG, epoch) not in self.revoked and (last or self.in_force_at(epoch, half.size)):
                    return
        need(signed, "signature")
        raise Refused("key-not-in-force")


def check_signed(half, key):
    if half.kind == ENTRIES:
        need(half.entry.node_signed_by(key), "signature")
    else:
        need(verify(key, decision_message(half.decision), half.decision[1]), "signature")


class OneKey:
    """A verifier key and nothing else: when it was in force is not known."""

    def __init__(self, text, accused):
        try:
            self.name, ident, data = text.split("+", 2)
            data = base64.b64decode(data, validate=True)
        except ValueError:
            raise Refused("key") from None
        self.kind, self.key, self.accused = data[0], data[1:], accused
        need(len(self.key) == 32 and not key_fault(self.key) and self.kind in (1, 4), "key")
        need(wlog.key_id(self.name, self.kind, self.key).hex() == ident, "key")

    def check(self, half):
        if half.kind == SEEN:
            need(self.kind == 4 and half.cosigned_by(self.name, self.key), "signature")
            return
        wanted = half.origin if half.kind in (NOTES, PROOFS) else wlog.origin_of(self.accused)
        need(self.kind == 1 and self.name == wanted, "signature")
        if half.kind in (NOTES, PROOFS):
            lines = half.lines_by(half.origin, 1, self.key)
            need(lines and all(verify(self.key, half.text.encode(), sig) for sig in lines), "signature")
        else:
            check_signed(half, self.key)


def identity_entry(data, accused):
    try:
        entry = Entry(data)
    except Refused:
        raise Refused("identity") from None
    need(entry.kind in IDENTITY and entry.ledger == accused, "identity")
    return entry


def parse(data):
    """Type, accused, identity entries and both halves, without believing any."""
    try:
        value = EVIDENCE(decode(data, MAX_EVIDENCE))
        need(encode(value) == data, "encoding")
    except Refused:
        raise Refused("encoding") from None
    need(value[0] == 1, "version")
    kind, accused = value[1], value[2]
    entries = [identity_entry(entry, accused) for entry in value.get(3, [])]
    return kind, accused, entries, tuple(Half(kind, half) for half in value[4])


def id_of(kind, accused, halves):
    return tagged("WEFT-EVIDENCE/1", bytes([kind]), accused, *sorted(half.said for half in halves))


def prove(data, key=None):
    """Type, accused, id and both halves of proven evidence."""
    kind, accused, entries, (first, second) = parse(data)
    if key is None:
        need(entries, "no-key")
        keys = Identity(entries)
    else:
        keys = OneKey(key, accused)
    need(first.said != second.said, "same")
    need(first.said < second.said, "order")
    first.excludes(second)
    for half in (first, second):
        half.speaks_for(accused)
        keys.check(half)
    return kind, accused, id_of(kind, accused, (first, second)), (first, second)


def to_text(data, kind, accused, ident):
    lines = base64.b64encode(data).decode()
    lines = "".join(f"{lines[i:i + 76]}\n" for i in range(0, len(lines), 76))
    return f"weft-evidence/1\ntype {kind}\naccused {accused.hex()}\nid {ident.hex()}\n\n{lines}"


def unwrap(text):
    """The bytes in a file."""
    need(len(text) <= MAX_TEXT and text.startswith(b"weft-evidence/1\n"), "file")
    _, _, lines = text.partition(b"\n\n")
    try:
        return base64.b64decode(lines.replace(b"\n", b""), validate=True)
    except ValueError:
        raise Refused("file") from None


def from_text(text, key=None):
    """Reads and proves a file."""
    data = unwrap(text)
    kind, accused, ident, halves = prove(data, key)
    need(to_text(data, kind, accused, ident).encode() == text, "file")
    return kind, accused, ident, halves


WORDS = {NOTES: "has signed two different heads of its log at one size",
         PROOFS: "has signed two logs with different entries at one place",
         ENTRIES: "has signed two different entries at one place",
         DECISIONS: "has said both yes and no to one payment",
         SEEN: "has witnessed two different heads of one log at one size"}


def audit_evidence(folder, recorded, findings):
    """specs/audit.md §10: every file of a bundle's evidence is proven again, and each is one that an entry records. `recorded`
    is a set of (id, accused, type)."""
    here, proven = set(), set()
    for name in sorted(name for name in folder.sizes if name.startswith("evidence/")):
        text = folder.read(name, MAX_TEXT)
        if text is None:
            continue
        try:
            data = unwrap(text)
            kind, accused, _, halves = parse(data)
            ident = id_of(kind, accused, halves)
            need(to_text(data, kind, accused, ident).encode() == text, "file")
        except Refused as why:
            findings.add("error", f"it is no evidence: {why}", file=name)
            continue
        if name != f"evidence/{ident.hex()}.weft-evidence":
            findings.add("error", f"it is evidence {ident.hex()}, its name says otherwise", file=name)
        elif all(ident != known for known, _, _ in recorded):
            findings.add("error", "no entry records this evidence", file=name)
        else:
            here.add(ident)
            _convict(name, data, (ident, accused, kind), recorded, proven, findings)
    for ident, accused, kind in sorted(recorded):
        if ident not in here:
            what = f"evidence {ident.hex()} that {accused.hex()} {WORDS[kind]} is recorded and not here"
            findings.add("not checked", what)
    for accused in sorted({accused for _, accused, _ in recorded}):
        count = sum(of == accused for _, of, _ in recorded)
        words = "; it ".join(sorted({WORDS[kind] for _, of, kind in proven if of == accused}))
        what = f"the network with ledger {accused.hex()} is recorded as convicted, and nothing was proven here"
        if words:
            held = sum(of == accused for _, of, _ in proven)
            what = f"the network with ledger {accused.hex()} is convicted: it {words}; recorded: {count}, proven here: {held}"
        findings.add("warning", what)


def _convict(name, data, convicts, recorded, proven, findings):
    if convicts not in recorded:
        findings.add("error", "it convicts another network, or of another thing, than its entry says", file=name)
        return
    try:
        prove(data)
        proven.add(convicts)
    except Refused as why:
        if why.code == "no-key":
            findings.add("not checked", "it holds no identity entries of the accused", file=name)
        else:
            findings.add("error", f"it proves nothing: {why}", file=name)


def file(path, key=None):
    """Checks a file; gives the exit code."""
    try:
        text = path.read_bytes()
    except OSError as why:
        print(f"{path} cannot be read: {why}")
        return 3
    try:
        kind, accused, ident, halves = from_text(text, key)
    except Refused as why:
        print(f"{path} proves nothing: {why}")
        return 1
    print(f"{path} is proven, id {ident.hex()}.")
    print(f"  The network with ledger {accused.hex()} {WORDS[kind]}.")
    for half in halves:
        print(f"  It signed: {half.words}.")
    return 0


def evidence(run, v, refused_entry, ledgers):
    states = ledgers(run, v["recorded"]["ledgers"])
    for case in v["recorded"]["invalid"]:
        refused_entry(run, states[v["recorded"]["of"]], case)
    for case in v["valid"]:
        where, data = f"evidence: {case['about']}", bytes.fromhex(case["hex"])
        got = run.accepted(where, lambda: prove(data))
        if got is None:
            continue
        kind, accused, ident, _ = got
        run.same(f"{where}: what", (kind, accused.hex(), ident.hex()), (case["type"], v["accused"], case["id"]))
        run.same(f"{where}: text", to_text(data, kind, accused, ident), case["text"])
        run.accepted(f"{where}: file", lambda: from_text(case["text"].encode()))
        for bad in (case["text"] + "\n", case["text"].replace("id ", "id 0", 1), case["text"].rstrip("\n")):
            run.refused(f"{where}: changed file", None, lambda: from_text(bad.encode()))
    for case in v["invalid"]:
        run.refused(f"evidence: {case['about']}", case["why"], lambda: prove(bytes.fromhex(case["hex"])))
    for case in v["by_key"]:
        def act():
            return prove(bytes.fromhex(case["hex"]), case["key"])
        if "why" in case:
            run.refused(f"evidence: {case['about']}", case["why"], act)
        else:
            run.accepted(f"evidence: {case['about']}", act)
