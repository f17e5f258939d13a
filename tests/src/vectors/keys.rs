//! Keys from seeds, signatures under each context, keys and signatures that are refused, derived ids.

use super::kit::{code_of, hex, key, op_id};
use serde_json::{Value, json};
use weft_protocol::clearing::accord::channel_id;
use weft_protocol::entry::{How, Role, op_message};
use weft_protocol::ids::{Hash, KeyBytes, LedgerId, SigBytes};
use weft_protocol::keys::{self, Context, PublicKey, message};
use weft_protocol::ledger::{node_op_id, own_accounts};

/// L, the order of the group, little-endian.
const L: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// S + L: the same number modulo L, which strict verification refuses.
fn with_large_s(sig: &SigBytes) -> SigBytes {
    let mut out = sig.0;
    let mut carry = 0_u16;
    for (byte, add) in out[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    SigBytes(out)
}

pub(super) fn vectors() -> Value {
    let seeds: Vec<u8> = vec![1, 2, 10, 20, 21];
    let keys_of_seeds = seeds.iter().map(|seed| {
        let public = key(*seed).public();
        json!({ "seed": hex([*seed; 32]), "public": public.bytes().to_string(), "signer": public.signer().to_string() })
    });
    let contexts =
        [keys::ENTRY, keys::OP, keys::ACCORD, keys::INTENT, keys::DECISION, keys::DESCRIPTOR, keys::NOTE];
    let signer = key(10);
    let signatures = contexts.map(|Context(text)| {
        let sig = signer.sign(Context(text), &[b"message"]);
        json!({ "context": text, "message": hex(b"message"), "public": signer.public().bytes().to_string(), "sig": sig.to_string() })
    });
    let ledger = LedgerId([0xaa; 32]);
    let (author, op) = (key(20), b"\xa0");
    let auth = op_message(&ledger, 0x0501, author.public().signer(), Role::Coordinator, How::Custody, op);
    let auth_sig = author.sign(keys::NOTE, &[&auth]);

    json!({
        "about": "specs/entry.md §5, specs/ledger.md §2, specs/clearing.md §2",
        "keys": keys_of_seeds.collect::<Vec<_>>(),
        "signatures": signatures.to_vec(),
        "op_signature": {
            "ledger": ledger.to_string(), "kind": 0x0501, "signer": author.public().signer().to_string(),
            "role": 2, "how": 2, "op": hex(op), "message": hex(&auth),
            "public": author.public().bytes().to_string(), "sig": auth_sig.to_string(),
        },
        "refused_keys": refused_keys(),
        "refused_signatures": refused_signatures(),
        "own_accounts": own_accounts::NAMES.map(|n| json!({ "name": n, "account": own_accounts::id(n).to_string() })).to_vec(),
        "derived": derived(),
    })
}

fn refused_keys() -> Vec<Value> {
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut folded = [0xff; 32];
    (folded[0], folded[31]) = (0xee, 0x7f);
    let mut signed_zero = identity;
    signed_zero[31] = 0x80;
    let mut no_point = [0; 32];
    no_point[0] = 2;
    let order_two = {
        let mut y = [0xff; 32];
        (y[0], y[31]) = (0xec, 0x7f);
        y
    };
    let cases = [
        ("the identity", identity),
        ("y = p + 1, not canonical", folded),
        ("x = 0 with the sign bit set", signed_zero),
        ("no point of the curve", no_point),
        ("y = -1, order 2", order_two),
        ("y = 0, order 4", [0; 32]),
    ];
    let case = |(about, bytes): (&str, [u8; 32])| {
        let error = PublicKey::new(&KeyBytes(bytes)).expect_err(about);
        json!({ "about": about, "public": hex(bytes), "why": code_of(&format!("{error:?}")) })
    };
    cases.into_iter().map(case).collect()
}

fn refused_signatures() -> Vec<Value> {
    let signer = key(10);
    let public = signer.public();
    let good = signer.sign(keys::ENTRY, &[b"message"]);
    let flipped = {
        let mut sig = good.0;
        sig[0] ^= 1;
        SigBytes(sig)
    };
    let mut small = [0; 64];
    small[0] = 1;
    let cases = [
        ("the context of another purpose", "WEFT-OP/1\n", good),
        ("a flipped bit in R", "WEFT-ENTRY/1\n", flipped),
        ("S + L instead of S", "WEFT-ENTRY/1\n", with_large_s(&good)),
        ("R the identity and S zero", "WEFT-ENTRY/1\n", SigBytes(small)),
    ];
    let case = |(about, context, sig): (&str, &'static str, SigBytes)| {
        assert!(public.verify_message(&message(Context(context), &[b"message"]), &sig).is_err(), "{about}");
        json!({
            "about": about, "context": context, "message": hex(b"message"),
            "public": public.bytes().to_string(), "sig": sig.to_string(), "why": "invalid",
        })
    };
    cases.into_iter().map(case).collect()
}

fn derived() -> Value {
    let (a, b) = (LedgerId([0xaa; 32]), LedgerId([0xbb; 32]));
    let channel = channel_id(&b, &a, 0);
    let claim = Hash([0xcc; 32]);
    let salt = [0x5a; 32];
    json!({
        "a": a.to_string(), "b": b.to_string(),
        "peer_account": own_accounts::peer(&a, &b).to_string(),
        "channel": channel.to_string(),
        "channel_1": channel_id(&a, &b, 1).to_string(),
        "origin_of_a": a.origin(),
        "node_op_id": {
            "kind": 0x0b04, "t": 4, "channel": channel.to_string(), "about": claim.to_string(), "part": 0,
            "op_id": node_op_id(0x0b04, 4, channel.as_bytes(), claim.as_bytes(), 0).to_string(),
        },
        "sidecar": {
            "salt": hex(salt), "content": hex("bob"),
            "commitment": Hash::of("WEFT-SIDECAR/1\n", &[&salt, b"bob"]).to_string(),
        },
        "nonce": {
            "secret": hex([0x77; 32]), "op_id": op_id(1).to_string(),
            "nonce": Hash::of("", &[&[0x77; 32], op_id(1).as_bytes()]).to_string(),
        },
    })
}
