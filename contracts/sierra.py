"""Sierra programs as felts: unpack, find the branch targets, repair "fall through", pack again.

Why: the Cairo compiler that runs as a 32-bit WebAssembly module writes the branch target "fall
through" as 2^32 - 1, and every other tool expects 2^64 - 1. The same number may also be an
ordinary value of a program, so the program is read through and only branch targets are changed.

Promises
- `pack(unpack(felts)) == felts` for what a compiler has written.
- `repair` changes branch targets and nothing else; a program that needs no repair stays as it is.
- What is not a Sierra program raises `SierraMalformed`.

Layout: six felts of versions; then a book of the distinct values in order of their appearance
(its size, its padding to a power of two of at least 256, the values); then the count of values
and the values as digits, little-endian, as many per felt as fit below the field prime. Unpacked:
types, libfuncs, statements, functions, each list led by its length.
"""

from collections.abc import Sequence

from sequencer.starknet.felt import FELT_PRIME

FALL_THROUGH_32 = 2**32 - 1
FALL_THROUGH_64 = 2**64 - 1

_VERSION_FELTS = 6
_BOOK_SIZE_MIN = 256
_LENGTH_BITS = 128  # above them a type's declaration keeps its flags
_GENERIC_ARGUMENT_KINDS = 6
_INVOCATION, _RETURN = 0, 1


class SierraMalformed(ValueError):
    """These felts are not a packed Sierra program."""


def repair(program: Sequence[int]) -> list[int]:
    """Write "fall through" as everybody but the 32-bit compiler does."""
    values = unpack(program)
    for place in branch_targets(values):
        if values[place] == FALL_THROUGH_32:
            values[place] = FALL_THROUGH_64
    return [*program[:_VERSION_FELTS], *pack(values)]


def unpack(program: Sequence[int]) -> list[int]:
    """Return the values of a program, without its versions."""
    reader = _Reader(program[_VERSION_FELTS:])
    size = reader.take()
    padding = reader.take()
    book = reader.take_many(size)
    count = reader.take()
    base = size + padding
    if base != _base(size):
        raise SierraMalformed(f"a book of {size} values is not padded by {padding}")
    per_felt = _digits_per_felt(base)
    values: list[int] = []
    for packed in reader.take_many(-(-count // per_felt)):
        digits = _digits(packed, base, min(per_felt, count - len(values)))
        if any(digit >= size for digit in digits):
            raise SierraMalformed("a digit points outside the book")
        values += [book[digit] for digit in digits]
    reader.expect_end()
    return values


def pack(values: Sequence[int]) -> list[int]:
    """Return what follows the versions in a packed program."""
    book = {value: place for place, value in enumerate(dict.fromkeys(values))}
    base = _base(len(book))
    per_felt = _digits_per_felt(base)
    digits = [book[value] for value in values]
    packed = [
        sum(digit * base**power for power, digit in enumerate(digits[start : start + per_felt]))
        for start in range(0, len(digits), per_felt)
    ]
    return [len(book), base - len(book), *book, len(values), *packed]


def branch_targets(values: Sequence[int]) -> list[int]:
    """Return the places of all branch targets in an unpacked program."""
    reader = _Reader(values)
    for _ in range(reader.take()):  # types
        reader.take()
        _skip_generic_arguments(reader, reader.take() % 2**_LENGTH_BITS)
    for _ in range(reader.take()):  # libfuncs
        reader.take()
        _skip_generic_arguments(reader, reader.take())
    places = [place for _ in range(reader.take()) for place in _statement_targets(reader)]
    for _ in range(reader.take()):  # functions
        parameters = reader.take_list()
        reader.take_list()
        reader.take_many(len(parameters) + 1)
    reader.expect_end()
    return places


def _skip_generic_arguments(reader: "_Reader", count: int) -> None:
    for _ in range(count):
        if reader.take() >= _GENERIC_ARGUMENT_KINDS:
            raise SierraMalformed("an unknown kind of generic argument")
        reader.take()


def _statement_targets(reader: "_Reader") -> list[int]:
    kind = reader.take()
    if kind == _RETURN:
        reader.take_list()
        return []
    if kind != _INVOCATION:
        raise SierraMalformed(f"an unknown kind of statement: {kind}")
    reader.take()
    reader.take_list()
    places: list[int] = []
    for _ in range(reader.take()):
        places.append(reader.place)
        reader.take()
        reader.take_list()
    return places


def _base(book_size: int) -> int:
    """Return the size of the padded book."""
    return 1 << (max(_BOOK_SIZE_MIN, book_size) - 1).bit_length()


def _digits_per_felt(base: int) -> int:
    count = 0
    while base ** (count + 1) < FELT_PRIME:
        count += 1
    return count


def _digits(packed: int, base: int, count: int) -> list[int]:
    digits: list[int] = []
    for _ in range(count):
        packed, digit = divmod(packed, base)
        digits.append(digit)
    if packed:
        raise SierraMalformed("a felt holds more digits than there are values")
    return digits


class _Reader:
    """A place in a list of felts that moves forward."""

    def __init__(self, felts: Sequence[int]) -> None:
        self._felts = felts
        self.place = 0

    def take(self) -> int:
        return self.take_many(1)[0]

    def take_many(self, count: int) -> list[int]:
        if count > len(self._felts) - self.place:
            raise SierraMalformed("the program ends too early")
        start, self.place = self.place, self.place + count
        return list(self._felts[start : self.place])

    def take_list(self) -> list[int]:
        return self.take_many(self.take())

    def expect_end(self) -> None:
        if self.place != len(self._felts):
            raise SierraMalformed("the program goes on after its end")
