"""Settings: what they pin, and that nothing unknown is let through."""

import ssl
from pathlib import Path

import pytest

from log.errors import SettingsError, Unreachable
from monitor import connections, keyring, main, pinned, settings
from monitor.alert import Class, Route
from monitor.channels.command import Command
from monitor.channels.lines import Lines
from monitor.channels.mail import Mail
from monitor.channels.webhook import Webhook
from monitor.limits import Limits
from tests.client.other_end import OK, Other, ask, self_signed, serving
from tests.support.lying_world import World


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return World().write(tmp_path, {"hk": "http://hk/", "gd": "http://gd"})


def watched(path: Path) -> list[tuple[str, str, list[str]]]:
    loaded = settings.load(path)
    nodes = pinned.nodes(loaded, keyring.load(loaded).witness.vkey)
    return [
        (node.name, followed.origin, [w.vkey.name for w in followed.witnesses])
        for node in nodes
        for followed in node.logs
    ]


def test_heads_go_to_the_other_sides_witness_and_never_to_the_logs_own(path: Path) -> None:
    assert watched(path) == [
        ("hk", "hk.example/x509", ["gd.example/witness"]),
        ("hk", "hk.example/governance", ["gd.example/witness"]),
        ("gd", "gd.example/x509", ["hk.example/witness"]),
    ]


def test_an_outside_witness_of_the_policy_is_fed_once_it_has_a_url(path: Path) -> None:
    policy = path.parent / "hk-x509.policy"
    outside = World().gd_x509.signers[2].vkey
    policy.write_text(f"witness out {outside.encode()} http://out/w/\n" + policy.read_text())
    assert watched(path)[0][2] == ["gd.example/witness", outside.name]


def test_paths_are_relative_to_the_file(path: Path) -> None:
    loaded = settings.load(path)
    assert loaded.state == path.parent / "state" / "monitor.sqlite"
    assert loaded.keys == path.parent / "keys"


def test_near_nodes_are_polled_more_often(path: Path) -> None:
    path.write_text(path.read_text().replace('near = ["hk", "gd"]', 'near = ["hk"]\npoll_s = 0.5'))
    loaded = settings.load(path)
    nodes = pinned.nodes(loaded, keyring.load(loaded).witness.vkey)
    assert [(node.name, node.poll_s) for node in nodes] == [("hk", 0.5), ("gd", 10)]


def test_variables_override_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINLOG_MONITOR_FAR_POLL_S", "7")
    monkeypatch.setenv("TWINLOG_MONITOR_LIMITS__REQUEST_S", "2.5")
    loaded = settings.load(path)
    assert loaded.far_poll_s == 7
    assert loaded.bounds() == Limits(request_s=2.5)


@pytest.mark.parametrize(
    "name", ["TWINLOG_MONITOR_POL_S", "TWINLOG_MONITOR_LIMITS__REQUEST", "TWINLOG_MONITOR_NAME__X"]
)
def test_an_unknown_variable_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=name):
        settings.load(path)


