"""Tree, proofs, notes, checkpoints, tiles, bundles, receipts (specs/log.md)."""

import base64
import binascii

from wcbor import Refused
from wkeys import sha256, verify


def leaf_hash(entry):
    return sha256(b"\0", entry)


def node_hash(left, right):
    return sha256(b"\1", left, right)


def _split(n):
    return 1 << (n - 1).bit_length() - 1


def root_of(leaves):
    """MTH of RFC 6962, over leaf hashes."""
    if not leaves:
        return sha256()
    level = list(leaves)
    while len(level) > 1:
        pairs = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) & ~1:]
    return level[0]


def check_inclusion(leaf, index, size, proof, root):
    if size == 0:
        raise Refused("empty")
    if index >= size:
        raise Refused("index")
    sides, low, high = [], 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            sides.append("right")
            high = middle
        else:
            sides.append("left")
            low = middle
    if len(proof) != len(sides):
        raise Refused("length")
    for side, sibling in zip(reversed(sides), proof):
        leaf = node_hash(leaf, sibling) if side == "right" else node_hash(sibling, leaf)
    if leaf != root:
        raise Refused("root")


def check_consistency(old, new, proof, old_root, new_root):
    if old == 0:
        raise Refused("empty")
    if old > new:
        raise Refused("shrunk")
    sides, low, high = [], 0, new
    while high != old:
        middle = low + _split(high - low)
        if old <= middle:
            sides.append("right")
            high = middle
        else:
            sides.append("left")
            low = middle
    rest = list(proof)
    if len(rest) != len(sides) + (1 if low else 0):
        raise Refused("length")
    # What is left is the last complete subtree of the old tree; when it is all of it, its root is known.
    seed = rest.pop(0) if low else old_root
    was = now = seed
    for side, sibling in zip(reversed(sides), rest):
        if side == "left":
            was, now = node_hash(sibling, was), node_hash(sibling, now)
        else:
            now = node_hash(now, sibling)
    if was != old_root:
        raise Refused("old root")
    if now != new_root:
        raise Refused("root")


def strict_base64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("refused", "base64") from None
    if base64.b64encode(data).decode() != text:
        raise Refused("refused", "base64")
    return data


def strict_decimal(text):
    if not text.isascii() or not text.isdigit() or str(int(text)) != text or int(text) >= 1 << 64:
        raise Refused("refused", "number")
    return int(text)


def _is_name(name):
    return name != "" and "+" not in name and not any(c.isspace() or c < " " for c in name)


def origin_of(ledger):
    return "weft/" + base64.b32encode(ledger).decode().lower()[:26]


def key_id(name, kind, key):
    return sha256(name.encode(), b"\n", bytes([kind]), key)[:4]


def verifier_key(name, key):
    return f"{name}+{key_id(name, 1, key).hex()}+{base64.b64encode(bytes([1]) + key).decode()}"


def read_note(data):
    """The text and the signature lines (name, key id, signature)."""
    def need(ok, what):
        if not ok:
            raise Refused("refused", what)

    need(len(data) <= 64 * 1024, "too long")
    try:
        note = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("refused", "not UTF-8") from None
    need(not any(c < " " and c != "\n" for c in note), "control character")
    text, blank, lines = note.rpartition("\n\n")
    need(blank and lines, "no signature lines")
    need(lines.endswith("\n"), "last line not ended")
    out = []
    for line in lines[:-1].split("\n"):
        need(line.startswith("\u2014 "), "no em dash")
        name, space, payload = line[2:].partition(" ")
        need(space and _is_name(name), "name")
        payload = strict_base64(payload)
        need(len(payload) >= 5, "signature too short")
        out.append((name, payload[:4], payload[4:]))
    need(len(out) <= 16, "too many lines")
    return text + "\n", out


def parse_checkpoint(text):
    """Origin, size and root that the text of a note states."""
    parts = text[:-1].split("\n")
    if len(parts) != 3 or not _is_name(parts[0]):
        raise Refused("refused", "not three lines")
    size, root = strict_decimal(parts[1]), strict_base64(parts[2])
    if len(root) != 32 or (size == 0 and root != sha256()):
        raise Refused("refused", "root")
    return parts[0], size, root


def open_checkpoint(data, origin, key):
    """Size and root of the checkpoint that `key` signed as the log `origin`; also the lines of others."""
    text, lines = read_note(data)
    ours = [sig for name, ident, sig in lines if (name, ident) == (origin, key_id(origin, 1, key))]
    others = len(lines) - len(ours)
    if not ours or not all(verify(key, text.encode(), sig) for sig in ours):
        raise Refused("refused", "not signed by the log")
    named, size, root = parse_checkpoint(text)
    if named != origin:
        raise Refused("refused", "another origin")
    return size, root, others


def tile_path(level, index, width):
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i:i + 3] for i in range(0, len(digits), 3)]
    path = f"tile/{level}/" + "".join(f"x{group}/" for group in groups[:-1]) + groups[-1]
    return path if width == 256 else f"{path}.p/{width}"


def read_tile_path(path):
    """Level (or "entries"), index and width of a canonical path."""
    def need(ok):
        if not ok:
            raise Refused("refused", "path")

    parts = path.split("/")
    need(len(parts) >= 3 and parts[0] == "tile")
    level = parts[1] if parts[1] == "entries" else strict_decimal(parts[1])
    need(level == "entries" or level <= 7)
    rest, dot, width = "/".join(parts[2:]).partition(".p/")
    width = strict_decimal(width) if dot else 256
    need(1 <= width <= 256)
    digits = "".join(group.removeprefix("x") for group in rest.split("/"))
    need(digits.isascii() and digits.isdigit())
    need(tile_path(level, int(digits), width) == path)
    return level, int(digits), width


def all_tiles(size):
    """Every tile of a tree of this size: (level, index, width), hash tiles first."""
    for level in range(8):
        yield from _row(level, size >> (8 * level))
    yield from _row("entries", size)


def _row(level, count):
    for index in range(count >> 8):
        yield level, index, 256
    if count & 255:
        yield level, count >> 8, count & 255


def split_bundle_loosely(data, count):
    """The entries that can be told apart, and what is wrong with the rest."""
    out, at = [], 0
    for _ in range(count):
        length = int.from_bytes(data[at:at + 2], "big")
        if at + 2 + length > len(data):
            return out, "truncated"
        out.append(data[at + 2:at + 2 + length])
        at += 2 + length
    return out, None if at == len(data) else "trailing"


def split_bundle(data, count):
    out, problem = split_bundle_loosely(data, count)
    if problem:
        raise Refused(problem)
    return out


def check_receipt(text, leaf, origin, key):
    head, blank, note = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or lines.pop(0) != "c2sp.org/tlog-proof@v1":
        raise Refused("refused", "header")
    if lines and lines[0].startswith("extra "):
        if not strict_base64(lines.pop(0)[6:]):
            raise Refused("refused", "extra")
    if not lines or not lines[0].startswith("index "):
        raise Refused("refused", "index")
    index = strict_decimal(lines.pop(0)[6:])
    size, root, _ = open_checkpoint(note.encode(), origin, key)
    check_inclusion(leaf, index, size, [strict_base64(line) for line in lines], root)
    return index, size
