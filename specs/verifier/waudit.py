"""An audit of one bundle (specs/audit.md): every file, every entry through every rule, tree, signatures, peers.

It never stops at the first problem. What is found has a class (§3.1); the exit code follows from the classes (§3.3).
"""

import os
import stat

from wbase import audit_base, is_based, recorded_in
from wbegun import take_over
from wcbor import Refused
from wclearing import own_account
from wentry import GENESIS, IDENTITY, RECOVERED, ZERO32, Entry, booked_unit
from wevidence import audit_evidence
from wkeys import key_fault, tagged, verify
from wledger import LOG, State
from wlog import (all_tiles, key_id, origin_of, parse_checkpoint, read_note, read_tile_path, root_of, sha256,
                  split_bundle_loosely, tile_path)
from wpeers import RESET, Cross, Networks, Side, booked, in_flight
from wwitness import COSIGNER, Policy, cosigned_at

WRONG = ("error", "equivocation", "mismatch", "orphan")
CLASSES = (*WRONG, "in flight", "disputed", "warning", "not checked")
KEPT = 1_000
MAX_NOTE, MAX_TILE, MAX_BUNDLE, MAX_DEPTH = 64 * 1024, 256 * 32, 256 * (65_535 + 2), 16
MAX_GAP = 1 << 20


class Findings:
    """Findings as they come: all counted, 1,000 of each class kept."""

    def __init__(self):
        self.kept, self.counts, self.essential = [], {}, 0

    def add(self, kind, what, at=(), file=None, essential=False):
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.essential += essential
        if self.counts[kind] <= KEPT:
            self.kept.append({"class": kind, "what": what, "at": list(at), "file": file})

    def unreadable(self, what, at=(), file=None):
        self.add("not checked", what, at, file, essential=True)

    def exit(self):
        if any(self.counts.get(kind) for kind in WRONG):
            return 1
        return 3 if self.essential else 0


def entry_ref(seq):
    return f"entry {seq}"


class Folder:
    """All files of a bundle, with a record of which were read."""

    def __init__(self, root, findings):
        self.root, self.findings, self.sizes, self.used = root, findings, {}, set()
        self._list(root, "", 0)

    def _list(self, path, name, depth):
        for item in sorted(os.scandir(path), key=lambda item: item.name):
            below = f"{name}/{item.name}" if name else item.name
            try:
                item.name.encode("utf-8")
            except UnicodeEncodeError:
                self.findings.add("error", "a file name is not UTF-8", file=name)
                continue
            status = item.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode) and depth < MAX_DEPTH:
                self._list(item.path, below, depth + 1)
            elif stat.S_ISREG(status.st_mode):
                self.sizes[below] = status.st_size
            else:
                self.findings.add("error", "it is a link or special file, or too deep", file=below)

    def read(self, name, cap=None):
        """The bytes of a listed file, or None after a finding."""
        self.used.add(name)
        if cap is not None and self.sizes[name] > cap:
            self.findings.add("error", f"it has {self.sizes[name]} bytes, at most {cap} are allowed", file=name)
            return None
        try:
            return (self.root / name).read_bytes()
        except OSError as why:
            self.findings.unreadable(f"it cannot be read: {why}", file=name)
            return None

    def tiles(self):
        """Paths of tiles by (level, index), each with its width."""
        out = {}
        for name in sorted(self.sizes):
            try:
                level, index, width = read_tile_path(name)
            except Refused:
                continue
            out.setdefault((level, index), []).append((width, name))
        return out

    def peers(self, last):
        """Ledger ids and files `peers/<id>/<last>`; a name in capitals is none."""
        for name in sorted(self.sizes):
            parts = name.split("/")
            if len(parts) == 3 and parts[0] == "peers" and parts[2] == last:
                if len(parts[1]) == 64 and all(c in "0123456789abcdef" for c in parts[1]):
                    yield bytes.fromhex(parts[1]), name


