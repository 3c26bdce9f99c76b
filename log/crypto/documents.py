"""The signatures that people and organisations put on documents, by the words that events have for them.

What is signed is the document itself, not a container (CAdES, PAdES, OFD). A key signs in the ways its family can;
which one a signature was made in, its bytes show only by verifying, so `recognise` tries them.
"""

from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from log.crypto.suites import IssuerKey, Suite, load_issuer_key
from log.errors import BadSignature, Malformed, SuiteUnavailable

SHA256_WORD, SM3_WORD = "sha-256", "sm3"

_SHA1 = hashes.SHA1()  # noqa: S303 -- documents of the past; the event says so

# In the order in which they are tried. The salt of RSA-PSS stands in no event: see `_salts`.
_SUITES = {
    "rsa-sha256": Suite(("rsa",), hashes.SHA256()),
    "rsa-sha384": Suite(("rsa",), hashes.SHA384()),
    "rsa-sha512": Suite(("rsa",), hashes.SHA512()),
    "rsa-pss-sha256": Suite(("rsa", "rsa-pss"), hashes.SHA256(), 32),
    "rsa-pss-sha384": Suite(("rsa", "rsa-pss"), hashes.SHA384(), 48),
    "rsa-pss-sha512": Suite(("rsa", "rsa-pss"), hashes.SHA512(), 64),
    "rsa-sha1": Suite(("rsa",), _SHA1),
    "ecdsa-sha256": Suite(("ec",), hashes.SHA256()),
    "ecdsa-sha384": Suite(("ec",), hashes.SHA384()),
    "ecdsa-sha512": Suite(("ec",), hashes.SHA512()),
    "ed25519": Suite(("ed25519",), hashes.SHA512()),
    "sm2-sm3": Suite(("sm2",), hashes.SM3()),
}


def key_words(spki: bytes) -> tuple[str, int]:
    """Return the word for a key (SubjectPublicKeyInfo, DER) and its bits. Raises as `load_issuer_key` does."""
    key = load_issuer_key(spki)
    return (f"ec-p{key.bits}" if key.family == "ec" else key.family), key.bits


def recognise(spki: bytes, document: bytes, signature: bytes) -> str:
    """Return the word for the algorithm by which a key made a signature over a document.

    Raises `BadSignature` when it did not, and what `load_issuer_key` raises for keys that are not supported.
    """
    key = load_issuer_key(spki)
    for word, suite in _SUITES.items():
        if key.family in suite.families and _verifies(key, suite, document, signature):
            return word
    raise BadSignature("the signature over the document is not that of the certificate's key")


def verify_document(spki: bytes, word: str, document: bytes, signature: bytes) -> None:
    """Check a signature over a document, made in the way that an event says; raise as `recognise` does."""
    suite = _SUITES.get(word)
    if suite is None:
        raise Malformed(f"no signature algorithm is called {word[:40]!r}")
    if not _verifies(load_issuer_key(spki), suite, document, signature):
        raise BadSignature(f"the signature over the document does not verify by {word} and the certificate's key")


def document_word(key_word: str) -> str:
    """Return the algorithm by which a document is digested for its commitment, by the signer's key."""
    return SM3_WORD if key_word == "sm2" else SHA256_WORD


def document_digest(word: str, document: bytes) -> bytes:
    """Return a document's digest, 32 bytes; `SuiteUnavailable` for SM3 where this machine has none."""
    if word == SHA256_WORD:
        return sha256(document).digest()
    if word != SM3_WORD:
        raise Malformed(f"no digest of documents is called {word[:40]!r}")
    try:
        digest = hashes.Hash(hashes.SM3())
    except UnsupportedAlgorithm as e:
        raise SuiteUnavailable("this machine's OpenSSL has no SM3") from e
    digest.update(document)
    return digest.finalize()


def _verifies(key: IssuerKey, suite: Suite, document: bytes, signature: bytes) -> bool:
    for salt in _salts(key, suite):
        try:
            key.verify_by(Suite(suite.families, suite.hash, salt), document, signature)
        except BadSignature:
            continue
        return True
    return False


def _salts(key: IssuerKey, suite: Suite) -> tuple[int | None, ...]:
    """Return the lengths of salt in use: that of the digest, and the longest that fits (RFC 8017 section 9.1.1)."""
    if suite.salt is None:
        return (None,)
    longest = (key.bits + 6) // 8 - suite.hash.digest_size - 2
    return tuple(salt for salt in dict.fromkeys((suite.salt, longest)) if 0 <= salt <= longest)
