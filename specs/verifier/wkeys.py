"""Hashes and Ed25519 with the signature rule of specs/entry.md §5, in plain Python (RFC 8032)."""

import functools
import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def tagged(context, *parts):
    """SHA-256 of a context with its newline, and parts."""
    return sha256(context.encode() + b"\n", *parts)


def _add(a, b):
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    e, f = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    g, h = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(n, point):
    out = (0, 1, 1, 0)
    while n:
        if n & 1:
            out = _add(out, point)
        point = _add(point, point)
        n >>= 1
    return out


def _same(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def _point(data):
    """The point with this canonical encoding, else None."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def _base():
    y = 4 * pow(5, P - 2, P) % P
    return _point(y.to_bytes(32, "little"))


BASE = _base()
IDENTITY = (0, 1, 1, 0)


def _small(point):
    return _same(_times(8, point), IDENTITY)


def _table(point):
    """16 multiples of `point` for each of the 64 digits of a scalar in base 16."""
    rows = []
    for _ in range(64):
        row = [IDENTITY]
        for _ in range(15):
            row.append(_add(row[-1], point))
        rows.append(row)
        point = _add(row[-1], point)
    return rows


def _times_table(n, rows):
    out, i = IDENTITY, 0
    while n:
        if n & 15:
            out = _add(out, rows[i][n & 15])
        n >>= 4
        i += 1
    return out


class _Key:
    """A public key; once it has verified a few times, with a table of its multiples."""

    ENOUGH = 3

    def __init__(self, data):
        self.point, self.used, self.rows = _point(data), 0, None
        self.fault = "key-not-canonical" if self.point is None else "key-weak" if _small(self.point) else None

    def times(self, n):
        self.used += 1
        if self.rows is None and self.used >= self.ENOUGH:
            self.rows = _table(self.point)
        return _times_table(n, self.rows) if self.rows else _times(n, self.point)


_base_rows = _table(BASE)
_keys = {}


def _key(data):
    if data not in _keys:
        _keys[data] = _Key(data)
    return _keys[data]


def key_fault(key):
    """None for a key that may verify, else what is wrong with it."""
    return _key(key).fault


@functools.lru_cache(maxsize=1 << 16)
def verify(key, message, sig):
    """The rule of specs/signatures.md 1.1: alone, strictly."""
    if len(sig) != 64 or key_fault(key):
        return False
    r, s = _point(sig[:32]), int.from_bytes(sig[32:], "little")
    if r is None or _small(r) or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(sig[:32] + key + message).digest(), "little") % L
    return _same(_times_table(s, _base_rows), _add(r, _key(key).times(k)))


def public_of(seed):
    digest = bytearray(hashlib.sha512(seed).digest()[:32])
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    x, y, z, _ = _times(int.from_bytes(digest, "little"), BASE)
    inverse = pow(z, P - 2, P)
    x, y = x * inverse % P, y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def signer_of(key):
    return tagged("WEFT-KEY/1", b"\x01", key)[:8]