def test_a_variable_that_is_no_table_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINLOG_MONITOR_LIMITS", "no table")
    with pytest.raises(SettingsError, match="limits"):
        settings.load(path)


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ('near = ["hk", "gd"]', 'near = ["hk", "sz"]', "sz"),
        ("[limits]", "[limits]\nrequest_s = 0", "request_s"),
        ("[limits]", "[limits]\nrequests = 1", "limits.requests: no such setting"),
        ("[limits]", "[limit]", "limit"),
        ('name = "gd"\nurl = "http://gd"\n', 'name = "gd"\nurl = "gd"\n', "url"),
        ('name = "gd"\nurl = "http://gd"\n', 'name = "gd"\nurl = "http://gd"\nguards = true\n', "guards"),
        ('family = "governance"', 'family = "later"', "later"),
        ('"hk.example/governance"', '"hk.example/x509"', "stands there twice"),
        ("vkeys = [", 'vkeys = ["x", ', "hk"),
        ("hk-governance.policy", "gone.policy", "gone.policy"),
        ('name = "monitor.example/m"', "name = 1", "name"),
        ('[[nodes]]\nname = "gd"', '[[nodes]]\nname = "hk"', "stands there twice"),
        ("[limits]", '[governance]\ngenesis = "g"\n[limits]', "governance.sha256: has no default"),
        ("[limits]", '[governance]\ngenesis = "g"\nsha256 = "x"\n[limits]', "governance.sha256"),
    ],
)
def test_what_does_not_fit_is_named(path: Path, old: str, new: str, names: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(SettingsError, match=names):
        watched(path)


def test_an_x509_log_needs_both_keys(path: Path) -> None:
    vkeys = World().hk_x509.vkeys
    for lost in vkeys[:2]:
        text = path.read_text()
        assert f'"{lost.encode()}"' in text
        changed = text.replace(f'"{lost.encode()}", ', "")
        path.with_name("other.toml").write_text(changed)
        with pytest.raises(SettingsError, match=r"without a key|no 0x05 key"):
            watched(path.with_name("other.toml"))


def test_every_limit_is_positive_and_has_a_name_in_the_settings(path: Path) -> None:
    assert settings.load(path).bounds() == Limits()


@pytest.fixture
def of_its_own(path: Path) -> tuple[Path, Path]:
    """Return a certificate that no public CA issued and its key; the settings name the one."""
    certificate, key = self_signed(path.parent, "127.0.0.1")
    path.write_text(f'authorities = "{certificate.name}"\n' + path.read_text())
    return certificate, key


async def test_a_peer_is_trusted_by_the_authorities_that_the_settings_name(
    path: Path, of_its_own: tuple[Path, Path]
) -> None:
    certificate, key = of_its_own
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    trusted = settings.load(path).authorities
    async with serving(Other(OK), server) as other:
        async with connections.http_client(Limits(), authorities=trusted) as client:
            assert (await ask(client, other.url)).body == b"ok"
        async with connections.http_client(Limits()) as client:
            with pytest.raises(Unreachable, match="not one to trust"):
                await ask(client, other.url)
    for wrong in (key, path.parent / "absent.pem"):
        with pytest.raises(SettingsError, match=f"authorities: {wrong} holds no certificates"):
            connections.http_client(Limits(), authorities=wrong)


# --- channels -----------------------------------------------------------------------------------------------------

HOOK = '[[channels]]\nname = "a"\nkind = "webhook"\nurl = "https://pager.example/x"\nsecret = "a.secret"\n'
MAIL = '[[channels]]\nname = "b"\nkind = "smtp"\nhost = "mail.example"\nsender = "m@x.example"\nto = ["o@x.example"]\n'
LINES = '[[channels]]\nname = "c"\nkind = "stdout"\nleast = "error"\nclasses = ["proven", "own"]\n'
COMMAND = '[[channels]]\nname = "d"\nkind = "command"\ncommand = ["/bin/true"]\n'


def with_channels(path: Path, text: str) -> Path:
    path.write_text(path.read_text().replace("[[nodes]]", f"{text}[[nodes]]", 1))
    return path


async def test_each_channel_is_made_as_it_is_named(path: Path) -> None:
    loaded = settings.load(with_channels(path, HOOK + MAIL + LINES + COMMAND))
    (path.parent / "a.secret").write_text("s3cret\n")
    (path.parent / "a.secret").chmod(0o600)
    async with connections.http_client(Limits()) as client:
        made = main.channels_of(loaded, client)
    assert [(each.name, type(each)) for each in made] == [("a", Webhook), ("b", Mail), ("c", Lines), ("d", Command)]
    assert [route.channel for route in main.routes_of(loaded)] == ["a", "b", "c", "d"]
    assert main.routes_of(loaded)[2] == Route("c", frozenset({Class.PROVEN, Class.OWN}), "error")


async def test_a_secret_that_others_can_read_is_none(path: Path) -> None:
    loaded = settings.load(with_channels(path, HOOK))
    (path.parent / "a.secret").write_text("s3cret\n")
    (path.parent / "a.secret").chmod(0o644)
    async with connections.http_client(Limits()) as client:
        with pytest.raises(SettingsError, match="chmod 600"):
            main.channels_of(loaded, client)


@pytest.mark.parametrize(
    "text",
    [
        HOOK + HOOK,
        LINES.replace("stdout", "pigeon"),
        LINES.replace("proven", "sure"),
        LINES.replace('"error"', '"loud"'),
        COMMAND.replace('["/bin/true"]', '"/bin/true"'),
        COMMAND.replace('["/bin/true"]', "[]"),
        MAIL.replace("o@x.example", "o@x.example>, <p@x.example"),
        HOOK.replace("https:", "file:"),
        LINES + 'url = "http://x/"\n',
    ],
)
def test_a_channel_that_makes_no_sense_is_an_error(path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="channels"):
        settings.load(with_channels(path, text))
