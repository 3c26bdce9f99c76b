"""Channels that hang, fail and fork, and an outbox that goes on (monitoring.md §6, row 39)."""

import asyncio
import hashlib
import hmac
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from log.errors import Unreachable
from monitor.alert import Alert, Class, Route
from monitor.channels.channel import body_of
from monitor.channels.command import Command
from monitor.channels.mail import NO_TLS, STARTTLS, Mail, Relay
from monitor.channels.webhook import Webhook
from monitor.clock import Clock
from monitor.limits import Limits
from monitor.outbox import BATCH, TELL_S, Outbox, attempt
from monitor.store import KeptAlert, Store

ALERT = Alert("fork hk", Class.PROVEN, "critical", "hk\nx", "fork", "two heads 雙", {"evidence": "ab"})
KEPT = KeptAlert(1, ALERT, 1_800_000_000_000, None, None)
BODY = body_of(KEPT, "mon")
WAIT_S = 90  # for what is to happen, on a machine that others keep busy


# --- webhook ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "told"), [(200, True), (202, True), (302, False), (400, False), (500, False)])
async def test_a_webhook_is_signed_and_only_a_yes_is_one(status: int, told: bool) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(status, headers={"Location": "http://elsewhere/"}, stream=httpx.ByteStream(b"ok"))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        hook = Webhook("w", "http://pager/x", client, WAIT_S, secret="s3cret", token="t0ken")
        assert (await attempt(hook, KEPT, "mon", WAIT_S) == "") is told
    [request] = seen
    assert request.content == BODY
    expected = hmac.new(b"s3cret", BODY, hashlib.sha256).hexdigest()
    assert request.headers["Twinlog-Signature"] == f"sha256={expected}"
    assert request.headers["Authorization"] == "Bearer t0ken"
    assert json.loads(BODY)["key"] == "fork hk"


async def test_a_webhook_that_hangs_is_left_after_its_time() -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with httpx.AsyncClient(transport=httpx.MockTransport(hang)) as client:
        assert "within" in await attempt(Webhook("w", "http://pager/", client, WAIT_S), KEPT, "mon", 0.05)


# --- command ----------------------------------------------------------------------------------------------------


def python(script: str, *words: str) -> Command:
    return Command("c", [sys.executable, "-c", script, *words])


async def test_a_command_reads_the_alert_and_says_by_its_exit_code_whether_it_was_told(tmp_path: Path) -> None:
    script = "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read()); print('x' * 1_000_000)"
    assert await attempt(python(script, str(tmp_path / "out")), KEPT, "mon", WAIT_S) == ""
    assert (tmp_path / "out").read_bytes() == BODY + b"\n"
    assert await attempt(python("raise SystemExit(3)"), KEPT, "mon", WAIT_S) == "exited with 3"
    assert "cannot be started" in await attempt(Command("c", ["/nowhere/program"]), KEPT, "mon", WAIT_S)
    assert "cannot be started" in await attempt(Command("c", ["a\0b"]), KEPT, "mon", WAIT_S)


FORKS = """
import os, sys, time
read, write = os.pipe()
child = os.fork()
if child == 0:
    open(sys.argv[1], "w").write(str(os.getpid()))
    os.write(write, b"x")
else:
    os.read(read, 1)
    if sys.argv[2] == "leave":
        sys.exit(0)
while True:
    time.sleep(60)
"""


@pytest.mark.parametrize(("how", "limits_s"), [("leave", (WAIT_S,)), ("hang", (1, 4, 16, WAIT_S))])
async def test_what_a_command_forks_ends_with_it(tmp_path: Path, how: str, limits_s: Sequence[int]) -> None:
    """One that hangs is given longer when its time was over before it had forked."""
    file = tmp_path / "pid"
    file.touch()
    for limit_s in limits_s:
        error = await attempt(python(FORKS, str(file), how), KEPT, "mon", limit_s)
        assert (error == "") is (how == "leave")
        if written := file.read_text():
            break
    pid = int(written)
    async with asyncio.timeout(WAIT_S):
        while alive(pid):
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state not in "ZX"


