"""SM2 signatures with SM3 (GB/T 32918.2, GM/T 0009) by the system's libcrypto; only this file knows ctypes.

`cryptography` has SM3 but no SM2, so libcrypto.so.3 (OpenSSL 3) does the curve arithmetic. For a key that has signed
often `log.crypto.sm2_multiples` says first which signatures hold; whatever it does not say yes to, libcrypto decides.
Two things that libcrypto would take are refused here, because one key and one signature must have one spelling:

- a key is taken only as the named-curve SubjectPublicKeyInfo with an uncompressed point; libcrypto would also
  read explicit curve parameters, by which whoever writes the certificate chooses the curve;
- a signature is taken only as the DER that its two integers encode to.

ctypes lets the GIL go during every call, and libcrypto lets several threads use one key, so two threads
verify nearly twice as much as one. Where libcrypto is absent, or was built without SM2, `SuiteUnavailable`
is raised.
"""

import ctypes
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from log.errors import BadSignature, Malformed, SuiteUnavailable

if TYPE_CHECKING:
    from log.crypto.sm2_multiples import OftenUsedKey

# The signer's distinguishing identifier in certificates (GM/T 0009 section 10).
CERTIFICATE_ID = b"1234567812345678"

# SEQUENCE { SEQUENCE { id-ecPublicKey, sm2p256v1 = 1.2.156.10197.1.301 }, BIT STRING { 04 || X || Y } }
SPKI_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004")
SPKI_SIZE = len(SPKI_PREFIX) + 64

CACHED_KEYS = 256  # parsed keys, about 2 kB each; an issuer's key is parsed once, not for each certificate

OFTEN = 128  # signatures of a key that libcrypto found good, after which its multiples are remembered if there is room
OFTEN_USED_KEYS = 12  # whose multiples are remembered at a time, 2.6 MB each

SIGNATURE_SIZE = 72  # bytes of the longest signature: a SEQUENCE of two INTEGERs of 33 bytes

LIBRARY = "libcrypto.so.3"  # OpenSSL 3, of the system
_POINTER, _BYTES, _SIZE, _INT = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int

# What each function returns and takes. Without this ctypes would cut pointers to ints.
_PROTOTYPES: dict[str, tuple[Any, list[Any]]] = {
    "ERR_clear_error": (None, []),
    "EVP_DigestSign": (_INT, [_POINTER, _POINTER, _POINTER, _BYTES, _SIZE]),
    "EVP_DigestSignInit": (_INT, [_POINTER, _POINTER, _POINTER, _POINTER, _POINTER]),
    "EVP_DigestVerify": (_INT, [_POINTER, _BYTES, _SIZE, _BYTES, _SIZE]),
    "EVP_DigestVerifyInit": (_INT, [_POINTER, _POINTER, _POINTER, _POINTER, _POINTER]),
    "EVP_MD_CTX_free": (None, [_POINTER]),
    "EVP_MD_CTX_new": (_POINTER, []),
    "EVP_MD_fetch": (_POINTER, [_POINTER, _BYTES, _BYTES]),
    "EVP_PKEY_CTX_free": (None, [_POINTER]),
    "EVP_PKEY_CTX_new_from_name": (_POINTER, [_POINTER, _BYTES, _BYTES]),
    "EVP_PKEY_CTX_set1_id": (_INT, [_POINTER, _BYTES, _INT]),
    "EVP_PKEY_free": (None, [_POINTER]),
    "EVP_PKEY_generate": (_INT, [_POINTER, _POINTER]),
    "EVP_PKEY_keygen_init": (_INT, [_POINTER]),
    "d2i_PUBKEY": (_POINTER, [_POINTER, _POINTER, ctypes.c_long]),
    "i2d_PUBKEY": (_INT, [_POINTER, _POINTER]),
}

