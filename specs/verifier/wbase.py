"""A bundle whose old entries were left out before a forward (specs/audit.md §9), as far as it can be judged without a state.

This program replays from the genesis only. Of such a bundle it checks the whole tree, every entry against it, how the
entries from the forward on follow each other, and that the books beside it are those that the forward signs. That the
rules were kept it does not see, and says so.
"""

from wcbor import Refused
from wentry import Entry
from wevidence import audit_evidence
from wkeys import tagged
from wlog import all_tiles, leaf_hash, root_of, tile_path

EVIDENCE, FORWARD, ACCUSED = 0x0e01, 0x1001, 16
STATE, ENTRIES = "base/state", "base/entries"


def is_based(folder):
    return STATE in folder.sizes


def audit_base(folder, newest, findings):
    """Every file that such a bundle may have, and everything but the rules."""
    def error(what, file):
        findings.add("error", what, file=file)

    state = folder.read(STATE)
    if newest is None or newest.says is None or state is None:
        findings.unreadable("without a checkpoint and the books before the forward nothing can be said")
        return 0
    _, size, root = newest.says
    entries = _kept(folder, error)
    first = min((index for level, index in folder.tiles() if level == "entries"), default=size)
    leaves = _leaves(folder, size, error)
    if leaves is not None and root_of(leaves) != root:
        findings.add("mismatch", "the hash tiles have another root than the checkpoint", file="checkpoint")
    for level, index, width in all_tiles(size):
        name = tile_path(level, index, width)
        if level == "entries":
            if index >= first and name in folder.sizes:
                _file(folder, name, 256 * index, width, entries, error)
            elif index >= first:
                error("it is missing", name)
    _chain(entries, size, leaves, tagged("WEFT-STATE/1", state), findings)
    audit_evidence(folder, _recorded(state, entries, error), findings)
    for name in folder.sizes:
        if name.startswith(("peers/", "openings/")):
            folder.used.add(name)
        elif name not in folder.used:
            error("nothing refers to this file", name)
    findings.unreadable("entries before a forward were left out, and this program replays from the genesis only: "
                        "whether rules, balances and signatures are right was not checked")
    return size


def recorded_in(accused):
    """(id, accused, type) of all evidence in a state's table."""
    return {(ident, ledger, kind) for ledger, (evidence, _) in accused.items() for ident, kind in evidence}


def _recorded(state, entries, error):
    """What the books before the forward and the entries that are here say of evidence."""
    try:
        tables, end = _item(state, 0)
        out = recorded_in(dict(dict(tables).get(ACCUSED, [])))
        if end != len(state):
            raise ValueError
    except (IndexError, TypeError, ValueError, RecursionError):
        error("it is no state", STATE)
        out = set()
    for data in entries.values():
        try:
            entry = Entry(data)
        except Refused:
            continue
        if entry.kind == EVIDENCE:
            out.add(tuple(entry.payload[field] for field in range(3)))
    return out


def _item(data, at):
    """The item of a state that begins at a place, and where it ends; a map, whose keys may be anything, as pairs."""
    major, n, at = data[at] >> 5, data[at] & 31, at + 1
    if major == 7:
        return n == 21, at
    if n > 27:
        raise ValueError
    if n > 23:
        width = 1 << (n - 24)
        n, at = int.from_bytes(data[at:at + width], "big"), at + width
    if major < 2:
        return (-1 - n if major else n), at
    if at + n > len(data):
        raise ValueError
    if major < 4:
        return data[at:at + n], at + n
    out = []
    for _ in range(n):
        key, at = _item(data, at)
        if major == 5:
            value, at = _item(data, at)
            key = (_hashable(key), value)
        out.append(key)
    return out, at


def _hashable(key):
    return tuple(_hashable(part) for part in key) if isinstance(key, list) else key


def _kept(folder, error):
    """Entries by place; places ascend."""
    out, at, last = {}, 0, -1
    data = folder.read(ENTRIES) if ENTRIES in folder.sizes else None
    if data is None:
        error("it is missing", ENTRIES)
        return out
    while at < len(data):
        seq, length = int.from_bytes(data[at:at + 8], "big"), int.from_bytes(data[at + 8:at + 10], "big")
        if at + 10 + length > len(data):
            error("the file ends inside an entry", ENTRIES)
            break
        if seq <= last:
            error(f"entry {seq} does not come after the one before it", ENTRIES)
        out[seq], last, at = data[at + 10:at + 10 + length], seq, at + 10 + length
    return out


def _leaves(folder, size, error):
    """Leaf hashes, after every tile was held against the one below it."""
    rows, bad = {}, False
    for level, index, width in all_tiles(size):
        if level == "entries":
            continue
        name = tile_path(level, index, width)
        data = folder.read(name, 256 * 32) if name in folder.sizes else None
        if data is None or len(data) != 32 * width:
            error("it is missing, or has another length", name)
            bad = True
            continue
        hashes = [data[at:at + 32] for at in range(0, len(data), 32)]
        rows.setdefault(level, []).extend(hashes)
        if level and not bad:
            below = rows[level - 1][65_536 * index:65_536 * index + 256 * width]
            if [root_of(below[at:at + 256]) for at in range(0, len(below), 256)] != hashes:
                error("it is not what the tiles below it give", name)
    return None if bad else rows.get(0, [])


def _file(folder, name, first, width, entries, error):
    data, at = folder.read(name), 0
    for place in range(width):
        length = int.from_bytes(data[at:at + 2], "big")
        if at + 2 + length > len(data):
            error("the file ends inside an entry, or before it", name)
            return
        entries[first + place], at = data[at + 2:at + 2 + length], at + 2 + length
    if at != len(data):
        error(f"bytes follow its {width} entries", name)


def _chain(entries, size, leaves, digest, findings):
    """Each entry is the one of the tree; from the forward on all are there and follow each other."""
    forward = size
    while forward - 1 in entries:
        forward -= 1
    before, signed = None, None
    for seq in sorted(entries):
        at, data = [f"entry {seq}"], entries[seq]
        if leaves is not None and (seq >= size or leaf_hash(data) != leaves[seq]):
            findings.add("mismatch", "it is not the entry that the hash tiles name here", at)
        try:
            entry = Entry(data)
        except Refused as why:
            findings.add("error", f"it cannot be read: {why}", at)
            before = None
            continue
        if entry.seq != seq:
            findings.add("error", "it says another place", at)
        if seq > forward and before is not None and entry.body[3] != before:
            findings.add("mismatch", "it does not follow the one before it", at)
        before = entry.leaf
        if entry.kind == FORWARD and entry.payload[0] == digest:
            signed = seq
    if signed is None or signed < forward:
        findings.add("mismatch", "no forward here signs these books", file=STATE)
