#!/usr/bin/env python3
"""Reads every vector of specs/vectors and agrees, or audits bundles (specs/audit.md).

    weft_verify.py [VECTORS_DIR]
    weft_verify.py bundle DIR [--earlier FILE] [--ledger HEX] [--policy FILE] [--json]
    weft_verify.py compare DIR DIR [--json]
    weft_verify.py bundles          one JSON request a line: {"dir": …, "earlier": …} or {"compare": [DIR, DIR]}; one report a line
    weft_verify.py evidence FILE [VKEY]
    weft_verify.py netting TABLE CERTIFICATE [--decimals N]

Written from the texts in specs/ alone; Python 3.11 or later, standard library only. Exit: 0 nothing wrong, 1 something
wrong, 2 wrong arguments, 3 something essential could not be looked at.
"""

import copy
import json
import sys
from pathlib import Path

import waudit
import wevidence
import wfederation
import wlog
import wletters
import wmirror
import wnetting
import wpublic
import wseal
import wsettle
import wwire
import wwitness
from wbegun import take_over
from wcbor import Refused, decode, encode, reading
from wclearing import own_account
from wentry import (Entry, accord_id, booked_unit, channel_of, claim_of, decision_message, op_message, peer_account, read_accord,
                    read_intent, read_reset, reset_id, DECISION)
from wkeys import key_fault, public_of, sha256, signer_of, tagged, verify
from wpeers import RESET, Cross, Identity, Side, booked, in_flight
from wrerun import Heard
from widentity import root_digest
from wledger import State, check_form, postings_digest, verdict

CLASSES = {
    "form": "encoding entry key signature-length",
    "signature": "signature",
    "place": "no-genesis genesis-place genesis-keys ledger-mismatch seq prev time-back boot-back stream-header "
             "stream-place unknown-epoch",
    "operation": "op-expired op-life op-done node-only unsigned nothing-to-do",
    "authority": "too-many-signatures unknown-signer signed-twice role-not-held role-not-grantable passkey-not-yet "
                 "root-quorum office-needed not-authorised authority-unknown new-root-quorum",
}


def class_of(code):
    return next((name for name, codes in CLASSES.items() if code in codes.split()), "rule")


class Run:
    """Counts what agrees and prints what does not."""

    def __init__(self):
        self.passed = self.failed = 0

    def same(self, where, got, wanted):
        if got == wanted:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {where}: got {got!r}, the vector says {wanted!r}")

    def true(self, where, got):
        self.same(where, bool(got), True)

    def refused(self, where, wanted, act, detail=None):
        """`act` is refused with this code (`None`: with any)."""
        try:
            act()
        except Refused as refused:
            got = (refused.code if wanted else None, refused.detail if detail else None)
            self.same(where, got, (wanted, detail))
        else:
            self.same(where, "accepted", f"refused: {wanted}")

    def accepted(self, where, act):
        try:
            result = act()
        except Refused as refused:
            self.same(where, f"refused: {refused}", "accepted")
            return None
        self.passed += 1
        return result


def unhex(text):
    return bytes.fromhex(text)


def encoding(run, v):
    for case in v["valid"]:
        value = run.accepted(case["about"], lambda: decode(unhex(case["hex"])))
        run.same(case["about"], reading(value), case["reading"])
        run.same(case["about"], encode(value).hex(), case["hex"])
    for case in v["invalid"]:
        run.refused(case["about"], case["why"], lambda: decode(unhex(case["hex"])))


