"""Sealed sidecars (specs/clearing.md §10): HPKE base mode (RFC 9180) with X25519 (RFC 7748), HKDF-SHA256 (RFC 5869) and
ChaCha20-Poly1305 (RFC 8439), for opening only."""

import hmac
from struct import pack, unpack

from wcbor import Refused, blob, decode, fixed, reading, tuple_of, uint
from wwire import commitment, read_content

MAX_ENVELOPE = 8192 + 256
ENVELOPE = tuple_of(fixed(32), uint(8), uint(32), blob)
P = 2**255 - 19
KEM, SUITE = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x03"


def x25519(scalar, point):
    k = bytearray(scalar)
    k[0] &= 248
    k[31] = k[31] & 127 | 64
    k = int.from_bytes(k, "little")
    x1 = (int.from_bytes(point, "little") & ((1 << 255) - 1)) % P
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a % P, c * b % P
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % P, x1 * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


BASE = (9).to_bytes(32, "little")


def _hmac(key, data):
    return hmac.digest(key, data, "sha256")


def _extract(suite, salt, label, ikm):
    return _hmac(salt or bytes(32), b"HPKE-v1" + suite + label + ikm)


def _expand(suite, key, label, info, length):
    out, block, n = b"", b"", 1
    info = pack(">H", length) + b"HPKE-v1" + suite + label + info
    while len(out) < length:
        block = _hmac(key, block + info + bytes([n]))
        out, n = out + block, n + 1
    return out[:length]


def _rotate(x, n):
    return (x << n | x >> 32 - n) & 0xFFFFFFFF


ROUNDS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
          (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))


def _block(key, counter, nonce):
    start = [*unpack("<4I", b"expand 32-byte k"), *unpack("<8I", key), counter, *unpack("<3I", nonce)]
    s = start[:]
    for _ in range(10):
        for a, b, c, d in ROUNDS:
            for n, m in ((16, 12), (8, 7)):
                s[a] = s[a] + s[b] & 0xFFFFFFFF
                s[d] = _rotate(s[d] ^ s[a], n)
                s[c] = s[c] + s[d] & 0xFFFFFFFF
                s[b] = _rotate(s[b] ^ s[c], m)
    return pack("<16I", *(x + y & 0xFFFFFFFF for x, y in zip(s, start)))


def _poly1305(key, data):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for at in range(0, len(data), 16):
        total = (total + int.from_bytes(data[at:at + 16] + b"\x01", "little")) * r % (2**130 - 5)
    return ((total + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


def _padded(data):
    return data + bytes(-len(data) % 16)


def _open_aead(key, nonce, aad, sealed):
    data, tag = sealed[:-16], sealed[-16:]
    covered = _padded(aad) + _padded(data) + pack("<QQ", len(aad), len(data))
    if len(sealed) < 16 or not hmac.compare_digest(_poly1305(_block(key, 0, nonce)[:32], covered), tag):
        raise Refused("open")
    stream = b"".join(_block(key, 1 + i, nonce) for i in range((len(data) + 63) // 64))
    return bytes(x ^ y for x, y in zip(data, stream))


def hpke_open(secret, enc, info, aad, sealed):
    """RFC 9180 §4.1, §5.1, §6.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305, base mode, first message."""
    shared = x25519(secret, enc)
    if shared == bytes(32):
        raise Refused("open")
    context = enc + x25519(secret, BASE)
    eae = _extract(KEM, b"", b"eae_prk", shared)
    shared = _expand(KEM, eae, b"shared_secret", context, 32)
    schedule = b"\x00" + _extract(SUITE, b"", b"psk_id_hash", b"") + _extract(SUITE, b"", b"info_hash", info)
    key = _extract(SUITE, shared, b"secret", b"")
    return _open_aead(_expand(SUITE, key, b"key", schedule, 32), _expand(SUITE, key, b"base_nonce", schedule, 12), aad, sealed)


def open_envelope(data, secret, claim):
    named, suite, _, sealed = ENVELOPE(decode(data, MAX_ENVELOPE))
    if suite != 1 or len(sealed) < 32:
        raise Refused("open")
    plain = hpke_open(secret, sealed[:32], b"WEFT-SEAL/1\n", claim, sealed[32:])
    if len(plain) < 36:
        raise Refused("open")
    salt, length = plain[:32], int.from_bytes(plain[32:36], "big")
    content = plain[36:36 + length]
    if len(content) < length or any(plain[36 + length:]):
        raise Refused("open")
    if commitment(salt, content) != named:
        raise Refused("commitment")
    return salt, content


def sealed(run, v):
    for case in v["commitments"]:
        got = commitment(bytes.fromhex(case["salt"]), bytes.fromhex(case["content"]))
        run.same("commitment", got.hex(), case["commitment"])
    for case in v["contents"]["valid"]:
        content = run.accepted(case["about"], lambda: read_content(bytes.fromhex(case["hex"])))
        run.same(case["about"], reading(content), case["reading"])
    for case in v["contents"]["invalid"]:
        run.refused(case["about"], case["why"], lambda: read_content(bytes.fromhex(case["hex"])))
    e = v["envelopes"]
    secret, claim = bytes.fromhex(e["secret"]), bytes.fromhex(e["claim"])
    run.same("seal key", x25519(secret, BASE).hex(), e["public"])
    for case in e["valid"]:
        got = run.accepted(case["about"], lambda: open_envelope(bytes.fromhex(case["hex"]), secret, claim))
        run.same(case["about"], [part.hex() for part in got or ()], [case["salt"], case["content"]])
        run.same(case["about"], commitment(*got).hex() if got else None, case["commitment"])
    for case in e["invalid"]:
        run.refused(case["about"], case["why"], lambda: open_envelope(
            bytes.fromhex(case["hex"]), bytes.fromhex(case["secret"]), bytes.fromhex(case["claim"])))
