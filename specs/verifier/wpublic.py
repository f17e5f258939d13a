"""Vectors of others (tests/vectors): Ed25519 against specs/signatures.md, proofs of specs/log.md §2, CBOR of specs/encoding.md §1."""

import base64
import json
from pathlib import Path

from wcbor import Refused, decode
from wkeys import verify
from wlog import check_consistency, check_inclusion

SPECS = Path(__file__).resolve().parent.parent
FOLDER = SPECS.parent / "tests" / "vectors"


def table():
    """Vectors and accepts by flags, as the table of specs/signatures.md has them."""
    rows = {}
    for line in (SPECS / "signatures.md").read_text(encoding="utf-8").split("\n"):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[1].isdigit():
            rows[cells[0].strip("`–")] = (int(cells[1]), int(cells[2]))
    return rows


def signatures(run):
    file = json.loads((FOLDER / "wycheproof" / "ed25519_test.json").read_text(encoding="utf-8"))
    for group in file["testGroups"]:
        key = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            got = verify(key, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
            run.same(f"Wycheproof {case['tcId']}", got, case["result"] == "valid")
    found = {}
    for case in json.loads((FOLDER / "cctv" / "ed25519vectors.json").read_text(encoding="utf-8")):
        got = verify(bytes.fromhex(case["key"]), case["msg"].encode(), bytes.fromhex(case["sig"]))
        flags = " ".join(case["flags"] or [])
        count, accepted = found.get(flags, (0, 0))
        found[flags] = (count + 1, accepted + got)
    wanted = table()
    for flags in sorted(found | wanted):
        run.same(f"CCTV {flags!r}", found.get(flags), wanted.get(flags))


def proofs(run):
    def read(text):
        data = base64.b64decode(text)
        if len(data) != 32:
            raise Refused("length")
        return data

    def inclusion(case):
        check_inclusion(read(case["leafHash"]), case["leafIdx"], case["treeSize"], list(map(read, case["proof"])),
                        read(case["root"]))

    def consistency(case):
        check_consistency(case["size1"], case["size2"], list(map(read, case["proof"])), read(case["root1"]),
                          read(case["root2"]))

    for name, check in (("inclusion", inclusion), ("consistency", consistency)):
        for case in json.loads((FOLDER / "merkle" / f"{name}.json").read_text(encoding="utf-8")):
            empty = 0 in (case.get("treeSize"), case.get("size1"), case.get("size2"))
            no_hash = any(len(base64.b64decode(case[k])) != 32 for k in ("root", "root1", "root2") if k in case)
            # We refuse what says nothing: an empty tree, a root that is no hash.
            if case["wantErr"] or empty or no_hash:
                run.refused(case["file"], None, lambda: check(case))
            else:
                run.accepted(case["file"], lambda: check(case))


def cbor(run):
    for case in json.loads((FOLDER / "rfc8949" / "appendix-a.json").read_text(encoding="utf-8")):
        data = bytes.fromhex(case["hex"])
        if case["ours"] == "accept":
            run.accepted(case["hex"], lambda: decode(data))
        else:
            run.refused(case["hex"], case["ours"], lambda: decode(data))


def public(run):
    for check in (signatures, proofs, cbor):
        check(run)
