"""What this machine can do at all: the same work with nothing of ours around it."""

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path

import plyvel
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from log.crypto import sm2
from log.crypto.sm2 import Sm2PrivateKey
from log.demo.issuing import Suite
from log.storage.leveldb import ENTRY_KEY_BYTES
from tests.bench.stats import a_second, median

MESSAGE_BYTES = 600  # about a TBSCertificate of the mass issuer
SWAPS = 100
ENTRY_BYTES = 1500
COPIED_AT_ONCE = 4_096  # entries of one batch of a copy, as a monitor makes them
BATCH_ENTRIES = 10  # what a commit takes at 1,000/s and a linger of 10 ms


def verifier(suite: Suite) -> Callable[[], object]:
    """Return the check of one signature as the library does it: `cryptography`'s, or of SM2 libcrypto's."""
    message = bytes(MESSAGE_BYTES)
    if suite == "sm2":
        secret = Sm2PrivateKey.generate()
        libcrypto = sm2._libcrypto()
        return partial(libcrypto.verify, libcrypto.load(secret.spki()), message, secret.sign(message))
    if suite == "rsa2048":
        rsa_key = rsa.generate_private_key(65537, 2048)
        signature = rsa_key.sign(message, padding.PKCS1v15(), SHA256())
        return partial(rsa_key.public_key().verify, signature, message, padding.PKCS1v15(), SHA256())
    key = ec.generate_private_key(ec.SECP256R1())
    algorithm = ec.ECDSA(SHA256())
    return partial(key.public_key().verify, key.sign(message, algorithm), message, algorithm)


def verify_rate(suite: Suite, seconds: float, threads: int) -> float:
    """Return verifications a second on so many threads, by the clock on the wall."""
    verify = verifier(suite)

    def work() -> int:
        count, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(50):
                verify()
            count += 50
        return count

    with ThreadPoolExecutor(threads) as pool:
        began = time.monotonic()
        counts = [future.result() for future in [pool.submit(work) for _ in range(threads)]]
        return sum(counts) / (time.monotonic() - began)


def verify_rate_per_core(suite: Suite, seconds: float) -> float:
    """Return verifications a CPU-second of one thread."""
    cpu, wall = time.process_time(), time.monotonic()
    rate = verify_rate(suite, seconds, 1)
    return a_second(rate * (time.monotonic() - wall), time.process_time() - cpu)


def commit_ms(folder: Path) -> float:
    """Return the median time of one synced LevelDB batch and one head swap in SQLite, one after the other."""
    fresh = Path(tempfile.mkdtemp(dir=folder))
    data = plyvel.DB(str(fresh / "data"), create_if_missing=True, compression=None)
    heads = sqlite3.connect(fresh / "heads.sqlite", isolation_level=None)
    for line in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "CREATE TABLE head (value BLOB)"):
        heads.execute(line)
    heads.execute("INSERT INTO head VALUES (x'')")
    times = []
    for n in range(SWAPS):
        began = time.perf_counter()
        with data.write_batch(sync=True) as batch:
            for index in range(BATCH_ENTRIES):
                batch.put(b"e" + (n * BATCH_ENTRIES + index).to_bytes(8), os.urandom(ENTRY_BYTES))
        heads.execute("BEGIN IMMEDIATE")
        heads.execute("UPDATE head SET value = ?", (bytes([n]) * 500,))
        heads.execute("COMMIT")
        times.append((time.perf_counter() - began) * 1000)
    heads.close()
    data.close()
    return median(times)


def scan_rates(data_folder: Path) -> tuple[float, float]:
    """Return stored entries a second and a CPU-second, read by one scan of LevelDB and hashed as leaves are."""
    database = plyvel.DB(str(data_folder), create_if_missing=False)
    count, began, cpu_began = 0, time.perf_counter(), time.process_time()
    with database.iterator(start=b"e", stop=b"f", verify_checksums=True) as rows:
        for key, row in rows:
            sha256(b"\x00" + row).digest()
            count += len(key) == ENTRY_KEY_BYTES
    rates = count / (time.perf_counter() - began), a_second(count, time.process_time() - cpu_began)
    database.close()
    return rates


def hash_rate(entry_bytes: int, count: int) -> float:
    """Return leaves of so many bytes that one thread hashes in a second, with the nodes of a tree above them."""
    leaf, node, hashes = bytes(entry_bytes), bytes(65), 0
    began = time.perf_counter()
    for _ in range(count):
        sha256(leaf).digest()
        sha256(node).digest()
        hashes += 1
    return hashes / (time.perf_counter() - began)


def copy_rate(data_folder: Path, folder: Path) -> float:
    """Return stored entries a second, on one thread: scanned, hashed as leaves, put into another LevelDB in batches."""
    fresh = Path(tempfile.mkdtemp(dir=folder))
    source = plyvel.DB(str(data_folder), create_if_missing=False)
    target = plyvel.DB(str(fresh / "copy"), create_if_missing=True, compression=None)
    count, began = 0, time.perf_counter()
    with source.iterator(start=b"e", stop=b"f", verify_checksums=True) as rows:
        while some := list(islice(rows, COPIED_AT_ONCE)):
            with target.write_batch(sync=True) as batch:
                for key, row in some:
                    sha256(b"\x00" + row).digest()
                    batch.put(key, row)
                    count += len(key) == ENTRY_KEY_BYTES
    rate = count / (time.perf_counter() - began)
    source.close()
    target.close()
    shutil.rmtree(fresh)
    return rate


def load_rate(certificates: Sequence[bytes]) -> float:
    """Return certificates a second that the library loads, with names, validity and extensions, on one thread."""
    began = time.perf_counter()
    for der in certificates:
        certificate = x509.load_der_x509_certificate(der)
        found = certificate.subject, certificate.issuer, certificate.not_valid_before_utc, certificate.extensions
        if not found:
            raise AssertionError("a certificate of nothing")
    return len(certificates) / (time.perf_counter() - began)
