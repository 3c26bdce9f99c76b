"""Key files: made safely, refused when they are not safe, one key for one use."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from log.crypto import keys, mldsa
from log.crypto.ecdsa import EcdsaSigner
from log.crypto.ed25519 import Ed25519Signer
from log.crypto.keys import Kind
from log.crypto.mldsa import MldsaSigner
from log.crypto.notes import NoteSigner, verify_line
from log.errors import SettingsError, SuiteUnavailable
from log.formats.note import KeyType, Signature, VKey

ORIGIN = "hk.twinlog.example/x509"
LOADS: dict[Kind, Callable[[Path], EcdsaSigner | Ed25519Signer | MldsaSigner]] = {
    Kind.P256: keys.load_p256,
    Kind.ED25519: keys.load_ed25519,
    Kind.MLDSA: keys.load_mldsa,
}


@pytest.mark.parametrize("kind", Kind)
async def test_a_new_key_signs_and_is_for_its_owner_alone(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / "keys" / "new.pem"
    umask = os.umask(0)  # a generous umask must not open the file
    try:
        keys.generate_key(path, kind)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----\n")
    first, second = LOADS[kind](path), LOADS[kind](path)
    assert first.public == second.public
    if first.deterministic:
        assert await first.sign([b"m"]) == await second.sign([b"m"])


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    keys.generate_key(path, Kind.P256)
    before = path.read_bytes()
    with pytest.raises(SettingsError, match="never overwritten"):
        keys.generate_key(path, Kind.P256)
    assert path.read_bytes() == before
    dangling = tmp_path / "link.pem"
    dangling.symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(SettingsError):
        keys.generate_key(dangling, Kind.P256)
    assert not (tmp_path / "elsewhere.pem").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644])
def test_a_key_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key.pem"
    keys.generate_key(path, Kind.P256)
    path.chmod(mode)
    with pytest.raises(SettingsError, match="chmod 600"):
        keys.load_p256(path)
    path.chmod(0o400)
    keys.load_p256(path)


def test_a_link_to_a_key_is_judged_by_the_key(tmp_path: Path) -> None:
    path, link = tmp_path / "key.pem", tmp_path / "link.pem"
    keys.generate_key(path, Kind.P256)
    link.symlink_to(path)
    keys.load_p256(link)
    path.chmod(0o644)
    with pytest.raises(SettingsError):
        keys.load_p256(link)


def test_what_is_no_key_file_is_refused(tmp_path: Path) -> None:
    p256, p384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
    pem = p256.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    contents = {
        "empty": b"",
        "text": b"no key",
        "cut": pem[:100],
        "big": pem + bytes(keys.MAX_FILE_BYTES),
        "encrypted": p256.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
        "old form": p256.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        "other curve": p384.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "rsa": rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }
    for name, content in contents.items():
        path = tmp_path / f"{name}.pem"
        path.write_bytes(content)
        path.chmod(0o600)
        for kind in Kind:
            with pytest.raises(SettingsError) as refused:
                LOADS[kind](path)
            assert "secret" not in str(refused.value)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    pipe, folder = tmp_path / "pipe", tmp_path / "folder"
    os.mkfifo(pipe, 0o600)
    folder.mkdir(mode=0o700)
    for path in (pipe, folder, tmp_path / "absent", tmp_path / "absent" / "key.pem"):
        with pytest.raises(SettingsError):
            keys.load_ed25519(path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SettingsError):
        keys.generate_key(tmp_path / "file" / "key.pem", Kind.ED25519)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    names = {Kind.P256: "P-256", Kind.ED25519: "Ed25519", Kind.MLDSA: "ML-DSA-44"}
    for kind in Kind:
        path = tmp_path / f"{kind}.pem"
        keys.generate_key(path, kind)
        for other in set(Kind) - {kind}:
            with pytest.raises(SettingsError, match=f"does not hold an? {names[other]}"):
                LOADS[other](path)


def test_a_certificate_log_has_three_keys_and_another_two(tmp_path: Path) -> None:
    keys.generate_log_keys(tmp_path, "x509", scts=True)
    keys.generate_log_keys(tmp_path, "governance", scts=False)
    files = ["governance.cosign", "governance.ed25519", "x509.cosign", "x509.ed25519", "x509.p256"]
    assert sorted(path.stem for path in tmp_path.iterdir()) == files
    x509 = keys.load_log_keys(tmp_path, "x509", ORIGIN, scts=True)
    governance = keys.load_log_keys(tmp_path, "governance", "hk.twinlog.example/governance", scts=False)
    assert [vkey.type for vkey in x509.vkeys] == [KeyType.TREE_HEAD, KeyType.ED25519, KeyType.COSIGNATURE]
    assert [vkey.type for vkey in governance.vkeys] == [KeyType.ED25519, KeyType.COSIGNATURE]
    assert {vkey.name for vkey in x509.vkeys} == {ORIGIN}
    assert x509.sct is not None
    assert x509.log_id == keys.log_id(x509.vkeys[0].key) == keys.log_id(x509.sct.public)
    assert governance.log_id is None
    keys.require_distinct([*x509.signers, *governance.signers])


WITNESS = "hk-monitor.twinlog.example/witness"


def test_a_witness_has_two_keys_and_a_guard_one(tmp_path: Path) -> None:
    keys.generate_witness_keys(tmp_path)
    keys.generate_guard_key(tmp_path)
    witness = keys.load_witness_keys(tmp_path, WITNESS)
    guard = keys.load_guard_key(tmp_path, "hk-monitor.twinlog.example/guard")
    assert [signer.vkey.type for signer in witness] == [KeyType.COSIGNATURE, KeyType.MLDSA]
    assert {signer.vkey.name for signer in witness} == {WITNESS}
    assert guard.vkey.type is KeyType.ED25519
    keys.require_distinct([*witness, guard])


def test_the_key_for_0x06_lines_may_be_absent_and_come_later_but_is_never_just_left_out(tmp_path: Path) -> None:
    keys.generate_key(tmp_path / "witness.pem", Kind.ED25519)
    [first] = keys.load_witness_keys(tmp_path, WITNESS)
    keys.generate_witness_mldsa_key(tmp_path)
    assert keys.load_witness_keys(tmp_path, WITNESS)[0].vkey == first.vkey
    path = tmp_path / "witness.mldsa.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(SettingsError, match="never overwritten"):
        keys.generate_witness_mldsa_key(tmp_path)
    path.chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        keys.load_witness_keys(tmp_path, WITNESS)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(SettingsError, match="cannot read"):
        keys.load_witness_keys(tmp_path, WITNESS)


def test_a_machine_without_ml_dsa_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> None:
        raise UnsupportedAlgorithm("no")

    made = NoteSigner.make(WITNESS, KeyType.MLDSA, keys.load_mldsa(_mldsa_file(tmp_path)))
    monkeypatch.setattr(MLDSA44PrivateKey, "generate", absent)
    monkeypatch.setattr(MLDSA44PrivateKey, "from_seed_bytes", absent)
    monkeypatch.setattr(MLDSA44PublicKey, "from_public_bytes", absent)
    mldsa.mldsa_available.cache_clear()
    try:
        keys.generate_witness_keys(tmp_path / "other")
        assert [path.name for path in (tmp_path / "other").iterdir()] == ["witness.pem"]
        with pytest.raises(SuiteUnavailable, match="no ML-DSA-44"):
            keys.generate_witness_mldsa_key(tmp_path / "other")
        with pytest.raises(SuiteUnavailable, match="no ML-DSA-44"):
            verify_line(b"o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n", _line(made.vkey), made.vkey)
    finally:
        mldsa.mldsa_available.cache_clear()


def _mldsa_file(folder: Path) -> Path:
    keys.generate_key(folder / "a.pem", Kind.MLDSA)
    return folder / "a.pem"


def _line(vkey: VKey) -> Signature:
    return Signature(vkey.name, vkey.key_id, bytes(2428))


def test_a_copied_key_file_is_found_out(tmp_path: Path) -> None:
    keys.generate_log_keys(tmp_path, "events", scts=False)
    (tmp_path / "events.cosign.pem").write_bytes((tmp_path / "events.ed25519.pem").read_bytes())
    copied = keys.load_log_keys(tmp_path, "events", "hk.twinlog.example/events", scts=False)
    with pytest.raises(SettingsError, match="one private key serves"):
        keys.require_distinct(copied.signers)
