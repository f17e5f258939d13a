"""Messages between nodes, descriptors, invitations, check words (specs/network.md) and sidecars (specs/clearing.md §10)."""

import base64
from pathlib import Path

from wcbor import Refused, blob, boolean, decode, encode, fixed, list_of, reading, record, text, tuple_of, uint
from wentry import DECISION, ROOT_SIGS
from wkeys import tagged, verify

KIB = 1024
H, U8, U16, U32, U64 = fixed(32), uint(8), uint(16), uint(32), uint(64)
RESUME = tuple_of(U64, H, U64, H)
SIGNED_INTENT = tuple_of(blob, fixed(64))
PROOFS = list_of(tuple_of(U8, list_of(H)))
BLOBS = list_of(blob)

# Type of a message: cap, numbers, fields (§3 to §7).
MESSAGES = {
    "Hello": (8 * KIB, {1, 2}, record(optional=(4,), k0=U8, k1=list_of(U16), k2=H, k3=blob, k4=RESUME)),
    "Push": (256 * KIB, {1}, record(lists=(3, 4), k0=U8, k1=fixed(16), k2=BLOBS, k3=BLOBS, k4=PROOFS)),
    "Pushed": (8 * KIB, {2}, record(optional=(2,), k0=U8, k1=U64, k2=text)),
    "EvidenceShown": (64 * KIB, {3}, record(k0=U8, k1=blob)),
    "EvidenceTaken": (8 * KIB, {4}, record(k0=U8, k1=H, k2=U8)),
    "Ask": (64 * KIB, {1}, record(lists=(3,), k0=U8, k1=SIGNED_INTENT, k2=boolean, k3=BLOBS)),
    "Asked": (8 * KIB, {2}, record(optional=(1, 2), k0=U8, k1=DECISION, k2=text)),
    "PairAsk": (16 * KIB, {1, 3, 5}, record(optional=(3, 4, 5, 6), lists=(2, 7), k0=U8, k1=fixed(16), k2=BLOBS, k3=blob,
                                            k4=U16, k5=H, k6=H, k7=ROOT_SIGS)),
    "PairAnswer": (16 * KIB, {2, 4, 6, 8}, record(optional=(2, 3, 4, 5, 7), lists=(1, 6), k0=U8, k1=BLOBS, k2=blob,
                                                  k3=blob, k4=H, k5=H, k6=ROOT_SIGS, k7=text)),
    "WitnessAsk": (72 * KIB, {1, 3}, record(optional=(1,), k0=U8, k1=blob)),
    "WitnessAnswer": (72 * KIB, {2, 4}, record(optional=(1, 2), k0=U8, k1=U16, k2=blob)),
}


def read_message(kind, data):
    cap, numbers, fields = MESSAGES[kind]
    message = fields(decode(data, cap))
    if message[0] not in numbers:
        raise Refused("structure")
    return message


MAX_DESCRIPTOR = 3072
TEXTS = list_of(text)
DESCRIPTOR = record(lists=(7, 8), k0=U8, k1=H, k2=U64, k3=U64, k4=U64, k5=text, k6=H, k7=TEXTS, k8=TEXTS)


def read_descriptor(data, ledger, log_key, libp2p_key):
    body, sig = tuple_of(blob, fixed(64))(decode(data, MAX_DESCRIPTOR))
    out = DESCRIPTOR(decode(body, MAX_DESCRIPTOR))
    fits = (out[0] == 1 and out[1] == ledger and len(out.get(7, [])) <= 8 and 1 <= len(out[5].encode()) <= 32
            and out[6] == libp2p_key)
    if not fits:
        raise Refused("content")
    if not verify(log_key, b"WEFT-DESC/1\n" + body, sig):
        raise Refused("signature")
    return out


SCHEME, MAX_LINK = "weft-invite:", 600
INVITE = record(k0=H, k1=H, k2=TEXTS, k3=fixed(16), k4=U64)


def read_link(link):
    if len(link.encode()) > MAX_LINK:
        raise Refused("too-long")
    if not link.startswith(SCHEME):
        raise Refused("scheme")
    coded = link[len(SCHEME):]
    try:
        data = base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise Refused("text") from None
    # One text for one value: no other letters, no bits left over.
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != coded:
        raise Refused("text")
    invite = INVITE(decode(data, MAX_LINK))
    if not 1 <= len(invite[2]) <= 3:
        raise Refused("addresses")
    return invite


WORDS = (Path(__file__).resolve().parent.parent / "words.txt").read_text(encoding="utf-8").split("\n")[:2048]


def check_words(accord, ledgers, log_keys, nonces):
    digest = tagged("WEFT-WORDS/1", accord, *ledgers, *log_keys, *nonces)
    bits = int.from_bytes(digest, "big") >> (256 - 66)
    return [WORDS[bits >> 11 * (5 - i) & 2047] for i in range(6)]


CONTENT = record(optional=(1, 2), k0=blob, k1=blob, k2=blob)
LONGEST = {0: 256, 1: 1024, 2: 256}


def read_content(data):
    content = CONTENT(decode(data, 2048))
    for value in content.values():
        try:
            value.decode("utf-8")
        except UnicodeDecodeError:
            raise Refused("not-text") from None
    for field, value in content.items():
        if not 1 <= len(value) <= LONGEST[field]:
            raise Refused("length")
    return content


def commitment(salt, content):
    return tagged("WEFT-SIDECAR/1", salt, content)


def wire(run, v):
    for case in v["messages"]:
        data = bytes.fromhex(case["hex"])
        message = run.accepted(case["about"], lambda: read_message(case["type"], data))
        run.same(case["about"], encode(message).hex() if message else None, case["hex"])
        run.same(case["about"], reading(message), case["reading"])
    for case in v["invalid"]:
        data = bytes.fromhex(case["hex"])
        run.refused(case["about"], case["why"], lambda: read_message(case["type"], data))
    d = v["descriptor"]
    known = [bytes.fromhex(d[name]) for name in ("ledger", "log", "libp2p")]
    for case in d["valid"]:
        body = run.accepted(case["about"], lambda: read_descriptor(bytes.fromhex(case["hex"]), *known))
        run.same(case["about"], reading(body), case["body"])
    for case in d["invalid"]:
        run.refused(case["about"], case["why"], lambda: read_descriptor(bytes.fromhex(case["hex"]), *known))
    i = v["invite"]
    invite = run.accepted("invitation", lambda: read_link(i["link"]))
    run.same("invitation", (encode(invite).hex(), reading(invite)), (i["hex"], i["reading"]))
    link = SCHEME + base64.urlsafe_b64encode(bytes.fromhex(i["hex"])).rstrip(b"=").decode()
    run.same("link", link, i["link"])
    for case in i["invalid"]:
        run.refused(case["about"], case["why"], lambda: read_link(case["link"]))
    run.same("words", (len(WORDS), len(set(WORDS))), (2048, 2048))
    for case in v["words"]:
        lists = [[bytes.fromhex(text) for text in case[name]] for name in ("ledgers", "log_keys", "nonces")]
        run.same("check words", check_words(bytes.fromhex(case["accord"]), *lists), case["words"])
