"""Pieces that peers keep (specs/mirror.md): opened with the recovery secret, and the messages that carry them."""

from struct import pack

from wcbor import Refused, blob, decode, encode, list_of, reading, record, tuple_of, uint
from wseal import BASE, hpke_open, x25519

ENTRIES, MAX_ENTRY, PAD = 64, 4096, 1024
MAX_SEALED = 48 + -(-ENTRIES * (MAX_ENTRY + 2) // PAD) * PAD
U8, U32, U64 = uint(8), uint(32), uint(64)
PIECE = tuple_of(U64, U64, U32, U8, blob)
SHORT, LONG = 8 * 1024, 264 * 1024
MESSAGES = {
    "PutPiece": (LONG, 1, record(k0=U8, k1=PIECE)),
    "PiecePut": (SHORT, 2, record(k0=U8, k1=U8)),
    "ListPieces": (SHORT, 3, record(k0=U8, k1=U64)),
    "PiecesListed": (SHORT, 4, record(lists=(1,), k0=U8, k1=list_of(tuple_of(U64, U64, U64, U32, U8)))),
    "GetPiece": (SHORT, 5, record(k0=U8, k1=U64, k2=U64, k3=U32)),
    "PieceGot": (LONG, 6, record(optional=(1,), k0=U8, k1=PIECE)),
}


def read_message(kind, data):
    cap, number, fields = MESSAGES[kind]
    message = fields(decode(data, cap))
    if message[0] != number:
        raise Refused("structure")
    return message


def open_piece(data, secret, ledger):
    number, boot, key, count, sealed = PIECE(decode(data, MAX_SEALED + 64))
    if not 1 <= count <= ENTRIES or (number + 1) * ENTRIES >= 1 << 64:
        raise Refused("place")
    if not 48 + PAD <= len(sealed) <= MAX_SEALED or (len(sealed) - 48) % PAD:
        raise Refused("length")
    bound = ledger + pack(">QQIB", number, boot, key, count)
    plain = hpke_open(secret, sealed[:32], b"WEFT-MIRROR/1\n", bound, sealed[32:])
    entries = []
    for _ in range(count):
        length = int.from_bytes(plain[:2], "big")
        if not 1 <= length <= MAX_ENTRY or len(plain) < 2 + length:
            raise Refused("content")
        entries.append(plain[2:2 + length])
        plain = plain[2 + length:]
    if len(plain) >= PAD or any(plain):
        raise Refused("content")
    return entries


def mirror(run, v):
    secret, ledger = bytes.fromhex(v["secret"]), bytes.fromhex(v["ledger"])
    run.same("recovery key", x25519(secret, BASE).hex(), v["public"])
    for case in v["pieces"]:
        entries = run.accepted(case["about"], lambda: open_piece(bytes.fromhex(case["hex"]), secret, ledger))
        run.same(case["about"], [entry.hex() for entry in entries or ()], case["entries"])
    for case in v["invalid"]:
        data, other, owner = (bytes.fromhex(case[name]) for name in ("hex", "secret", "ledger"))
        run.refused(case["about"], case["why"], lambda: open_piece(data, other, owner))
    for case in v["messages"]:
        data = bytes.fromhex(case["hex"])
        message = run.accepted(case["about"], lambda: read_message(case["type"], data))
        run.same(case["about"], encode(message).hex() if message else None, case["hex"])
        run.same(case["about"], reading(message), case["reading"])
    for case in v["refused"]:
        data = bytes.fromhex(case["hex"])
        run.refused(case["about"], case["why"], lambda: read_message(case["type"], data))
