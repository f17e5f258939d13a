"""An audit bundle of one ledger: checkpoint, hash tiles and entry bundles of one tree (specs/log.md §4, §5).

Structure only: places, chain, streams, tiles, root, the node's signatures, the checkpoint's. The rules of each kind are
replayed too where the bundle begins with the genesis, which it does in this version.
"""

from wcbor import Refused
from wentry import Entry
from wledger import State
from wlog import all_tiles, open_checkpoint, origin_of, read_note, root_of, split_bundle, strict_decimal, tile_path


def check(run, folder):
    def read(path):
        file = folder / path
        if not file.is_file():
            raise Refused("missing", path)
        return file.read_bytes()

    # The size is only a claim until the signature was checked, which needs the genesis.
    note = run.accepted("checkpoint", lambda: read("checkpoint"))
    if note is None:
        return
    size = run.accepted("checkpoint", lambda: strict_decimal(read_note(note)[0].split("\n")[1]))
    if not size:
        run.true("the ledger has entries", False)
        return
    entries = run.accepted("entry bundles", lambda: read_entries(read, size))
    if entries is None:
        return
    state, leaves = State(), []
    for i, data in enumerate(entries):
        try:
            entry = Entry(data)
            state.apply_or_stop(entry)
        except Refused as refused:
            run.same(f"entry {i}", f"refused: {refused}", "accepted")
            return
        leaves.append(entry.leaf)
    run.true(f"{size} entries: places, chain, streams, rules, signatures", True)
    origin, key = origin_of(state.ident[0]), state.log_key(len(state.ident[4][1]) - 1)
    opened = run.accepted("checkpoint signature", lambda: open_checkpoint(note, origin, key))
    if opened is not None:
        run.same("size", opened[0], size)
        run.same("root", opened[1].hex(), root_of(leaves).hex())
        if opened[2]:
            print(f"note: {opened[2]} signature lines of other keys")
    check_tiles(run, read, size, leaves)


def read_entries(read, size):
    out = []
    for level, index, width in all_tiles(size):
        if level == "entries":
            out += split_bundle(read(tile_path(level, index, width)), width)
    return out


def check_tiles(run, read, size, leaves):
    level_hashes = leaves
    for level in range(8):
        if not level_hashes:
            break
        for index in range(-(-len(level_hashes) // 256)):
            part = level_hashes[256 * index:256 * index + 256]
            path = tile_path(level, index, len(part))
            run.same(path, run.accepted(path, lambda: read(path)), b"".join(part))
        full = len(level_hashes) // 256
        level_hashes = [root_of(level_hashes[256 * i:256 * i + 256]) for i in range(full)]
