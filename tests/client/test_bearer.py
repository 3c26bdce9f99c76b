"""Tokens go where they belong, and nowhere else."""

from pathlib import Path

import httpx
import pytest

from log.client.bearer import BearerTokens, read_token
from log.errors import SettingsError


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("a-token\n")
    file.chmod(0o600)
    return file


@pytest.mark.parametrize(
    ("method", "url", "sent"),
    [
        ("GET", "https://hk.example/x509/tile/data/000", "Bearer hk"),
        ("GET", "https://hk.example:443/x509/checkpoint", "Bearer hk"),
        ("GET", "http://127.0.0.1:8801/events/tile/entries/000", "Bearer gd"),
        ("GET", "http://127.0.0.1:8801/events-of-others/checkpoint", None),
        ("GET", "http://127.0.0.1:8801/x509/checkpoint", None),
        ("GET", "http://127.0.0.1:8802/events/checkpoint", None),
        ("GET", "http://hk.example/x509/checkpoint", None),
        ("GET", "https://hk.example.evil.example/x509/checkpoint", None),
        ("POST", "https://hk.example/witness/add-checkpoint", None),
    ],
)
async def test_a_token_is_sent_below_its_url_to_read(method: str, url: str, sent: str | None) -> None:
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization"))
        return httpx.Response(200)

    tokens = BearerTokens({"https://hk.example": "hk", "http://127.0.0.1:8801/events/": "gd"})
    async with httpx.AsyncClient(auth=tokens, transport=httpx.MockTransport(answer)) as client:
        await client.request(method, url)
    assert seen == [sent]


def test_a_token_is_read_from_a_file_of_its_owner(token: Path) -> None:
    assert read_token(token) == "a-token"
    token.chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        read_token(token)
    with pytest.raises(SettingsError, match="cannot read"):
        read_token(token.with_name("absent"))


@pytest.mark.parametrize("content", ["", "\n", "two words", "two\nlines", "umläut", "x" * 5000])
def test_a_file_that_holds_no_token_is_refused_without_telling_what_it_holds(token: Path, content: str) -> None:
    token.write_text(content)
    with pytest.raises(SettingsError, match="does not hold a token") as error:
        read_token(token)
    assert not content.strip() or content not in str(error.value)
