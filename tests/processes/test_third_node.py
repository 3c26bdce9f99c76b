"""A third node, Shandong's, joins a running pair by actions: witnessed, followed and guarded, nothing restarted."""

from hashlib import sha256
from pathlib import Path

import httpx

from log import keyring
from log.demo.ports import own_port
from log.formats.action import JOINT
from log.formats.policy import Policy
from log.sequencer.clock import SystemClock
from log.settings import NodeSettings
from tests.support import forked
from tests.support.forked import Process
from tests.support.nodes import World, client, eventually, monitor_lines, world

NAME, HOST = "CN-SD", "sd.twinlog.example"
FAMILIES = ("x509", "governance")


class Third:
    """The third node's folder, keys and process."""

    def __init__(self, w: World, folder: Path) -> None:
        self.w, self.folder, self.port = w, folder, own_port()
        self.settings = folder / "twinlog.toml"
        folder.mkdir()
        hk = NodeSettings.load(w.site("hk").settings)
        (self.monitor,) = hk.guards
        self.write()
        keyring.keygen(NodeSettings.load(self.settings), SystemClock())
        self.public = keyring.public_keys(NodeSettings.load(self.settings), SystemClock())
        witness = keyring.public_keys(hk, SystemClock())["hk.twinlog.example/witness"][0]
        for family in FAMILIES:
            lines = [f"log {vkey}" for vkey in self.public[f"{HOST}/{family}"]]
            lines += [f"witness HK {witness}", f"witness monitor {self.monitor.cosigner}"]
            lines += ["group both all HK monitor", "quorum both"]
            (folder / f"{family}.policy").write_text("\n".join(lines) + "\n")
        self.write()
        done = forked.run("log", "init", "--settings", str(self.settings))
        assert done.returncode == 0, done.stderr
        self.process = Process("log", ["serve", "--settings", str(self.settings)], folder / "out")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def write(self) -> None:
        genesis = self.w.deployment.council.genesis_file
        lines = [f'node = "{NAME}"', f'listen = "127.0.0.1:{self.port}"', f'public_url = "{self.url}"']
        for family in FAMILIES:
            lines += ["[[logs]]", f'name = "{family}"', f'family = "{family}"', f'origin = "{HOST}/{family}"']
            lines += [f'policy = "{family}.policy"', 'bodies = "public"']
        lines += ["[[guards]]", 'name = "monitor"']
        lines += [f'cosigner = "{self.monitor.cosigner}"', f'push = "{self.monitor.push}"']
        lines += ["[governance]", f'genesis = "{genesis}"', f'sha256 = "{sha256(genesis.read_bytes()).hexdigest()}"']
        self.settings.write_text("\n".join(lines) + "\n")

    async def join(self, http: httpx.AsyncClient) -> None:
        """Let both sides say that this node is one of them, to the Hong Kong node alone."""
        council, witness = self.w.deployment.council, self.public[f"{HOST}/witness"][0]
        node = {"name": NAME, "side": "", "url": self.url, "authority": HOST, "witness": witness}
        actions: list[tuple[str, dict[str, object]]] = [("node-add", {**node})]
        for family in FAMILIES:
            origin = f"{HOST}/{family}"
            entry = {"origin": origin, "node": NAME, "name": family, "family": family, "vkeys": self.public[origin]}
            actions.append(("log-add", {**entry, "window": None}))
            policy = Policy.parse((self.folder / f"{family}.policy").read_bytes()).encode()
            actions.append(("policy", {"origin": origin, "policy": policy}))
        guard = {"node": NAME, "name": "monitor", "cosigner": self.monitor.cosigner, "push": self.monitor.push}
        actions.append(("guard-add", {**guard}))
        for kind, payload in actions:
            note = await council.sign(JOINT, kind, payload)
            url = f"{self.w.site().url}/governance/add-action"
            answer = await http.post(url, content=note, headers={"content-type": "text/plain"})
            assert answer.status_code == httpx.codes.OK, answer.text


async def test_it_joins_by_actions_and_is_witnessed_and_followed_without_restart(tmp_path: Path) -> None:
    async with world(tmp_path / "pair", governed=True) as w, client() as http:
        settings = w.deployment.monitor_settings
        settings.write_text(settings.read_text().replace('near = ["HK", "GD"]', f'near = ["HK", "GD", "{NAME}"]'))
        for side in ("hk", "gd"):
            await w.start(side)
        await w.start_monitor()
        for side in ("hk", "gd"):
            await w.healthy(http, side)
        running = [w.process(side).pid for side in ("hk", "gd")]
        third = Third(w, tmp_path / "sd")
        await third.process.start("listening on")
        try:
            await third.join(http)
            urls = [w.site("hk").url, w.site("gd").url, third.url]

            async def carried() -> bool:
                digests = {(await http.get(f"{url}/governance/actions")).json()["digest"] for url in urls}
                return len(digests) == 1

            await eventually("every node holds every action", carried)

            async def taken() -> bool:
                return await w.promises.submit(http, third.url) == httpx.codes.OK

            await eventually("the third node takes certificates under both sides' lists", taken)

            async def vouched() -> bool:
                [status] = [
                    row for row in (await http.get(f"{third.url}/healthz")).json()["logs"] if row["name"] == "x509"
                ]
                return bool(status["witnessed_size"] == status["size"] > 0)

            await eventually("Hong Kong and the monitor vouch for its log", vouched)
            digest = sha256(f"{HOST}/x509".encode()).hexdigest()

            async def cosigned() -> bool:
                answers = [await http.get(f"{url}/witness/{digest}/checkpoint") for url in urls[:2]]
                return all(answer.status_code == httpx.codes.OK for answer in answers)

            await eventually("both sides' witnesses have cosigned it", cosigned)

            async def witnesses() -> bool:
                pair = [sha256(w.site(side).origin("x509").encode()).hexdigest() for side in ("hk", "gd")]
                answers = [await http.get(f"{third.url}/witness/{each}/checkpoint") for each in pair]
                return all(answer.status_code == httpx.codes.OK for answer in answers)

            await eventually("its witness has cosigned the logs of both sides", witnesses)

            async def guarded() -> bool:
                return all(row["guarded"] for row in (await http.get(f"{third.url}/healthz")).json()["logs"])

            await eventually("a guard has spoken for each of its logs", guarded)
            assert [w.process(side).pid for side in ("hk", "gd")] == running

            council = w.deployment.council
            note = await council.sign(JOINT, "node-remove", {"name": NAME, "reason": "a test"})
            answer = await http.post(f"{urls[1]}/governance/add-action", content=note)
            assert answer.status_code == httpx.codes.OK, answer.text

            async def gone() -> bool:
                told = [line for line in monitor_lines(w) if line["event"] == "roster"]
                return bool(told) and told[-1]["nodes"] == ["HK", "GD"]

            await eventually("the monitor follows two nodes again", gone)
        finally:
            await third.process.stop()
