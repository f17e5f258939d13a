"""Canonical CBOR (specs/encoding.md): one encoding for one value, and a decoder that refuses every other.

Values: int, bytes, str, bool, list, dict with int keys. None only goes out, for the state digest.
"""

MAX_ITEMS, MAX_TEXT, MAX_DEPTH = 64, 256, 6


class Refused(Exception):
    """A rule is broken: `code` names it, `detail` the rule of the encoding where the code is `entry`."""

    def __init__(self, code, detail=None):
        super().__init__(code if detail is None else f"{code}: {detail}")
        self.code, self.detail = code, detail


class _Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        if n > len(self.data) - self.at:
            raise Refused("truncated")
        part = self.data[self.at:self.at + n]
        self.at += n
        return part

    def head(self):
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if major == 7:
            if info in (20, 21):
                return "bool", info == 21
            raise Refused("simple")
        if major == 6:
            raise Refused("tag")
        if info < 24:
            return major, info
        if info > 27:
            raise Refused("indefinite")
        width = 1 << (info - 24)
        argument = int.from_bytes(self.take(width), "big")
        if argument < (24, 1 << 8, 1 << 16, 1 << 32)[info - 24]:
            raise Refused("not-shortest")
        return major, argument

    def item(self, depth):
        major, argument = self.head()
        if major == "bool":
            return argument
        if major == 0:
            return argument
        if major == 1:
            return -1 - argument
        if major == 2:
            return bytes(self.take(argument))
        if major == 3:
            if argument > MAX_TEXT:
                raise Refused("text-too-long")
            try:
                return self.take(argument).decode("utf-8")
            except UnicodeDecodeError:
                raise Refused("not-utf8") from None
        if depth >= MAX_DEPTH:
            raise Refused("too-deep")
        if argument > MAX_ITEMS:
            raise Refused("too-many-items")
        if major == 4:
            return [self.item(depth + 1) for _ in range(argument)]
        out, last = {}, -1
        for _ in range(argument):
            key_major, key = self.head()
            if key_major != 0:
                raise Refused("map-key")
            if key <= last:
                raise Refused("map-order")
            last = key
            out[key] = self.item(depth + 1)
        return out


def decode(data, cap=None):
    """The one item that `data` is, or Refused."""
    if cap is not None and len(data) > cap:
        raise Refused("too-long")
    reader = _Reader(data)
    value = reader.item(0)
    if reader.at != len(data):
        raise Refused("trailing")
    return value


def _head(major, n):
    for info, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 24:
            return bytes([major << 5 | n])
        if n < 1 << (8 * width):
            return bytes([major << 5 | info]) + n.to_bytes(width, "big")
    raise ValueError("too large")


def encode(value):
    """The bytes of a value. Maps of the state may have bytes or tuples as keys, in the order given."""
    if value is None:
        return b"\xf6"
    if value is True or value is False:
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        text = value.encode()
        return _head(3, len(text)) + text
    if isinstance(value, (list, tuple)):
        return _head(4, len(value)) + b"".join(map(encode, value))
    if isinstance(value, dict):
        return _head(5, len(value)) + b"".join(encode(k) + encode(v) for k, v in value.items())
    raise TypeError(type(value))


def reading(value):
    """A value as the vectors print it."""
    if isinstance(value, bytes):
        return f"h'{value.hex()}'"
    if isinstance(value, list):
        return [reading(item) for item in value]
    if isinstance(value, dict):
        return {str(key): reading(item) for key, item in value.items()}
    return value


# Types: functions from a decoded value to the same value, which raise Refused("structure") or Refused("not-canonical").

def _structure(ok):
    if not ok:
        raise Refused("structure")


def uint(bits):
    def check(value):
        _structure(type(value) is int and 0 <= value < 1 << bits)
        return value
    return check


def sint(bits):
    def check(value):
        _structure(type(value) is int and -(1 << bits - 1) <= value < 1 << bits - 1)
        return value
    return check


def amount(value):
    _structure(type(value) is int and 1 <= value <= 1 << 62)
    return value


def fixed(length):
    def check(value):
        _structure(isinstance(value, bytes) and len(value) == length)
        return value
    return check


def blob(value):
    _structure(isinstance(value, bytes))
    return value


def text(value):
    _structure(isinstance(value, str))
    return value


def boolean(value):
    _structure(value is True or value is False)
    return value


def one_of(*numbers):
    def check(value):
        _structure(type(value) is int and value in numbers)
        return value
    return check


def list_of(kind):
    def check(value):
        _structure(isinstance(value, list))
        return [kind(item) for item in value]
    return check


def tuple_of(*kinds, optional=()):
    def check(value):
        _structure(isinstance(value, list) and len(value) >= len(kinds))
        all_kinds = kinds + optional
        out = [kind(item) for kind, item in zip(all_kinds, value)]
        if len(value) > len(all_kinds):
            raise Refused("not-canonical")
        return out
    return check


def record(optional=(), lists=(), **fields):
    """`k0=kind, k1=kind, …` by key; `optional` keys may be absent; `lists` may be absent but not empty."""
    kinds = {int(name[1:]): kind for name, kind in fields.items()}

    def check(value):
        _structure(isinstance(value, dict))
        out = {}
        for key, kind in kinds.items():
            if key in value:
                out[key] = kind(value[key])
            else:
                _structure(key in optional or key in lists)
        if set(value) - set(kinds) or any(out.get(key) == [] for key in lists):
            raise Refused("not-canonical")
        return out
    return check
