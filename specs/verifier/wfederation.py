"""Capacities, and the messages in which public streams travel (specs/kinds.md §17, specs/network.md §11)."""

from wcbor import Refused, boolean, decode, encode, blob, fixed, list_of, reading, record, uint
from wledger import bucket_after

KIB = 1024
H, U8, U64 = fixed(32), uint(8), uint(64)
MAX_HAVES, HAVE = 1024, 48
MESSAGES = {
    "WhatAsk": (64 * KIB, {1}, record(optional=(1,), k0=U8, k1=H)),
    "WhatThere": (256 * KIB, {2, 7}, record(k0=U8, k1=blob, k2=boolean)),
    "EntriesAsk": (64 * KIB, {3}, record(k0=U8, k1=H, k2=U64)),
    "EntriesThere": (256 * KIB, {4}, record(lists=(1,), k0=U8, k1=list_of(blob))),
    "DescriptorsAsk": (64 * KIB, {5}, record(k0=U8, k1=list_of(H))),
    "DescriptorsThere": (256 * KIB, {6}, record(lists=(1,), k0=U8, k1=list_of(blob))),
    "NewsHeard": (256 * KIB, {8}, record(k0=U8)),
}


def read_message(kind, data):
    cap, numbers, fields = MESSAGES[kind]
    message = fields(decode(data, cap))
    if message[0] not in numbers:
        raise Refused("structure")
    return message


def read_haves(data):
    if len(data) > MAX_HAVES * HAVE or len(data) % HAVE:
        raise Refused("structure")
    parts = [data[i:i + HAVE] for i in range(0, len(data), HAVE)]
    ledgers = [part[:32] for part in parts]
    if not all(a < b for a, b in zip(ledgers, ledgers[1:])):
        raise Refused("structure")
    return [(part[:32].hex(), int.from_bytes(part[32:40], "big"), int.from_bytes(part[40:], "big")) for part in parts]


def federation(run, v, refused_entry, ledgers):
    told = v["capacities"]
    states = ledgers(run, told["ledgers"])
    for case in told["invalid"]:
        refused_entry(run, states[told["of"]], case)
    for case in v["buckets"]:
        run.same(f"bucket {case}", bucket_after(case["told"], case["room"]), case["bucket"])
    for case in v["messages"]:
        data = bytes.fromhex(case["hex"])
        message = run.accepted(case["about"], lambda: read_message(case["type"], data))
        run.same(case["about"], encode(message).hex() if message else None, case["hex"])
        run.same(case["about"], reading(message), case["reading"])
    for case in v["haves"]:
        wanted = [(a["ledger"], a["next"], a["dseq"]) for a in case["authors"]]
        run.same("authors", read_haves(bytes.fromhex(case["hex"])), wanted)
    for case in v["invalid_haves"]:
        run.refused(case["about"], case["why"], lambda: read_haves(bytes.fromhex(case["hex"])))