# GB/T 32918.5 example: the key, the message and a signature that must verify before the library is trusted.
_PROBE_KEY = bytes.fromhex(
    "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
_PROBE_MESSAGE = b"message digest"
_PROBE_SIGNATURE = bytes.fromhex(
    "3046022100f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
    "022100b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
)


class Sm2Key:
    """A public key. Threads may share it; its libcrypto key is freed with it."""

    def __init__(self, spki: bytes) -> None:
        """Load a SubjectPublicKeyInfo, DER; `from_spki` does the same and remembers the key.

        Raises `Malformed` for explicit parameters, another curve or form, and a point off the curve.
        """
        if len(spki) != SPKI_SIZE or not spki.startswith(SPKI_PREFIX):
            raise Malformed("not an SM2 key as a named curve with an uncompressed point")
        self._libcrypto = _libcrypto()
        self._key = self._libcrypto.load(spki)
        weakref.finalize(self, self._libcrypto.call.EVP_PKEY_free, self._key).atexit = False
        self._point = spki[len(SPKI_PREFIX) :]
        self._verified = 0  # signatures, by libcrypto
        self._often_used: OftenUsedKey | None = None  # once it is

    @classmethod
    def from_spki(cls, spki: bytes) -> "Sm2Key":
        """Return the key of these bytes, parsed once while it is among the last `CACHED_KEYS` used."""
        return _cached(spki)

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check a DER signature, made with the identifier of certificates; raise `BadSignature`."""
        try:
            r, s = decode_dss_signature(signature)
            canonical = encode_dss_signature(r, s)
        except ValueError as e:
            raise BadSignature("the SM2 signature is not a pair of integers") from e
        if canonical != signature:
            raise BadSignature("the SM2 signature is not in DER")
        if self._often_used is not None and self._often_used.holds(message, r, s):
            return
        self._libcrypto.verify(self._key, message, signature)
        self._verified += 1
        if self._verified % OFTEN == 0 and self._often_used is None and _places.acquire(blocking=False):
            weakref.finalize(self, _places.release).atexit = False
            # Not read before it is wanted: who verifies now and then needs `cryptography` alone.
            from log.crypto.sm2_multiples import OftenUsedKey  # noqa: PLC0415

            self._often_used = OftenUsedKey(self._point, CERTIFICATE_ID)


_places = threading.BoundedSemaphore(OFTEN_USED_KEYS)  # of keys that are used often


@lru_cache(CACHED_KEYS)
def _cached(spki: bytes) -> Sm2Key:
    return Sm2Key(spki)


class Sm2PrivateKey:
    """A private key in memory, for the demonstration and the tests: no node signs with SM2 today."""

    def __init__(self, libcrypto: "_Libcrypto", key: int) -> None:
        self._libcrypto = libcrypto
        self._key = key
        weakref.finalize(self, libcrypto.call.EVP_PKEY_free, key).atexit = False

    @classmethod
    def generate(cls) -> Self:
        """Return a new key."""
        libcrypto = _libcrypto()
        return cls(libcrypto, libcrypto.generate())

    def sign(self, message: bytes) -> bytes:
        """Return a DER signature, made with the identifier of certificates; each is another."""
        return self._libcrypto.sign(self._key, message)

    def spki(self) -> bytes:
        """Return the public key as SubjectPublicKeyInfo, DER."""
        return self._libcrypto.spki(self._key)


def sm2_available(library: str = LIBRARY) -> bool:
    """Say whether this machine can verify SM2 signatures."""
    try:
        _libcrypto(library)
    except SuiteUnavailable:
        return False
    return True


class _Libcrypto:
    """The C library, its functions declared. Keys and contexts are addresses; who makes one frees it."""

    def __init__(self, library: str) -> None:
        self.library = library
        try:
            self.call = ctypes.CDLL(library)
            for name, (result, arguments) in _PROTOTYPES.items():
                function = getattr(self.call, name)
                function.restype = result
                function.argtypes = arguments
        except (OSError, AttributeError) as e:
            raise SuiteUnavailable(f"SM2 needs OpenSSL 3 as {library}") from e
        self.sm3 = self.call.EVP_MD_fetch(None, b"SM3", None)  # lives as long as the process
        if not self.sm3:
            self.call.ERR_clear_error()
            raise SuiteUnavailable(f"{library} was built without SM3")

    def load(self, spki: bytes) -> int:
        """Return a new key for a SubjectPublicKeyInfo."""
        buffer = ctypes.create_string_buffer(spki, len(spki))
        position = ctypes.c_void_p(ctypes.addressof(buffer))
        key: int | None = self.call.d2i_PUBKEY(None, ctypes.byref(position), len(spki))
        if not key:
            self.call.ERR_clear_error()
            raise Malformed("not a point on the SM2 curve")
        return key

    def verify(self, key: int, message: bytes, signature: bytes) -> None:
        """Check a signature; raise `BadSignature`."""
        with self._operation("EVP_DigestVerifyInit", key) as context:
            verdict = self.call.EVP_DigestVerify(context, signature, len(signature), message, len(message))
            if verdict != 1:
                # Errors queue up per thread, and Python's own ssl module reads the same queue.
                self.call.ERR_clear_error()
                raise BadSignature("the SM2 signature does not verify")

    def sign(self, key: int, message: bytes) -> bytes:
        """Return a new signature."""
        with self._operation("EVP_DigestSignInit", key) as context:
            buffer = ctypes.create_string_buffer(SIGNATURE_SIZE)
            size = ctypes.c_size_t(SIGNATURE_SIZE)
            self._must(self.call.EVP_DigestSign(context, buffer, ctypes.byref(size), message, len(message)))
            return buffer.raw[: size.value]

    def generate(self) -> int:
        """Return a new key pair."""
        context = self.call.EVP_PKEY_CTX_new_from_name(None, b"SM2", None)
        self._must(context)
        try:
            key = ctypes.c_void_p()
            self._must(self.call.EVP_PKEY_keygen_init(context))
            self._must(self.call.EVP_PKEY_generate(context, ctypes.byref(key)))
        finally:
            self.call.EVP_PKEY_CTX_free(context)
        return self._must(key.value)

    def spki(self, key: int) -> bytes:
        """Return the public half of a key as SubjectPublicKeyInfo."""
        size = self._must(self.call.i2d_PUBKEY(key, None))
        buffer = ctypes.create_string_buffer(size)
        position = ctypes.c_void_p(ctypes.addressof(buffer))
        self._must(self.call.i2d_PUBKEY(key, ctypes.byref(position)))
        return buffer.raw

    @contextmanager
    def _operation(self, init: str, key: int) -> Iterator[int]:
        """Yield a context for one signature or verification with SM3 and the identifier of certificates."""
        context = self.call.EVP_MD_CTX_new()
        if not context:
            raise MemoryError
        try:
            of_key = ctypes.c_void_p()  # belongs to the context
            self._must(getattr(self.call, init)(context, ctypes.byref(of_key), self.sm3, None, key))
            # Before the first byte of the message: the identifier is hashed in front of it (ZA).
            self._must(self.call.EVP_PKEY_CTX_set1_id(of_key, CERTIFICATE_ID, len(CERTIFICATE_ID)))
            yield context
        finally:
            self.call.EVP_MD_CTX_free(context)

    def _must(self, result: int | None) -> int:
        """Return a result that libcrypto gives on success: a pointer, or a number above zero."""
        if result is None or result <= 0:
            self.call.ERR_clear_error()
            raise SuiteUnavailable(f"{self.library} cannot do SM2")
        return result


@lru_cache(2)
def _libcrypto(library: str = LIBRARY) -> _Libcrypto:
    """Return the library once it has verified a published signature; raise `SuiteUnavailable`."""
    libcrypto = _Libcrypto(library)
    try:
        key = libcrypto.load(SPKI_PREFIX + _PROBE_KEY)
        try:
            libcrypto.verify(key, _PROBE_MESSAGE, _PROBE_SIGNATURE)
        finally:
            libcrypto.call.EVP_PKEY_free(key)
    except (Malformed, BadSignature) as e:
        raise SuiteUnavailable(f"{library} cannot do SM2") from e
    return libcrypto
