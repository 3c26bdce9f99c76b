"""A pair of nodes that show entries to members alone, and the monitor that follows and guards them by a token."""

import itertools
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx

from log.client.bearer import BearerTokens
from log.demo.authorities import Council
from tests.support import plain
from tests.support.event_node import event_node
from tests.support.members import Sender, batch, event
from tests.support.nodes import client, world

TOKEN = "a token of the monitor"


async def test_a_monitor_follows_logs_whose_entries_are_for_members(tmp_path: Path) -> None:
    token = "monitor-" + sha256(TOKEN.encode()).hexdigest()
    lines = ["[[tokens]]", 'name = "monitor"', 'role = "monitor"', 'side = "hk"', 'expires = "2999-01-01"']
    lines.append(f'sha256 = "{sha256(token.encode()).hexdigest()}"')
    async with world(tmp_path / "d") as w, client() as http:
        files = []
        for side, site in w.deployment.sites.items():
            text = site.settings.read_text().replace('"public"', '"members"')
            site.settings.write_text("\n".join([text, *lines]) + "\n")
            file = w.deployment.monitor_settings.with_name(f"{side}.token")
            file.touch(0o600)
            file.write_text(token + "\n")
            files += ["[[tokens]]", f'url = "{site.url}"', f'file = "{side}.token"']
        monitor = w.deployment.monitor_settings
        monitor.write_text("\n".join([monitor.read_text(), *files]) + "\n")
        for side in w.deployment.sites:
            await w.start(side)
        await w.start_monitor()
        for side in w.deployment.sites:
            await w.healthy(http, side)
        await w.submits(http, 5)
        await w.witnessed(http, 5)
        tile = f"{w.site().url}/x509/tile/data/000.p/5"
        assert (await http.get(tile)).status_code == httpx.codes.UNAUTHORIZED
        assert token not in (tmp_path / "d" / "monitor.out").read_text()
        async with plain.client(auth=BearerTokens({w.site().url: token})) as reader:
            assert (await reader.get(tile)).status_code == httpx.codes.OK
            assert (await w.reckon(reader)).size == 5


async def test_governance_says_who_writes_and_by_which_keys_from_one_action_to_the_next(tmp_path: Path) -> None:
    council = Council(tmp_path / "council")
    platform, rotated = Sender(), Sender(kind="p256")
    admitted = {"id": "iam-smart", "name": "iAM Smart (synthetic)", "role": "platform"}
    first, second = platform.key.vkey.encode(), rotated.key.vkey.encode()
    council.begin(("hk", "gd"), {"hk": [("member-admit", {**admitted, "keys": [first]})]})
    async with event_node(tmp_path / "node", council=council) as node:
        await node.start()
        url = f"{node.url}/governance/add-action"

        async def say(kind: str, payload: dict[str, Any]) -> None:
            note = await council.sign("hk", kind, payload)
            answer = await node.http.post(url, content=note, headers={"content-type": "text/plain"})
            assert answer.status_code == httpx.codes.OK, answer.text

        numbers = itertools.count(1)

        async def statuses() -> list[int]:
            seqs = [next(numbers), next(numbers)]
            answers = [
                await node.send(by, batch(by.member, n, [event(n)]))
                for by, n in zip((platform, rotated), seqs, strict=True)
            ]
            return [answer.status_code for answer in answers]

        assert await statuses() == [200, 401]
        await say("member-suspend", {"id": "iam-smart", "reason": "asked by its auditor"})
        assert await statuses() == [401, 401]
        await say("member-resume", {"id": "iam-smart", "reason": ""})
        await say("key-rotate", {"member": "iam-smart", "old": first, "new": second})
        assert await statuses() == [401, 200]
        await node.process.stop()
        await node.start()
        assert await statuses() == [401, 200]
        await say("key-revoke", {"member": "iam-smart", "key": second, "reason": "lost"})
        assert await statuses() == [401, 401]
        await say("key-register", {"member": "iam-smart", "key": second})  # a key that was revoked never comes back
        assert await statuses() == [401, 401]