def keys(run, v):
    for case in v["keys"]:
        public = public_of(unhex(case["seed"]))
        run.same("public key", public.hex(), case["public"])
        run.same("signer id", signer_of(public).hex(), case["signer"])
    for case in v["signatures"]:
        message = case["context"].encode() + unhex(case["message"])
        run.true(f"signature {case['context']!r}", verify(unhex(case["public"]), message, unhex(case["sig"])))
    op = v["op_signature"]
    message = op_message(unhex(op["ledger"]), op["kind"], unhex(op["signer"]), op["role"], op["how"], unhex(op["op"]))
    run.same("op message", message.hex(), op["message"])
    run.true("op signature", verify(unhex(op["public"]), message, unhex(op["sig"])))
    for case in v["refused_keys"]:
        run.same(case["about"], key_fault(unhex(case["public"])), case["why"])
    for case in v["refused_signatures"]:
        message = case["context"].encode() + unhex(case["message"])
        run.true(case["about"], not verify(unhex(case["public"]), message, unhex(case["sig"])))
    for case in v["own_accounts"]:
        run.same(case["name"], own_account(case["name"]).hex(), case["account"])
    d = v["derived"]
    a, b = unhex(d["a"]), unhex(d["b"])
    run.same("peer account", peer_account(b, a).hex(), d["peer_account"])
    run.same("channel", channel_of(a, b).hex(), d["channel"])
    run.same("channel after a reset", channel_of(b, a, 1).hex(), d["channel_1"])
    run.same("origin", wlog.origin_of(a), d["origin_of_a"])
    n = d["node_op_id"]
    op_id = tagged("WEFT-NODEOP/1", n["kind"].to_bytes(2, "big"), bytes([n["t"]]), unhex(n["channel"]),
                   unhex(n["about"]), bytes([n["part"]]))[:16]
    run.same("node op id", op_id.hex(), n["op_id"])
    s = d["sidecar"]
    run.same("commitment", tagged("WEFT-SIDECAR/1", unhex(s["salt"]), unhex(s["content"])).hex(), s["commitment"])
    n = d["nonce"]
    run.same("nonce", sha256(unhex(n["secret"]), unhex(n["op_id"])).hex(), n["nonce"])


def entry_of(run, state, where, case):
    """Applies an entry that must be accepted and compares all that the vector says of it."""
    def act():
        entry = Entry(unhex(case["hex"]))
        state.apply(entry)
        return entry

    entry = run.accepted(where, act)
    if entry is None:
        return None
    run.same(f"{where}: leaf", entry.leaf.hex(), case["leaf"])
    run.same(f"{where}: body", reading(decode(entry.body_bytes)), case["body"])
    run.same(f"{where}: op", reading(decode(entry.op_bytes)), case["op"])
    run.same(f"{where}: digest", state.digest().hex(), case["digest"])
    sums = {}
    for (_, unit), balance in state.t["balances"].items():
        sums[unit] = sums.get(unit, 0) + balance
    run.true(f"{where}: sums to zero", not any(sums.values()))
    return entry


def refused_entry(run, state, case):
    run.same(f"{case['about']}: class", class_of(case["why"]), case["class"])
    before = state.digest()
    run.refused(case["about"], case["why"], lambda: state.apply(Entry(unhex(case["hex"]))), case.get("detail"))
    run.same(f"{case['about']}: state", state.digest(), before)


def entries(run, v):
    state = State()
    for after, case in enumerate([*v["entries"], None]):
        for bad in (bad for bad in v["invalid"] if bad["after"] == after):
            refused_entry(run, state, bad)
        if case is not None:
            entry_of(run, state, f"entry {after} ({case['about']})", case)
    run.same("ledger id", state.ident[0].hex(), v["ledger"])
    run.same("state", state.encoded().hex(), v["state"])


def identity(run, v):
    entries(run, v)
    for case in v["root_sets"]:
        run.same("root set digest", root_digest(decode(unhex(case["hex"]))).hex(), case["digest"])


def postings(run, v):
    for case in v["lists"]:
        value = decode(unhex(case["hex"]))
        run.same(case["about"], reading(value), case["reading"])
        if "why" in case:
            run.refused(case["about"], case["why"], lambda: check_form(value))
        else:
            run.accepted(case["about"], lambda: check_form(value))
            run.same(case["about"], postings_digest(value).hex(), case["digest"])
    levels = {0: v["levels"]["warn"], 1: v["levels"]["stop"], 2: v["levels"]["firm"]}
    for case in v["verdicts"]:
        run.same(f"distance {case['distance']}", verdict(levels, case["distance"]), case["says"])
    for case in v["amounts"]:
        minor = read_amount(case["text"], 2)
        run.same(f"amount {case['text']!r}", minor, case.get("minor"))
        if minor is not None:
            run.same("amount printed", f"{minor // 100}.{minor % 100:02}", case["prints"])


