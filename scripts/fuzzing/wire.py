"""Ways to spoil HTTP and WebSocket themselves, around bodies that are sound or not."""

import os
from collections.abc import Callable, Mapping
from random import Random

_HEADER_BYTES, _HEADERS, _TEXT = 9_000, 80, 0x1
_LONG_FRAME_BYTES = 1024 * 1024 + 1
Wire = Callable[[Random, bytes], bytes]


def post(body: bytes, more: str = "", path: str = "/") -> bytes:
    """Write a sound request."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode("latin-1") + body


def _other_verb(random: Random, body: bytes) -> bytes:
    verb = random.choice([b"GET", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"post", b"X" * 99])
    return post(body).replace(b"POST", verb, 1)


def _other_path(random: Random, body: bytes) -> bytes:
    paths = ["/ws", "/is_alive", "/rpc", "/none", "/%00", "//", "*", "http://x/", "/?" + "x" * 99]
    return post(body, path=random.choice(paths))


def _other_version(random: Random, body: bytes) -> bytes:
    version = random.choice([b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.9", b"HTP/1.1", b""])
    return post(body).replace(b"HTTP/1.1", version, 1)


def _other_length(random: Random, body: bytes) -> bytes:
    length = random.choice(["0", "-1", "1e3", "99999999", "9" * 30, "0x10", "", str(len(body) + 5)])
    return post(body).replace(
        f"Content-Length: {len(body)}".encode(), f"Content-Length: {length}".encode(), 1
    )


def _two_lengths(random: Random, body: bytes) -> bytes:
    return post(body, random.choice(["Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n"]))


def _chunks(random: Random, body: bytes) -> bytes:
    sizes = [b"%x" % len(body), b"%x" % len(body), b"-1", b"f" * 17, b"zz", b"", b"%x;x=y" % 3]
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + random.choice(sizes) + b"\r\n" + body + b"\r\n0\r\n\r\n"


def _headers(random: Random, body: bytes) -> bytes:
    more = random.choice(
        [
            f"X: {'x' * _HEADER_BYTES}\r\n",
            "X: x\r\n" * _HEADERS,
            "X : x\r\n",
            "X\x01: x\r\n",
            "X: a\r\n folded\r\n",
            "Content-Encoding: gzip\r\n",
            "Content-Type: text/html\r\n",
            "Expect: 100-continue\r\n",
            "Expect: something\r\n",
            "Connection: close\r\n",
            "Upgrade: websocket\r\nConnection: Upgrade\r\n",
            "Upgrade: h2c\r\nConnection: Upgrade\r\n",
            "Host: y\r\n",
        ]
    )
    return post(body, more)


def _cut(random: Random, body: bytes) -> bytes:
    whole = post(body)
    return whole[: random.randrange(len(whole))]


def _flip(random: Random, body: bytes) -> bytes:
    changed = bytearray(post(body))
    for _ in range(random.randint(1, 4)):
        changed[random.randrange(min(60, len(changed)))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _noise(random: Random, body: bytes) -> bytes:
    return random.randbytes(random.randint(1, 500))


HTTP_MUTATIONS: Mapping[str, Wire] = {
    "http: another verb": _other_verb,
    "http: another path": _other_path,
    "http: another version": _other_version,
    "http: another length": _other_length,
    "http: two lengths": _two_lengths,
    "http: chunks": _chunks,
    "http: headers": _headers,
    "http: cut short": _cut,
    "http: bits flipped": _flip,
    "http: noise": _noise,
}


def frame(payload: bytes, code: int = _TEXT, *, is_last: bool = True) -> bytes:
    """Write one frame as a client does: masked."""
    size, mask = len(payload), os.urandom(4)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 2**16:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    keys = (mask * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(size, "big")
    return bytes([code | (0x80 if is_last else 0)]) + length + mask + masked


def _in_pieces(random: Random, body: bytes) -> bytes:
    at = random.randrange(len(body) + 1)
    between = random.choice([b"", frame(b"x", 0x9), frame(b"", 0x0, is_last=False)])
    return frame(body[:at], is_last=False) + between + frame(body[at:], 0x0)


def _binary(random: Random, body: bytes) -> bytes:
    return frame(body, 0x2)


def _control(random: Random, body: bytes) -> bytes:
    return frame(random.randbytes(random.choice([0, 1, 125])), random.choice([0x9, 0xA]))


def _control_too_long(random: Random, body: bytes) -> bytes:
    return frame(b"x" * 126, random.choice([0x8, 0x9, 0xA]))


def _reserved(random: Random, body: bytes) -> bytes:
    return frame(body, random.choice([0x3, 0x7, 0xB, 0xF, 0x41, 0x21]))


def _closing(random: Random, body: bytes) -> bytes:
    return frame(random.choice([b"", b"\x03", b"\x03\xe8", b"\x00\x00", b"\xff\xff\xff"]), 0x8)


def _out_of_order(random: Random, body: bytes) -> bytes:
    return random.choice([frame(body, 0x0), frame(body, is_last=False) + frame(body)])


def _lying_length(random: Random, body: bytes) -> bytes:
    return bytes([0x81, 0xFF]) + b"\x7f" + random.randbytes(7) + body


def _too_long(random: Random, body: bytes) -> bytes:
    return frame(b" " * _LONG_FRAME_BYTES)


def _frames_of_noise(random: Random, body: bytes) -> bytes:
    return random.randbytes(random.randint(2, 300))


STREAM_MUTATIONS: Mapping[str, Wire] = {
    "stream: in pieces": _in_pieces,
    "stream: binary": _binary,
    "stream: a ping or pong": _control,
    "stream: a control frame too long": _control_too_long,
    "stream: a reserved code": _reserved,
    "stream: closing": _closing,
    "stream: pieces out of order": _out_of_order,
    "stream: a length that lies": _lying_length,
    "stream: too long": _too_long,
    "stream: noise": _frames_of_noise,
}