class Claimed:
    """A checkpoint, and what it says if it is to be believed."""

    def __init__(self, data, file, findings):
        self.data, self.file, self.says = data, file, None
        try:
            self.text, self.lines = read_note(data)
            self.says = parse_checkpoint(self.text)
        except Refused as why:
            findings.add("error", f"the checkpoint cannot be read: {why}", file=file)

    def vouched(self, origin, keys, findings):
        """Whether a log key that may sign at its size vouches for it."""
        ours = [(key, sig) for key in keys for name, ident, sig in self.lines
                if (name, ident) == (origin, key_id(origin, 1, key))]
        good = ours and all(verify(key, self.text.encode(), sig) for key, sig in ours) and self.says[0] == origin
        if not good:
            findings.add("error", "the checkpoint is not this ledger's", file=self.file)
        return bool(good)


def said_again(entry):
    """The step that comes back by an entry of a node set back (kinds.md 1.17), else the entry itself."""
    if entry.kind != RECOVERED:
        return entry
    try:
        lost = Entry(entry.payload[0])
    except Refused:
        return entry
    lost.seq = entry.seq
    return lost


class Audit:
    """One bundle, audited."""

    def __init__(self, folder, earlier=None, ledger=None, policy=None):
        self.findings = Findings()
        self.policy = Policy(policy.read_text(encoding="utf-8")) if policy else None
        self.state, self.sides, self.leaves = State(), {}, []
        self.networks = Networks(self.findings)
        self.signatures = []
        self.next, self.before, self.lost_at, self.missing = 0, ZERO32, None, 0
        self.heard, self.log_keys, self.no_genesis, self.entries, self.placed = {}, [], False, 0, True
        self.kinds, self.last_time, self.committed = {}, 0, set()
        self.folder = Folder(folder, self.findings)
        newest = None
        if "checkpoint" not in self.folder.sizes:
            self.findings.add("error", "there is no checkpoint")
        else:
            data = self.folder.read("checkpoint", MAX_NOTE)
            newest = Claimed(data, "checkpoint", self.findings) if data is not None else None
        old = Claimed(earlier.read_bytes(), str(earlier), self.findings) if earlier else None
        if is_based(self.folder):
            self.entries, self.rewriting_not_excluded = audit_base(self.folder, newest, self.findings), True
            return
        self._read()
        self._finish(newest, old, ledger)

    # Reading (§2, 3 to 6)

    def _read(self):
        tiles = self.folder.tiles()
        for peer, name in self.folder.peers("public"):
            self._peer(peer, name)
        for (level, index), paths in sorted(tiles.items(), key=lambda item: (str(item[0][0]), item[0][1])):
            if level == "entries":
                width, name = max(paths)
                data = self.folder.read(name, MAX_BUNDLE)
                if data is not None:
                    self._bundle(256 * index, width, data, name)
        for peer, name in self.folder.peers("channel"):
            public = name.replace("/channel", "/public")
            if public not in self.folder.sizes:
                self.findings.add("error", "it is missing, and nothing on the channel can be verified", file=public)
            self._peer(peer, name)

    def _peer(self, peer, name):
        data, at = self.folder.read(name), 0
        while data is not None and at < len(data):
            length = int.from_bytes(data[at:at + 2], "big")
            if at + 2 + length > len(data):
                self.findings.add("error", "the file ends inside an entry", file=name)
                return
            self.networks.receive(peer, data[at + 2:at + 2 + length], name, self.sign)
            at += 2 + length

    def _bundle(self, first, width, data, name):
        parts, problem = split_bundle_loosely(data, width)
        for place, part in enumerate(parts):
            self._own(first + place, part, name)
        if problem == "truncated":
            self.findings.add("error", "the file ends inside it, or before it", [entry_ref(first + len(parts))], name)
        elif problem:
            self.findings.add("error", f"bytes follow its {width} entries", file=name)

    def sign(self, key, message, sig, at, file, what):
        """A signature that must verify; they are judged at the end."""
        self.signatures.append((key, message, sig, at, file, what))

    def _error(self, seq, file, what):
        self.findings.add("error", what, [entry_ref(seq)], file)

    def _own(self, seq, data, file):
        if seq > self.next:
            self._error(self.next, file, f"it is missing, or all are up to entry {seq - 1}")
            self._lose(seq - 1)
            self.missing += seq - self.next
            self.placed = self.placed and seq - self.next <= MAX_GAP
            if self.placed:
                self.leaves += [ZERO32] * (seq - self.next)
        self.next = seq + 1
        self.entries += 1
        leaf = sha256(b"\0", data)
        if self.placed:
            self.leaves.append(leaf)
        try:
            entry = Entry(data)
        except Refused as why:
            if why.detail in ("unknown-kind", "version"):
                self.findings.unreadable(f"it cannot be checked: {why}", [entry_ref(seq)], file)
                self._lose(seq)
                self.before = leaf
                return
            # Where one length is wrong, everything after it in the file is unreadable: the first one counts.
            again = self.lost_at is not None and self.lost_at == seq - 1 and self.before is None
            self.findings.add("warning" if again else "error", f"it cannot be read: {why}", [entry_ref(seq)], file)
            self._lose(seq)
            return
        self._entry(seq, entry, file)
        self.before = leaf

    def _lose(self, seq):
        self.lost_at, self.before = seq, None

    def _entry(self, seq, entry, file):
        self._place(seq, entry, file)
        self.last_time = entry.time
        self.committed.update(entry.op.get(3, []))
        self.kinds[entry.kind] = self.kinds.get(entry.kind, 0) + 1
        if self.state.ident is None and entry.kind != GENESIS:
            if not self.no_genesis:
                self._error(seq, file, "no rule can be checked from here on: there is no genesis before it")
            self.no_genesis = True
            return
        held = self.state.claims_out(entry)
        accounts = {key: row[1] for key, row in self.state.t["channels"].items()}
        try:
            checks = self.state.rules(entry)
        except Refused as why:
            self._error(seq, file, f"it breaks a rule: {why}")
            self._pass_over(entry)
        else:
            for key, message, sig in checks:
                self.sign(key, message, sig, entry_ref(seq), file, "a signature of it")
            Side.book(self.sides, held, accounts, entry)
            self.networks.rounds.hear(self.networks.identities.get, entry)
            if any(self.state.sums().values()):
                self._error(seq, file, "the balances do not sum to zero after it")
            if entry.kind == GENESIS and 4 in entry.payload:
                old = entry.payload[4][0].hex()
                self.findings.add("warning", f"this ledger says that it takes the place of ledger {old}, and nothing of that one "
                                  "vouches for it", [entry_ref(seq)])
            if entry.kind in IDENTITY:
                self.networks.know_us(self.state)
                key = self.state.ident[4][1][-1]
                if not self.log_keys or self.log_keys[-1][1] != key:
                    self.log_keys.append((seq, key))
        step = said_again(entry)
        if step.is_step:
            self._say(seq, step, file)

    def _place(self, seq, entry, file):
        """§2.1: what an entry says of its place is reported once and then taken as it is."""
        head = self.state.head
        if entry.seq != seq:
            self._error(seq, file, f"the entry at this place says that it is entry {entry.seq}")
        if self.before is not None and self.before != entry.body[3]:
            self.findings.add("mismatch", "the one does not follow the other", [entry_ref(seq - 1), entry_ref(seq)], file)
        if entry.time < head[2]:
            self._error(seq, file, "its time is before that of an entry before it")
        if entry.boot < head[3]:
            self._error(seq, file, "its boot is before that of an entry before it")
        self.state.head = [entry.seq, entry.body[3], min(head[2], entry.time), min(head[3], entry.boot)]
        if entry.stream is None:
            return
        stream, sseq, sprev = entry.stream
        row, heard = self.state.t["streams"].get(stream, [0, ZERO32]), self.heard.get(stream)
        self.heard[stream] = seq
        if [sseq, sprev] == row:
            return
        # What was lost since the stream was last heard of may have been part of it.
        if self.lost_at is None or (heard is not None and heard > self.lost_at):
            self._error(seq, file, f"it is place {sseq} of its stream, or follows another entry; place {row[0]} is next")
        self.state.t["streams"][stream] = [sseq, sprev]

    def _pass_over(self, entry):
        if entry.stream is not None:
            self.state.t["streams"][entry.stream[0]] = [entry.stream[1] + 1, entry.leaf]
        self.state.head[:2] = [entry.seq + 1, entry.leaf]

    def _say(self, seq, entry, file):
        """Our words on a channel, and what is signed by others inside them."""
        us, channel = self.state.ident[0], entry.payload[0]
        row = self.state.t["channels"].get(channel)
        side = self.sides.setdefault(channel, Side(us, row[0] if row else ZERO32, channel, True))
        what = side.say(entry)
        if what is None and entry.payload[2] == RESET:
            what = take_over(self.sides, entry, self._balances)
        if what:
            self._error(seq, file, what)
        self.networks.embedded(entry, us, entry_ref(seq), file, self.sign)

    def _balances(self, channel):
        """The account of a channel's peer and what stands on it, by unit."""
        account = self.state.t["channels"].get(channel, [None, None])[1]
        return account, {unit: balance for (whose, unit), balance in self.state.t["balances"].items() if whose == account}

    # The end (§2, 5 to 10)

    def _finish(self, newest, old, ledger):
        us = self.state.ident[0] if self.state.ident else None
        self._compare_tiles()
        if old and us and self._is_of_lost_part(old, us):
            old = None
        if old:
            self._judge(old, "the earlier checkpoint", us)
        covered = self._judge(newest, "the checkpoint", us) if newest else None
        if covered is not None:
            if covered < len(self.leaves):
                what = f"{len(self.leaves) - covered} entries are not covered by the checkpoint"
                self.findings.add("error", what, [entry_ref(covered)], "checkpoint")
        self._openings()
        audit_evidence(self.folder, recorded_in(self.state.t["accused"]), self.findings)
        self._files(newest)
        if newest and newest.says and us:
            self._witnesses(newest, us)
        for number, row in sorted(self.state.t["successions"].items()):
            what = f"succession {number}: the root set has signed that {max(row[1] - row[0], 0)} entries from here on were lost"
            self.findings.add("warning", what, [entry_ref(row[0])])
        if us:
            self._revoked(newest if covered is not None else None, old, us)
        self.networks.finish(self.sign)
        for key, message, sig, at, file, what in self.signatures:
            if not verify(key, message, sig):
                self.findings.add("error", f"{what} does not verify", [at], file)
        if ledger and us and ledger != us:
            self.findings.add("error", f"this is ledger {us.hex()}, asked for was {ledger.hex()}")
        for unit, total in self.state.sums().items():
            if total:
                self.findings.add("error", f"the balances in unit {unit} sum to {total}, not to zero")
        for (account, unit), balance in self.state.t["balances"].items():
            if account == own_account("disputed") and balance:
                self.findings.add("disputed", f"{balance} of unit {unit} stand on the account for disputes")
        self.pinned = self._peers(us) if us else False
        if us:
            self.networks.rounds.check(self.networks.identities.get, us, self.sides, self.findings)
        self.rewriting_not_excluded = not old and not self.pinned and self.entries > 0
        if self.rewriting_not_excluded:
            self.findings.add("not checked", "WITHOUT AN EARLIER CHECKPOINT OR A PEER'S FOLDER a rewritten history "
                                             "cannot be excluded")
        if not self.entries:
            self.findings.unreadable("there are no entries")

    def _compare_tiles(self):
        hashes = self.leaves
        stored = self.folder.tiles()
        for level in range(8):
            for index in range(-(-len(hashes) // 256)):
                right = b"".join(hashes[256 * index:256 * index + 256])
                for width, name in stored.get((level, index), []):
                    data = self.folder.read(name, MAX_TILE)
                    if data is None:
                        continue
                    if len(right) < 32 * width or data != right[:32 * width]:
                        wrong = next((i for i in range(width) if data[32 * i:32 * i + 32] != right[32 * i:32 * i + 32]), 0)
                        at = [entry_ref(256 * index + wrong)] if level == 0 else []
                        self.findings.add("error", "the tile is not what the entries give", at, name)
            full = len(hashes) // 256
            hashes = [root_of(hashes[256 * i:256 * i + 256]) for i in range(full)]

    def _judge(self, claimed, name, us):
        """The size that a checkpoint vouches for, or None after a finding."""
        if claimed.says is None:
            return None
        _, size, root = claimed.says
        keys = self._signers(size)
        if us is None or not keys:
            self.findings.unreadable(f"{name} cannot be checked without the genesis", file=claimed.file)
            return None
        if not claimed.vouched(self._origin(us, size), keys, self.findings):
            return None
        if size > len(self.leaves):
            what = f"{name} covers {size} entries, only {len(self.leaves)} are here"
            self.findings.add("error", what, [entry_ref(len(self.leaves))], claimed.file)
            return None
        if self.missing:
            what = f"the root of {name} was not compared, because entries are missing"
            self.findings.add("not checked", what, file=claimed.file)
            return None
        if root_of(self.leaves[:size]) != root:
            what = f"{name} of {size} entries has another root than these entries: their history was changed"
            self.findings.add("mismatch", what, file=claimed.file)
            return None
        return size

    def _origin(self, us, size):
        """The name of the log in a checkpoint of this size (log.md 3.4)."""
        before = [number for number, row in sorted(self.state.t["successions"].items()) if row[0] < size]
        return origin_of(us) + "".join(f"/{number}" for number in before[-1:])

    def _signers(self, size):
        """Log keys in force for the last entry of a size, or bound by it (keys.md 2.3)."""
        keys = [key for since, key in self.log_keys if since < size][-1:] or [key for _, key in self.log_keys[:1]]
        keys += [key for since, key in self.log_keys if since < size - 1][-1:]
        return list(dict.fromkeys(keys))

    def _is_of_lost_part(self, claimed, us):
        """An earlier checkpoint over entries that a succession has given up cannot be compared any more."""
        if claimed.says is None:
            return False
        origin, size, _ = claimed.says
        for _, row in sorted(self.state.t["successions"].items()):
            base, old_size = row[0], row[1]
            if origin != self._origin(us, base) or size <= base:
                continue
            what = f"the earlier checkpoint covers {size - base} entries that a succession has lost: they cannot be compared"
            self.findings.add("warning" if size <= old_size else "mismatch", what, [entry_ref(base)], claimed.file)
            return True
        return False

    def _revoked(self, newest, old, us):
        """Keys.md 3.2: what the revocation of a log key stands by is this history, and all that a witness has cosigned."""
        for (purpose, epoch), (at, (size, root)) in sorted(self.state.ident[7].items()):
            if purpose != LOG:
                continue
            if newest and newest.says[1] > at and root_of(self.leaves[:size]) != root:
                what = f"the revocation of log key {epoch} stands by {size} entries that are not those here"
                self.findings.add("mismatch", what, file=newest.file)
            key = self.state.ident[4][LOG][epoch]
            for claimed in filter(None, (old, newest)):
                if claimed.says and claimed.says[1] > size and self._cosigned(claimed, us, key):
                    what = f"the revocation of log key {epoch} stands by {size} entries only, a witness has cosigned more"
                    self.findings.add("error", what, file=claimed.file)

    def _cosigned(self, claimed, us, key):
        """Whether this log key has signed a checkpoint, and a witness has cosigned it."""
        note = claimed.data.decode("utf-8")
        witnesses = list(self.policy.witnesses.values()) if self.policy else self._peers_witnesses(us)
        return _is_signed(claimed, (claimed.says[0], 1, key)) and any(_is_cosigned(note, one) for one in witnesses)

    def _peers_witnesses(self, us):
        return [(f"{origin_of(ledger)}/witness", COSIGNER, key) for ledger, known in self.networks.identities.items()
                if ledger != us for key in known.state.ident[4].get(2, []) if not key_fault(key)]

    def _witnesses(self, newest, us):
        """§2, 7: the lines of the checkpoint that are not its log's."""
        def error(what):
            self.findings.add("error", what, file=newest.file)

        origin, note = self._origin(us, newest.says[1]), newest.data.decode("utf-8")
        peers = self._peers_witnesses(us)
        listed = list(self.policy.witnesses.values()) if self.policy else []
        names = {vkey[0] for vkey in peers} | {origin}
        known = {(name, key_id(name, kind, key)): (name, kind, key) for name, kind, key in peers + listed}
        logs = {(origin, key_id(origin, 1, key)) for key in self._signers(newest.says[1])}
        logs |= {(name, key_id(name, 1, key)) for name, _, key in self.policy.logs} if self.policy else set()
        for name, ident in dict.fromkeys((name, ident) for name, ident, _ in newest.lines):
            if (name, ident) in known:
                try:
                    cosigned_at(note, known[name, ident])
                except Refused:
                    error(f"the cosignature by {name} does not verify")
            elif (name, ident) not in logs and name in names:
                error(f"a signature line of {name} is by a key that it never had")
            elif (name, ident) not in logs:
                what = f"the checkpoint carries a signature line of {name}, which is not known here"
                self.findings.add("not checked", what, file=newest.file)
        if self.policy:
            if self.policy.logs and not any(_is_signed(newest, log) for log in self.policy.logs):
                error("no log of the policy has signed the checkpoint")
            if not self.policy.judge(note)[0]:
                error("the checkpoint has too few cosignatures for the policy")

    def _openings(self):
        """§8: texts that were opened must be what an entry commits to."""
        for name in sorted(name for name in self.folder.sizes if name.startswith("openings/")):
            data = self.folder.read(name, 32 + 64 * 1024)
            if data is None:
                continue
            named = tagged("WEFT-SIDECAR/1", data[:32], data[32:])
            if len(data) < 32 or name != f"openings/{named.hex()}" or named not in self.committed:
                self.findings.add("error", "it is not a text that an entry commits to", file=name)

    def _files(self, newest):
        stale = set()
        if newest and newest.says:
            wanted = {tile_path(*tile) for tile in all_tiles(newest.says[1])} if newest.says[1] < 1 << 24 else set()
            for name in sorted(wanted - set(self.folder.sizes)):
                self.findings.add("error", "it is missing", file=name)
            stale = {name for paths in self.folder.tiles().values() for _, name in paths} - wanted
            for name in sorted(stale):
                self.findings.add("error", "a log of this size has no such tile: it is stale", file=name)
        for name in sorted(set(self.folder.sizes) - self.folder.used - stale):
            self.findings.add("error", "nothing refers to this file", file=name)

    def _peers(self, us):
        """§2, 9. Gives whether a peer's signed words fix any entry of ours."""
        pinned = False
        for channel, row in sorted(self.state.t["channels"].items()):
            ours = self.sides.get(channel)
            if ours is None:
                continue
            self._balance(ours, row)
            theirs = self.networks.sides.pop(channel, None)
            if theirs is None or theirs.ledger != row[0]:
                what = f"what {row[0].hex()[:8]} has said, as its folder is not here"
                self.findings.add("not checked", what)
                continue
            Cross(self.findings, us, self.state.head[2], False, ours, theirs).check()
            pinned = pinned or any(0 < ack[1] <= len(ours.lines) and ours.lines[ack[1] - 1][0] == ack[2]
                                   for ack in theirs.acks)
        for side in self.networks.sides.values():
            former = self.state.is_former(side.ledger, side.channel)
            if former or self.state.next_channel(side.ledger) == side.channel:
                what = (f"streams of the channel with {side.ledger.hex()[:8]} that a reset has ended, or that begin with none: they "
                        "are not held against each other")
                self.findings.add("not checked", what)
                continue
            what = f"entries of {side.ledger.hex()[:8]} on channel {side.channel.hex()} are here, and no accord with it"
            self.findings.add("orphan", what)
        return pinned

    def _balance(self, ours, row):
        moved = booked(ours)
        for (account, unit), balance in self.state.t["balances"].items():
            if account == row[1] and balance != moved.get(unit, 0):
                what = (f"the account of {row[0].hex()[:8]} stands at {balance} of unit {unit}, its claims moved "
                        f"{moved.get(unit, 0)}")
                self.findings.add("mismatch", what)

    def report(self):
        ident = self.state.ident
        return {"ledger": ident[0].hex() if ident else None, "entries": self.entries, "exit": self.findings.exit(),
                "classes": {kind: self.findings.counts[kind] for kind in CLASSES if self.findings.counts.get(kind)},
                "essential": self.findings.essential, "rewriting_not_excluded": self.rewriting_not_excluded,
                "digest": self.state.digest().hex(), "findings": self.findings.kept}


def _is_cosigned(note, vkey):
    try:
        return bool(cosigned_at(note, vkey))
    except Refused:
        return False


def _is_signed(claimed, log):
    name, _, key = log
    sigs = [sig for line, ident, sig in claimed.lines if (line, ident) == (name, key_id(name, 1, key))]
    return bool(sigs) and all(verify(key, claimed.text.encode(), sig) for sig in sigs)


def compare(a, b):
    """Step 9 with both sides' own books (§2.2)."""
    findings, positions = Findings(), []
    us, them = (audit.state.ident[0] if audit.state.ident else None for audit in (a, b))
    common = [key for key, side in a.sides.items()
              if None not in (us, them) and side.peer == them and key in b.sides and b.sides[key].peer == us]
    channel = next((key for key in common if all(key in audit.state.t["channels"] for audit in (a, b))), None)
    if us is None or them is None:
        findings.unreadable("one of the ledgers has no readable genesis")
    elif not common:
        findings.unreadable("the two ledgers have no channel with each other")
    elif channel is None:
        findings.add("in flight", "one of the ledgers has begun the channel anew, the other not yet: they are not compared")
    else:
        one, other = a.sides[channel], b.sides[channel]
        now = max(a.state.head[2], b.state.head[2])
        Cross(findings, None, now, True, one, other).check()
        positions = _positions(findings, a, b, one, other)
    codes = [a.findings.exit(), b.findings.exit(), findings.exit()]
    return {"exit": 1 if 1 in codes else max(codes), "sides": [a.report(), b.report()], "positions": positions,
            "entries": a.entries + b.entries, "classes": findings.counts, "findings": findings.kept}


def _positions(findings, a, b, one, other):
    if one.accord is None:
        return []
    moving, out = in_flight(one, other), []

    def balance(audit, side, unit):
        row = audit.state.t["channels"].get(side.channel)
        return audit.state.t["balances"].get((row[1], unit), 0) if row else 0

    we_are_a = one.accord[3] == one.ledger
    for pair, terms in enumerate(one.accord[5]):
        side = 0 if we_are_a else 1
        at_a = balance(a, one, booked_unit(terms, side))
        at_b = balance(b, other, booked_unit(terms, 1 - side))
        if terms[2] != terms[3] and len(terms) < 8:
            findings.add("not checked", f"no claims go through unit pair {pair}")
        elif at_a + at_b != moving.get(pair, 0):
            findings.add("mismatch", f"the positions {at_a} and {at_b} are not opposite; in flight is {moving.get(pair, 0)}")
        out.append({"pair": pair, "a": at_a, "b": at_b, "in_flight": moving.get(pair, 0)})
    return out