def read_amount(text, scale):
    whole, point, part = text.partition(".")
    digits = whole.isascii() and whole.isdigit() and (not point or (part.isascii() and part.isdigit()))
    if not digits or len(part) > scale:
        return None
    minor = int(whole + part.ljust(scale, "0"))
    return minor if 1 <= minor <= 1 << 62 else None


def clearing(run, v):
    a = v["accord"]
    accord = run.accepted("accord", lambda: read_accord(unhex(a["hex"])))
    run.same("accord", reading(decode(unhex(a["hex"]))), a["reading"])
    run.same("accord id", accord_id(unhex(a["hex"])).hex(), a["id"])
    run.same("channel", channel_of(accord[3], accord[4]).hex(), a["channel"])
    run.same("peer account", peer_account(accord[3], accord[4]).hex(), a["peer_account"])
    for case in v["invalid_accords"]:
        run.refused(f"accord: {case['about']}", case["why"], lambda: read_accord(unhex(case["hex"])))
    intent(run, v["intent"])
    all_entries = {}
    states = ledgers_of(run, v["ledgers"], all_entries)
    for case in v["invalid"]:
        refused_entry(run, states[case["of"]], case)
    state = copy.deepcopy(states[v["then"]["of"]])
    entry_of(run, state, "a hold", v["then"])
    for case in v["invalid_then"]:
        refused_entry(run, state, case)
    between(run, v, states, all_entries)


def settlement(run, v):
    all_entries = {}
    states = ledgers_of(run, v["ledgers"], all_entries)
    for case in v["invalid"]:
        refused_entry(run, states[case["of"]], case)
    case = v["in_flight"]
    opened = {(unhex(one["claim"]), one["part"]): (one["pair"], one["amount"]) for one in case["open"]}
    claims, totals, root = wsettle.in_flight(opened, len(case["totals"]))
    run.same("in flight", [claims, totals, root.hex()], [case["claims"], case["totals"], case["root"]])
    channels_of(run, v["ledgers"], all_entries)


def disputes(run, v):
    states = ledgers_of(run, v["ledgers"], {})
    for case in v["invalid"]:
        refused_entry(run, states[case["of"]], case)


def resets(run, v):
    """A channel that both root sets begin anew: the document, both ledgers, and both streams of the new channel."""
    case = v["reset"]
    raw = unhex(case["hex"])
    run.accepted("a reset", lambda: read_reset(raw))
    run.same("a reset reads", reading(decode(raw)), case["reading"])
    run.same("id of a reset", reset_id(raw).hex(), case["id"])
    for root, sig in zip(case["roots"], case["sigs"]):
        run.true("a root signature under a reset", verify(unhex(root), b"WEFT-RESET/1\n" + raw, unhex(sig)))
    for bad in v["invalid_documents"]:
        run.refused(f"reset: {bad['about']}", "reset", lambda: read_reset(unhex(bad["hex"])))
    ends = [unhex(ledger["ledger"]) for ledger in v["ledgers"][:2]]
    for n, channel in enumerate(v["channels"]):
        run.same(f"channel of incarnation {n}", channel_of(*ends, n).hex(), channel)
    all_entries = {}
    ledgers_of(run, v["ledgers"], all_entries)
    for bad in v["invalid"]:
        # What could not be written at its place, which its number says.
        entry, state = Entry(unhex(bad["hex"])), State()
        ledger = next(ledger for ledger in v["ledgers"] if ledger["name"] == bad["of"])
        for one in ledger["entries"][:entry.seq]:
            state.rules(all_entries[unhex(one["leaf"])])
        refused_entry(run, state, bad)
    (one, ours), (other, theirs) = (told([all_entries[unhex(case["leaf"])] for case in ledger["entries"]]) for ledger in v["ledgers"][:2])
    channel, found = unhex(v["channels"][-1]), waudit.Findings()
    Cross(found, None, 0, False, ours[channel], theirs[channel]).check()
    run.same("the two sides of the new channel", found.kept, [])
    for state, side in ((one, ours[channel]), (other, theirs[channel])):
        row = state.t["channels"][channel]
        run.same("the account of the peer", booked(side).get(0, 0), state.t["balances"][row[1], 0])
    run.same("positions are opposite", sum(in_flight(ours[channel], theirs[channel]).values()), 0)


