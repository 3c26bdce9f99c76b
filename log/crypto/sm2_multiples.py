"""SM2 verification by a key that signs often, without doublings (GB/T 32918.2 section 7.1).

A verification asks for s·G + t·Q, where G is the curve's generator and Q the key. For either of these points a table
holds j · 256^i times it for each i below 32 and each j from 1 to 255: by the bytes of a scalar its multiple is the sum
of at most 32 points of the table, and the whole of at most 64. libcrypto, to which each Q is new each time, takes 256
doublings and some eighty additions, and three times as long.

Everything here is public, so nothing need be constant in time; never sign by this. Two points that meet in a sum may
be the same or each other's opposite, which the formula of an addition leaves out. Whoever knows the private key can
bring that about; `OftenUsedKey.holds` then leaves the answer to libcrypto, as it leaves each refusal to it.
"""

from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.hashes import SM3, Hash
from gmpy2 import invert, mpz

# sm2p256v1 (GB/T 32918.5): y² = x³ + A·x + B modulo MODULUS; the point G is of prime ORDER.
MODULUS: Final = mpz(0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF)
ORDER: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
A: Final = MODULUS - 3
B: Final = mpz(0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93)
G: Final = (
    mpz(0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7),
    mpz(0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0),
)

SIZE = 32  # bytes of a coordinate and of a scalar

Point = tuple[mpz, mpz]  # x and y, below MODULUS; the point at infinity has none
Table = tuple[tuple[Point, ...], ...]  # row i has j · 256^i times a point, at j - 1


class OftenUsedKey:
    """A public key with the table of its multiples: about 20 ms to make, and 2.6 MB."""

    def __init__(self, point: bytes, identifier: bytes) -> None:
        """`point` is x || y, 64 bytes, known to lie on the curve; `identifier` is the signer's, at most 8,191 bytes."""
        self._of_g = _table_of_g()
        self._of_key = _table((mpz(int.from_bytes(point[:SIZE])), mpz(int.from_bytes(point[SIZE:]))))
        # Z, which is hashed in front of each message (section 5.5).
        curve = b"".join(int(number).to_bytes(SIZE) for number in (A, B, *G))
        z = Hash(SM3())
        z.update((8 * len(identifier)).to_bytes(2) + identifier + curve + point)
        self._hash = Hash(SM3())
        self._hash.update(z.finalize())

    def holds(self, message: bytes, r: int, s: int) -> bool:
        """Say whether (r, s) surely signs the message. False says nothing: libcrypto has to be asked."""
        t = (r + s) % ORDER
        if not (0 < r < ORDER and 0 < s < ORDER and t):
            return False
        points = _multiple(self._of_g, s) + _multiple(self._of_key, t)
        try:
            x = _x_of_sum(points)
        except ZeroDivisionError:
            return False
        hashed = self._hash.copy()
        hashed.update(message)
        return bool((int.from_bytes(hashed.finalize()) + x) % ORDER == r)


def _multiple(table: Table, scalar: int) -> list[Point]:
    """Return the points whose sum is a multiple, 0 < scalar < 2^256, of the table's point."""
    digits = scalar.to_bytes(SIZE, "little")
    return [row[digit - 1] for row, digit in zip(table, digits, strict=True) if digit]


def _x_of_sum(points: list[Point]) -> mpz:
    """Return x of a sum of one point or more. ZeroDivisionError where two meet that have one x."""
    x, y = points[0]
    for other_x, other_y in points[1:]:  # `_add`, written out: half of the time would go into calls
        slope = (other_y - y) * invert(other_x - x, MODULUS) % MODULUS
        sum_x = (slope * slope - x - other_x) % MODULUS
        x, y = sum_x, (slope * (x - sum_x) - y) % MODULUS
    return x


def _add(one: Point, other: Point) -> Point:
    """Return the sum of two points that have not one x."""
    (x, y), (other_x, other_y) = one, other
    return _third(one, other_x, (other_y - y) * invert(other_x - x, MODULUS))


def _double(point: Point) -> Point:
    x, y = point
    return _third(point, x, (3 * x * x + A) * invert(2 * y, MODULUS))


def _third(point: Point, other_x: mpz, slope: mpz) -> Point:
    """Return the opposite of the third point of the curve on the line of this slope through two points."""
    x, y = point
    third_x = (slope * slope - x - other_x) % MODULUS
    return third_x, (slope * (x - third_x) - y) % MODULUS


def _table(point: Point) -> Table:
    rows = []
    for _ in range(SIZE):
        row = [point, _double(point)]
        while len(row) < 256:
            row.append(_add(row[-1], point))
        point = row.pop()  # 256 times the first one
        rows.append(tuple(row))
    return tuple(rows)


@lru_cache(1)
def _table_of_g() -> Table:
    return _table(G)
