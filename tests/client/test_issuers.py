"""Chains completed from a pool of issuers."""

from dataclasses import replace

from log.certs import certificate
from log.certs.certificate import Certificate
from log.client.issuers import Issuers
from log.demo import ca, issuing
from tests.support.odd_certificates import NOW_MS, world


def parsed(*chain: bytes) -> list[Certificate]:
    return [certificate.parse(der) for der in chain]


def test_a_chain_goes_up_to_the_root_or_as_far_as_it_is_known() -> None:
    leaf, issuing, root = chain = world().issue(world().profile())
    everyone = Issuers([root, issuing, issuing, *world().tree.roots], 10)
    assert everyone.complete(parsed(leaf)) == chain
    assert everyone.complete(parsed(leaf, issuing)) == chain
    assert everyone.complete(parsed(*chain)) == chain
    assert everyone.complete(parsed(root)) == [root]
    assert Issuers([root, issuing], 2).complete(parsed(leaf)) == [leaf, issuing]
    assert Issuers([root], 10).complete(parsed(leaf)) == [leaf]
    assert Issuers([], 10).complete(parsed(leaf)) == [leaf]


def test_of_namesakes_the_one_that_signed_is_taken() -> None:
    w = world()
    old = issuing.CA.root("ed25519", w.impostor.name, 3, NOW_MS)
    for first, second in ((old, w.impostor), (w.impostor, old)):
        issuers = Issuers([first.certificate, second.certificate], 10)
        for issuer in (first, second):
            leaf = issuer.issue(w.profile())
            assert issuers.complete(parsed(leaf)) == [leaf, issuer.certificate]
        forged = bytearray(first.issue(w.profile()))
        forged[-1] ^= 1  # nobody signed it: the log says so
        assert issuers.complete(parsed(bytes(forged)))[1] in (first.certificate, second.certificate)


def test_issuers_that_certify_each_other_end_a_chain() -> None:
    w = world()
    names = [issuing.distinguished(("CN", f"{letter} {ca.MARK}")) for letter in "AB"]
    keys = [w.ca.key, w.impostor.key]
    profiles = [replace(w.profile(), subject=name, spki=key.spki) for name, key in zip(names, keys, strict=True)]
    one = issuing.CA(keys[1], names[1], b"").issue(profiles[0])
    other = issuing.CA(keys[0], names[0], b"").issue(profiles[1])
    leaf = issuing.CA(keys[0], names[0], one).issue(w.profile())
    assert Issuers([one, other], 10).complete(parsed(leaf)) == [leaf, one, other]