def rounds(run, v):
    """Netting rounds among three networks, two by two as well."""
    all_entries, ledgers = {}, v["ledgers"]
    states = ledgers_of(run, ledgers, all_entries)
    for case in v["invalid"]:
        refused_entry(run, states[case["of"]], case)
    positions = {}
    for name, state in states.items():
        for ident, outcome in v["rounds"].items():
            run.true(f"{name}: {ident}", unhex(outcome) in state.t["rounds"])
        for channel in state.t["channels"].values():
            positions[state.ident[0], channel[0]] = state.t["balances"].get((channel[1], 0), 0)
    for (one, other), owed in positions.items():
        run.same("positions are opposite", owed, -positions[other, one])
    again(run, v, [[all_entries[unhex(case["leaf"])] for case in ledger["entries"]] for ledger in ledgers])


def told(entries):
    """The state after a ledger's entries, and its sides of its channels as an audit takes them in."""
    state, sides = State(), {}
    for entry in entries:
        held, accounts = state.claims_out(entry), {key: row[1] for key, row in state.t["channels"].items()}
        state.rules(entry)
        if entry.is_step:
            channel = entry.payload[0]
            row = state.t["channels"].get(channel, [bytes(32), None])
            sides.setdefault(channel, Side(entry.ledger, row[0], channel, True)).say(entry)
            if entry.payload[2] == RESET:
                of_peer = {unit: n for (account, unit), n in state.t["balances"].items() if account == row[1]}
                take_over(sides, entry, lambda _: (row[1], of_peer))
        Side.book(sides, held, accounts, entry)
    return state, sides


def again(run, v, ledgers):
    """The rounds run again from the public streams, and with a word of somebody missing or turned round."""
    heard, identities, books, found = Heard(), {}, {}, waudit.Findings()
    for entries in ledgers:
        state, sides = told(entries)
        us = Identity(entries[0])
        for entry in entries:
            if entry.stream is not None and entry.stream[0] == bytes(16):
                us.after(entry)
        identities[us.state.ident[0]], books[us.state.ident[0]] = us, sides
    for entry in (entry for entries in ledgers for entry in entries):
        heard.hear(identities.get, entry)
    for ledger, sides in books.items():
        run.true("rounds are booked", any("booked" in said for side in sides.values() for said in side.cleared.values()))
        heard.check(identities.get, ledger, sides, found)
    run.same("rounds run again", found.kept, [])
    ledger, sides = next(iter(books.items()))
    round_ = heard.rounds[unhex(v["rounds"]["applied"])]
    round_.shown.clear()
    heard.proofs.clear()
    word = next(key for key in round_.votes if key[1] != ledger)
    for turned, kind in ((None, "not checked"), (False, "error")):
        round_.votes.pop(word, None)
        if turned is not None:
            round_.votes[word] = turned
        found = waudit.Findings()
        heard.check(identities.get, ledger, sides, found)
        run.same(f"a word that is {turned}", sorted(found.counts), [kind])
    round_.votes[word], round_.pages = True, {}
    found = waudit.Findings()
    heard.check(identities.get, ledger, sides, found)
    run.same("pages that are not here", sorted(found.counts), ["not checked"])


def channels_of(run, ledgers, all_entries):
    """Both sides of the channel of the first two ledgers, as an audit holds them against each other."""
    sides, known = [], [unhex(ledger["ledger"]) for ledger in ledgers[:2]]
    for ledger, other in zip(ledgers, reversed(known)):
        side = Side(unhex(ledger["ledger"]), other, channel_of(*known), True)
        for case in ledger["entries"]:
            entry = all_entries[unhex(case["leaf"])]
            if entry.is_step:
                run.same("a step as a line of its stream", side.say(entry), None)
        sides.append(side)
    findings = waudit.Findings()
    cross = Cross(findings, None, 0, False, *sides)
    wsettle.check_statements(cross)
    run.true("there are statements", any(side.statements for side in sides))
    run.same("statements against the streams", findings.kept, [])


