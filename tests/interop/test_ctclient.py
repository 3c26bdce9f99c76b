"""ctclient (Google's certificate-transparency-go) uploads, gets and proves over RFC 6962, and verifies all it gets."""

import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

from log.demo import ca, issuing
from log.demo.issuing import POISON_EXTENSION
from tests.support.foreign import Foreign, foreign
from tests.support.go_tools import run, tool


class Ctclient:
    """The command, told of one log and its key."""

    def __init__(self, node: Foreign, key: Path) -> None:
        self._home = node.home
        self._log = ["--log_uri", f"{node.url}/x509", "--pub_key", str(key)]

    async def __call__(self, command: str, *words: str) -> tuple[int, str]:
        return await run(self._home, tool("ctclient"), command, *self._log, *words)

    async def good(self, command: str, *words: str) -> str:
        code, said = await self(command, *words)
        assert code == 0, said
        return said

    async def upload(self, node: Foreign, name: str, chain: Sequence[bytes]) -> dict[str, str]:
        """Upload a chain and have its proof at once; return what the SCT says and the leaf hash."""
        file = node.write(name, "".join(map(pem, chain)))
        said = await self.good("upload", "--cert_chain", str(file), "--log_mmd", "0s")
        assert "Inclusion proof for index" in said
        found = re.findall(r"^(LeafHash|Extensions): ([0-9a-f]+)$", said, re.MULTILINE)
        found += re.findall(r"(timestamp): ([0-9]+)", said)
        return {"file": str(file), "said": said, "SCT": said.partition("Inclusion proof")[0], **dict(found)}


def pem(der: bytes) -> str:
    body = "\n".join(wrap(b64encode(der).decode(), 64))
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"


async def head(node: Foreign) -> tuple[str, str]:
    """Return size and root (hex) of the newest head, in ctclient's words."""
    sth = await node.sth()
    return str(sth["tree_size"]), b64decode(sth["sha256_root_hash"]).hex()


async def test_ctclient_uploads_gets_and_proves(tmp_path: Path) -> None:
    tool("ctclient")
    async with foreign(tmp_path) as node:
        ctclient = Ctclient(node, await node.key_file())
        await node.fill(3)
        size, root = await head(node)

        final = await ctclient.upload(node, "final.pem", node.chain())
        precert = await ctclient.upload(node, "precert.pem", node.chain(extensions=[POISON_EXTENSION]))
        assert "pre-certificate" in precert["said"]
        again = await ctclient.upload(node, "again.pem", [b64decode(line) for line in bodies(final["file"])])
        assert again["SCT"] == final["SCT"]
        assert (final["Extensions"], precert["Extensions"]) == ("0000050000000003", "0000050000000004")

        new_size, new_root = await head(node)
        said = await ctclient.good("get-sth")
        assert f"(size={new_size})" in said
        assert f"hash {new_root}" in said

        said = await ctclient.good("get-entries", "--first", "3", "--last", "4")
        assert re.findall(r"^Index=(\d+) .*(X\.509 certificate|pre-certificate)", said, re.MULTILINE) == [
            ("3", "X.509 certificate"),
            ("4", "pre-certificate"),
        ]

        for uploaded in (final, precert):
            said = await ctclient.good("inclusion", "--leaf_hash", uploaded["LeafHash"])
            assert f"in tree of size {new_size}" in said
            words = ["--timestamp", uploaded["timestamp"], "--extensions", uploaded["Extensions"]]
            await ctclient.good("inclusion", "--cert_chain", uploaded["file"], *words)

        heads = ["--size", new_size, "--tree_hash", new_root, "--prev_size", size, "--prev_hash"]
        await ctclient.good("consistency", *heads, root)
        code, said = await ctclient("consistency", *heads, new_root)
        assert code != 0
        assert "Failed to VerifyConsistency" in said

        roots = await ctclient.good("get-roots")
        assert "Interop Root" in roots


async def test_ctclient_is_told_why_a_chain_is_refused_and_believes_no_other_key(tmp_path: Path) -> None:
    tool("ctclient")
    async with foreign(tmp_path) as node:
        await node.fill(1)
        ctclient = Ctclient(node, await node.key_file())
        stranger = ca.MassIssuer("p256").chain(0)
        file = node.write("stranger.pem", "".join(map(pem, stranger)))
        code, said = await ctclient("upload", "--cert_chain", str(file))
        assert code != 0
        assert 'got HTTP status "400 Bad Request"' in said
        assert "the chain does not end at a listed issuer" in said
        assert (await node.sth())["tree_size"] == 1

        other = b64encode(issuing.Key.generate("p256").spki).decode()
        key = node.write("other.pem", f"-----BEGIN PUBLIC KEY-----\n{other}\n-----END PUBLIC KEY-----\n")
        code, said = await Ctclient(node, key)("get-sth")
        assert code != 0
        assert "signature" in said


def bodies(path: str) -> list[str]:
    """Return the base64 of each certificate in a PEM file, one line each."""
    text = Path(path).read_text()
    return ["".join(body.split()) for body in re.findall(r"BEGIN CERTIFICATE-----(.*?)-----END", text, re.DOTALL)]
