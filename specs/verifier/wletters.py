"""Letters for a peer that is away (specs/network.md §13): opened with the receiver's secret, and the messages around them."""

from struct import pack

from wcbor import Refused, blob, boolean, decode, encode, fixed, list_of, reading, record, tuple_of, uint
from wseal import BASE, hpke_open, x25519
from wwire import read_message as read_push

SIZES = (2048, 8192, 32768, 61440)
U8, U32, U64 = uint(8), uint(32), uint(64)
LEDGER = fixed(32)
LETTER = tuple_of(U32, blob)
SHORT, LONG, ANSWER = 1024, 64 * 1024, 256 * 1024
MESSAGES = {
    "PutLetter": (LONG, 1, record(k0=U8, k1=LEDGER, k2=LETTER)),
    "LetterPut": (SHORT, 2, record(k0=U8, k1=U8)),
    "GetLetters": (SHORT, 3, record(k0=U8, k1=U64)),
    "LettersGot": (ANSWER, 4, record(lists=(1,), k0=U8, k1=list_of(tuple_of(U64, LEDGER, LETTER)), k2=boolean)),
    "LettersTaken": (SHORT, 5, record(k0=U8, k1=U64)),
    "LettersGone": (SHORT, 6, record(k0=U8)),
}


def read_message(kind, data):
    cap, number, fields = MESSAGES[kind]
    message = fields(decode(data, cap))
    if message[0] != number:
        raise Refused("structure")
    return message


def open_letter(data, secret, sender, receiver):
    key, sealed = LETTER(decode(data, LONG))
    if len(sealed) - 48 not in SIZES:
        raise Refused("length")
    bound = sender + receiver + pack(">I", key)
    plain = hpke_open(secret, sealed[:32], b"WEFT-LETTER/1\n", bound, sealed[32:])
    length = int.from_bytes(plain[:4], "big")
    if len(plain) < 4 + length or any(plain[4 + length:]):
        raise Refused("open")
    push = plain[4:4 + length]
    read_push("Push", push)
    return push


def letters(run, v):
    secret, sender, receiver = (bytes.fromhex(v[name]) for name in ("secret", "from", "to"))
    run.same("seal key", x25519(secret, BASE).hex(), v["public"])
    for case in v["letters"]:
        data = bytes.fromhex(case["hex"])
        push = run.accepted(case["about"], lambda: open_letter(data, secret, sender, receiver))
        run.same(case["about"], push.hex() if push else None, case["push"])
    for case in v["invalid"]:
        data, other, by, to = (bytes.fromhex(case[name]) for name in ("hex", "secret", "from", "to"))
        run.refused(case["about"], case["why"], lambda: open_letter(data, other, by, to))
    for case in v["messages"]:
        data = bytes.fromhex(case["hex"])
        message = run.accepted(case["about"], lambda: read_message(case["type"], data))
        run.same(case["about"], encode(message).hex() if message else None, case["hex"])
        run.same(case["about"], reading(message), case["reading"])
    for case in v["refused"]:
        data = bytes.fromhex(case["hex"])
        run.refused(case["about"], case["why"], lambda: read_message(case["type"], data))