def exchange(run, v):
    for case in v["accords"]:
        run.same("accord", reading(run.accepted("accord", lambda: read_accord(unhex(case["hex"])))), case["reading"])
    for case in v["invalid_accords"]:
        run.refused(f"accord: {case['about']}", case["why"], lambda: read_accord(unhex(case["hex"])))
    all_entries = {}
    states = ledgers_of(run, v["ledgers"], all_entries)
    for case in v["invalid"]:
        refused_entry(run, states[case["of"]], case)
    between(run, v, states, all_entries)


def ledgers_of(run, ledgers, all_entries):
    """Every ledger by its name, as its entries leave it."""
    states = {}
    for ledger in ledgers:
        state = states[ledger["name"]] = State()
        for i, case in enumerate(ledger["entries"]):
            entry = entry_of(run, state, f"{ledger['name']} {i}", case)
            if entry is not None:
                all_entries[entry.leaf] = entry
        run.same(f"{ledger['name']}: state", state.encoded().hex(), ledger["state"])
        run.same(f"{ledger['name']}: id", state.ident[0].hex(), ledger["ledger"])
        got = [{"account": account.hex(), "unit": unit, "balance": balance}
               for (account, unit), balance in sorted(state.t["balances"].items())]
        run.same(f"{ledger['name']}: balances", got, ledger["balances"])
    return states


def intent(run, v):
    data = unhex(v["hex"])
    value = run.accepted("intent", lambda: read_intent(data))
    run.same("intent", reading(value), v["reading"])
    for case in v["invalid"]:
        run.refused(f"intent: {case['about']}", case["why"], lambda: read_intent(unhex(case["hex"])))
    run.same("claim", claim_of(data).hex(), v["claim"])
    run.true("intent signature", verify(unhex(v["public"]), b"WEFT-INTENT/1\n" + data, unhex(v["sig"])))
    decision = DECISION(decode(unhex(v["decision"]), 256))
    run.same("decision body", encode(decision[0]).hex(), v["decision_body"])
    run.same("decision on", decision[0][3].hex(), v["claim"])
    run.true("decision signature", verify(unhex(v["decider_public"]), decision_message(decision), decision[1]))
    reference = tagged("WEFT-DECISION/1", decision_message(decision)).hex()
    run.same("reference in DONE", reference, v["reference_in_done"])


def between(run, v, states, entries_by_leaf):
    """What one ledger alone cannot show: received entries, positions, both ends of every hop."""
    for ledger in v["ledgers"]:
        own = [case["leaf"] for case in ledger["entries"]]
        run.same(f"{ledger['name']}: own events", [e["own"] for e in ledger["events"] if "own" in e], own)
        places = {}
        for event in (e for e in ledger["events"] if "received" in e):
            entry = entries_by_leaf.get(unhex(event["received"]))
            if entry is None:
                run.true(f"{ledger['name']}: received {event['received']} is an entry of its writer", False)
                continue
            place = places.get((entry.ledger, entry.stream[0]), [0, bytes(32)])
            run.same(f"{ledger['name']}: received in order", entry.stream[1:], place)
            places[(entry.ledger, entry.stream[0])] = [place[0] + 1, entry.leaf]
            writer = next(s for s in states.values() if s.ident[0] == entry.ledger)
            run.true("received is signed", entry.node_signed_by(writer.log_key(entry.body[5])))
    names = {state.ident[0]: name for name, state in states.items()}
    for name, state in states.items():
        for channel in state.t["channels"].values():
            other = states[names[channel[0]]]
            there, side = next(c for c in other.t["channels"].values() if c[0] == state.ident[0]), 0 if channel[4] else 1
            for pair in channel[2][5]:
                here = state.t["balances"].get((channel[1], booked_unit(pair, side)), 0)
                run.same(f"{name}: position", here, -other.t["balances"].get((there[1], booked_unit(pair, 1 - side)), 0))
    for case in v["claims"]:
        closings = {DONE_OR_FREED[row[1][6][0]] for state in states.values()
                    for (claim, _), row in state.t["claims"].items() if claim.hex() == case["claim"] and row[1]}
        run.same(f"claim {case['about']}", closings, {case["outcome"]})
    for state in states.values():
        run.true("all claims closed", all(state.is_closed(row) for row in state.t["claims"].values()))
        run.true("nothing held", not state.t["holds"])