# --- mail -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def relay(answers: dict[bytes, bytes], mails: list[bytes]) -> AsyncIterator[int]:
    """A relay of a few words: what it says to each command, 250 to the rest; `hang` says nothing for ever."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            writer.write(b"220 here\r\n")
            while line := await reader.readline():
                word = line.split()[0].upper()
                if answers.get(word) == b"hang":
                    await asyncio.Event().wait()
                writer.write(answers.get(word, b"250 ok") + b"\r\n")
                if word == b"DATA":
                    mails.append(await reader.readuntil(b"\r\n.\r\n"))
                    writer.write(b"250 taken\r\n")
                if word == b"QUIT":
                    break
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_mail_is_handed_over() -> None:
    mails: list[bytes] = []
    async with relay({b"DATA": b"354 go on"}, mails) as port:
        mail = Mail("m", Relay("127.0.0.1", port, NO_TLS), "mon@example.org", ["ops@example.org"], WAIT_S)
        assert await attempt(mail, KEPT, "mon", WAIT_S) == ""
        assert await attempt(mail, KEPT, "mon", WAIT_S) == ""
    text = mails[0].decode("ascii")
    assert "Subject: [twinlog] proven critical: fork hk x\r\n" in text
    assert [line for line in text.splitlines() if line.startswith("Message-ID")] == [
        line for line in mails[1].decode().splitlines() if line.startswith("Message-ID")
    ], "the same alert is the same message"


async def test_without_tls_nothing_is_said_to_a_relay_unless_the_settings_allow_it() -> None:
    mails: list[bytes] = []
    async with relay({b"STARTTLS": b"502 no", b"DATA": b"354 go on"}, mails) as port:
        mail = Mail("m", Relay("127.0.0.1", port, STARTTLS), "a@b", ["c@d"], WAIT_S)
        assert "no mail was taken" in await attempt(mail, KEPT, "mon", WAIT_S)
    assert mails == []


async def test_a_relay_that_hangs_holds_one_thread_and_nobody_else() -> None:
    async with relay({b"EHLO": b"hang"}, []) as port:
        mail = Mail("m", Relay("127.0.0.1", port, NO_TLS), "a@b", ["c@d"], WAIT_S)
        assert "within" in await attempt(mail, KEPT, "mon", 0.2)
        assert "still hangs" in await attempt(mail, KEPT, "mon", WAIT_S)
        thread = mail._thread
    assert thread is not None
    await asyncio.to_thread(thread.join, WAIT_S)


# --- the outbox -------------------------------------------------------------------------------------------------


class Fickle:
    """A channel that does what it is told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.error = ""
        self.told: list[str] = []

    async def send(self, kept: KeptAlert, body: bytes) -> None:
        if self.error == "hang":
            await asyncio.Event().wait()
        if self.error:
            raise Unreachable(self.error)
        self.told.append(kept.alert.key)


class Post:
    def __init__(self, folder: Path) -> None:
        Store.create(folder / "state", "key")
        self.store = Store.open(folder / "state", "key", 10)
        self.store.routes = (Route("one"), Route("two"))
        self.one, self.two = Fickle("one"), Fickle("two")
        self.time_s = 1_800_000_000.0
        self.limits = Limits(channel_s=0.05, deliver_tries=3)
        self.begin()

    def begin(self) -> None:
        clock = Clock(self.limits, lambda: round(self.time_s * 1000), lambda: self.time_s)
        self.outbox = Outbox([self.one, self.two], self.store, self.limits, clock, "mon")

    def raise_alert(self, key: str) -> None:
        self.store.raise_alerts([Alert(key, Class.OWN, "info", "s", "c", "t")], round(self.time_s * 1000))


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    made = Post(tmp_path)
    yield made
    made.store.close()


@pytest.mark.parametrize("error", ["hang", "refuses"])
async def test_a_channel_that_fails_is_tried_again_and_delays_no_other(post: Post, error: str) -> None:
    post.one.error = error
    post.raise_alert("a")
    post.raise_alert("b")
    [finding] = await post.outbox.deliver("one")
    assert (finding.code, finding.subject) == ("channel", "channel one")
    assert await post.outbox.deliver("two") == []
    assert post.two.told == ["a", "b"]

    post.one.error = ""
    assert await post.outbox.deliver("one") == [finding], "not yet: it is left alone for a while"
    assert post.one.told == []
    post.begin()  # a restart
    post.time_s += post.limits.deliver_pause_s
    assert await post.outbox.deliver("one") == []
    assert post.one.told == ["b", "a"], "what was tried holds up no other"
    assert post.store.undelivered(["one", "two"]) == []


async def test_after_so_many_attempts_it_is_given_up_and_shown_and_the_next_has_its_turn(post: Post) -> None:
    post.one.error = "refuses"
    post.raise_alert("a")
    for _ in range(3):
        await post.outbox.deliver("one")
        post.time_s += post.limits.deliver_pause_s
    [lost] = post.store.undelivered(["one"])
    assert (lost.state, lost.attempts) == ("given-up", 3)
    post.one.error = ""
    post.raise_alert("b")
    assert await post.outbox.deliver("one") == []
    assert post.one.told == ["b"]


async def test_a_clock_set_back_does_not_put_alerts_off(post: Post) -> None:
    post.raise_alert("a")
    post.time_s -= 3_600
    await post.outbox.deliver("one")
    assert post.one.told == ["a"]


async def test_an_alert_told_before_a_crash_is_told_again_and_not_forgotten(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.raise_alert("a")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "keep_delivery", crash)
        with pytest.raises(KeyboardInterrupt):
            await post.outbox.deliver("one")
    post.begin()
    await post.outbox.deliver("one")
    assert post.one.told == ["a", "a"]


async def test_all_that_is_due_is_told_what_is_about_logs_first(post: Post) -> None:
    keys = [f"rule P01 {number:03}" for number in range(2 * BATCH)]
    for key in [*keys, "fork hk", "watch w ab"]:
        post.raise_alert(key)
    assert await post.outbox.deliver("one") == []
    assert post.one.told == ["fork hk", *keys, "watch w ab"]


async def test_a_slow_channel_is_told_for_a_while_and_the_rest_the_next_time(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = post.one.send

    async def slow(kept: KeptAlert, body: bytes) -> None:
        post.time_s += TELL_S / 2
        await send(kept, body)

    monkeypatch.setattr(post.one, "send", slow)
    for key in "abc":
        post.raise_alert(key)
    assert await post.outbox.deliver("one") == []
    assert post.one.told == ["a", "b"]
    assert await post.outbox.deliver("one") == []
    assert post.one.told == ["a", "b", "c"]
