"""A pair of nodes that show entries to members alone, and the monitor that follows and guards them by a token."""

from hashlib import sha256
from pathlib import Path

import httpx

from log.client.bearer import BearerTokens
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
        async with httpx.AsyncClient(auth=BearerTokens({w.site().url: token})) as reader:
            assert (await reader.get(tile)).status_code == httpx.codes.OK
            assert (await w.reckon(reader)).size == 5