DONE_OR_FREED = {0: "open", 1: "done", 2: "freed"}


def log(run, v):
    def leaves(size):
        return [wlog.leaf_hash(i.to_bytes(8, "big")) for i in range(size)]

    run.same("leaf", wlog.leaf_hash(unhex(v["leaf"]["entry"])).hex(), v["leaf"]["hash"])
    node = wlog.node_hash(unhex(v["node"]["left"]), unhex(v["node"]["right"]))
    run.same("node", node.hex(), v["node"]["hash"])
    for case in v["roots"]:
        run.same(f"root of {case['size']}", wlog.root_of(leaves(case["size"])).hex(), case["root"])

    def inclusion(case):
        leaf = wlog.leaf_hash(case["index"].to_bytes(8, "big"))
        wlog.check_inclusion(leaf, case["index"], case["size"], list(map(unhex, case["proof"])), unhex(case["root"]))

    def consistency(case):
        wlog.check_consistency(case["old"], case["new"], list(map(unhex, case["proof"])), unhex(case["old_root"]),
                               unhex(case["new_root"]))

    for name, check in (("inclusion", inclusion), ("consistency", consistency)):
        for case in v[name]:
            run.accepted(f"{name} {case}", lambda: check(case))
        for case in v[f"invalid_{name}"]:
            why = case["why"]
            run.refused(f"{name}, wrong {why}", why, lambda: check(case))
    c = v["checkpoint"]
    key = unhex(c["public"])
    run.same("origin", wlog.origin_of(unhex(c["ledger"])), c["origin"])
    run.same("verifier key", wlog.verifier_key(c["origin"], key), c["verifier_key"])
    got = run.accepted("checkpoint", lambda: wlog.open_checkpoint(c["note"].encode(), c["origin"], key))
    run.same("checkpoint", (got[0], got[1].hex()), (c["size"], c["root"]))
    for case in c["invalid"]:
        run.refused(case["about"], None, lambda: wlog.open_checkpoint(case["note"].encode(), c["origin"], key))
    for case in v["tiles"]["paths"]:
        run.same("tile path", wlog.tile_path(case["level"], case["index"], case["width"]), case["path"])
        run.same("tile", wlog.read_tile_path(case["path"]), (case["level"], case["index"], case["width"]))
    for path in v["tiles"]["no_paths"]:
        run.refused(f"no path {path}", None, lambda: wlog.read_tile_path(path))
    for case in v["tiles"]["of_sizes"]:
        paths = [wlog.tile_path(*tile) for tile in wlog.all_tiles(case["size"])]
        run.same(f"tiles of {case['size']}", (len(paths), paths[-1]), (case["count"], case["last"]))
        run.same(f"partial tiles of {case['size']}", [p for p in paths if ".p/" in p], case["partial"])
    b = v["bundle"]
    run.same("bundle", [e.hex() for e in wlog.split_bundle(unhex(b["hex"]), len(b["entries"]))], b["entries"])
    for case in b["invalid"]:
        run.refused("bundle", case["why"], lambda: wlog.split_bundle(unhex(case["hex"]), case["count"]))
    r = v["receipt"]
    args = (unhex(r["leaf"]), r["origin"], unhex(r["public"]))
    run.same("receipt", run.accepted("receipt", lambda: wlog.check_receipt(r["text"], *args)), (4, 7))
    run.refused("receipt of another leaf", "root", lambda: wlog.check_receipt(r["text"], bytes(32), *args[1:]))


def witness(run, v):
    wwitness.witness(run, v, refused_entry, lambda run, ledgers: ledgers_of(run, ledgers, {}))


def evidence(run, v):
    wevidence.evidence(run, v, refused_entry, lambda run, ledgers: ledgers_of(run, ledgers, {}))


def federation(run, v):
    wfederation.federation(run, v, refused_entry, lambda run, ledgers: ledgers_of(run, ledgers, {}))


FILES = {"encoding": encoding, "keys": keys, "entries": entries, "identity": identity, "postings": postings,
         "clearing": clearing, "exchange": exchange, "log": log, "wire": wwire.wire, "sealed": wseal.sealed, "witness": witness,
         "evidence": evidence, "federation": federation, "erasure": entries, "settlement": settlement, "disputes": disputes, "resets": resets, "rounds": rounds,
         "mirror": wmirror.mirror, "letters": wletters.letters, "netting": wnetting.netting}


def vectors(folder):
    run = Run()
    found = {path.stem for path in folder.glob("*.json")}
    run.same("files of vectors", found, set(FILES))
    for name, check in FILES.items():
        before = run.passed
        check(run, json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))
        print(f"{name}: {run.passed - before} agree")
    return run


def bundle(folder, earlier=None, ledger=None, policy=None):
    return waudit.Audit(Path(folder), Path(earlier) if earlier else None, bytes.fromhex(ledger) if ledger else None,
                        Path(policy) if policy else None)


def show(report, as_json):
    """Prints a report and gives its exit code."""
    if as_json:
        print(json.dumps(report))
        return report["exit"]
    for finding in report["findings"]:
        at = "".join(f"{place}: " for place in finding["at"])
        file = f" [{finding['file']}]" if finding["file"] else ""
        print(f"{finding['class']}: {at}{finding['what']}{file}")
    says = {0: "nothing wrong was found", 1: "something is WRONG", 3: "something essential could NOT be looked at"}
    print(f"{report['entries']} entries: {says[report['exit']]}")
    return report["exit"]


def netting_files(table, certificate, scale):
    """Checks what somebody says can be cleared of a table, and gives the exit code."""
    try:
        owed, cleared = wnetting.check_files(table, certificate, scale, read_amount)
    except OSError as error:
        print(f"cannot be looked at: {error}", file=sys.stderr)
        return 3
    except (Refused, UnicodeDecodeError, KeyError, ValueError) as refused:
        print(f"WRONG: {refused}")
        return 1
    print(f"{cleared} of {owed} is cleared, and no more can be")
    return 0


def options(arguments):
    """Folders, and what stands behind `--name`."""
    folders, named, rest = [], {}, iter(arguments)
    for argument in rest:
        if argument == "--json":
            named["json"] = True
        elif argument in ("--earlier", "--ledger", "--policy", "--decimals"):
            named[argument[2:]] = next(rest, None)
        else:
            folders.append(argument)
    return folders, named


def main(arguments):
    here = Path(__file__).resolve().parent
    folders, named = options(arguments[1:])
    match arguments:
        case ["bundle", *_] if len(folders) == 1 and Path(folders[0]).is_dir():
            report = bundle(folders[0], named.get("earlier"), named.get("ledger"), named.get("policy")).report()
            return show(report, named.get("json"))
        case ["compare", *_] if len(folders) == 2 and all(Path(folder).is_dir() for folder in folders):
            return show(waudit.compare(*map(bundle, folders)), named.get("json"))
        case ["bundles"]:
            for line in sys.stdin:
                request = json.loads(line)
                if "compare" in request:
                    report = waudit.compare(*map(bundle, request["compare"]))
                else:
                    report = bundle(request["dir"], request.get("earlier")).report()
                print(json.dumps(report), flush=True)
            return 0
        case ["bundle" | "compare", *_] if folders:
            print("there is no such folder", file=sys.stderr)
            return 3
        case ["evidence", file, *key] if len(key) <= 1:
            return wevidence.file(Path(file), *key)
        case ["netting", *_] if len(folders) == 2:
            return netting_files(*folders, int(named.get("decimals") or 2))
        case []:
            run = vectors(here.parent / "vectors")
            if wpublic.FOLDER.is_dir():
                before = run.passed
                wpublic.public(run)
                print(f"public: {run.passed - before} agree")
            else:
                print("public: not here (tests/vectors)")
        case [folder] if Path(folder).is_dir():
            run = vectors(Path(folder))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    print(f"{run.passed} passed, {run.failed} failed")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
