"""Every operation of /openapi.json, called by schemathesis on a real node: no 5xx, and answers as described.

Values are drawn from the description, half of them against it. Names of logs and of tiles that there are stand in no
description, so they are put into it here: otherwise every answer would be 404.
"""

import asyncio
import base64
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from log.api.app import COLD
from log.api.edge import HOT
from log.formats.family import X509, x509_parts
from log.formats.sct import SCT
from log.formats.text import b64encode
from log.merkle.hashing import leaf_hash
from tests.hostile.node import TILED, Target, target
from tests.support.plain import PATIENCE_S

EXAMPLES = 12  # of an operation, of each of the two modes
CHECKS: list[Any] = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
LOGS = ["x509", "governance", "witness", "nowhere"]
NUMBERS = st.sampled_from(["000", "000.p/1", "000.p/4", "001.p/4", "x001/000", "000.p/256"])  # slashes are none of its

Operation = Any  # schemathesis' own type is generic over its whole schema


class Caller:
    """Calls operations, checks each answer, and remembers which was called and what came."""

    def __init__(self, node: Target) -> None:
        self.node = node
        self.statuses: dict[tuple[str, str], set[int]] = {}
        described = httpx.get(f"{node.url}/openapi.json", timeout=PATIENCE_S).json()
        for operation in (each for methods in described["paths"].values() for each in methods.values()):
            for parameter in operation["parameters"]:
                known = {"log": LOGS, "number": ["000"]}.get(parameter["name"])
                if known is not None:
                    parameter["schema"] = {"type": "string", "enum": known}
        schema = schemathesis.openapi.from_dict(described)
        self.operations: dict[tuple[str, str], Operation] = {
            (method.upper(), path): schema[path][method.upper()]
            for path, methods in schema.raw_schema["paths"].items()
            for method in methods
        }

    def call(self, case: Case[Any]) -> Response:
        """Call and check: a 5xx is a 503 that the description has."""
        response = case.call(base_url=self.node.url, timeout=PATIENCE_S)
        documented = case.operation.definition.raw["responses"]
        excluded: list[Any] = [not_a_server_error] if response.status_code == 503 and "503" in documented else []
        case.validate_response(response, checks=[not_a_server_error, *CHECKS], excluded_checks=excluded)
        called = self.statuses.setdefault((case.operation.method.upper(), case.operation.path), set())
        called.add(response.status_code)
        return response

    def fuzz(self, operation: Operation, mode: GenerationMode) -> None:
        @given(case=operation.as_strategy(generation_mode=mode), number=NUMBERS)
        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        def run(case: Case[Any], number: str) -> None:
            if case.path_parameters.get("number") == "000":
                case.path_parameters["number"] = number
            self.call(case)

        run()

    def fuzz_all(self) -> None:
        for operation in self.operations.values():
            self.fuzz(operation, GenerationMode.POSITIVE)
            if can_be_contradicted(operation.definition.raw):
                self.fuzz(operation, GenerationMode.NEGATIVE)

    def ask(self, method: str, path: str, **values: Any) -> Response:
        return self.call(self.operations[(method, path)].Case(**values))


def can_be_contradicted(described: dict[str, Any]) -> bool:
    """Return whether a request can be against a description: any text is a text."""
    schemas = [parameter["schema"] for parameter in described["parameters"]]
    schemas += [body["schema"] for body in described.get("requestBody", {"content": {}})["content"].values()]
    return any(schema != {"type": "string"} for schema in schemas)


def in_order(caller: Caller) -> None:
    """Call each operation as it is meant to be called."""
    (der, answer), *_ = caller.node.world.promises.scts.values()
    issuers = caller.node.world.promises.issuer.issuers
    index, time_ms = SCT.from_json(answer).index, answer["timestamp"]
    parts = x509_parts(der, [sha256(issuer).digest() for issuer in issuers])
    leaf = leaf_hash(X509.place(parts, index, time_ms).leaf)
    ours = {"log": "x509"}
    chain = {"chain": [b64encode(each) for each in (der, *issuers)]}
    for path, parameters, query in (
        ("/", {}, {}),
        ("/.well-known/twinlog.json", {}, {}),
        ("/healthz", {}, {}),
        ("/metrics", {}, {}),
        ("/openapi.json", {}, {}),
        ("/{log}/checkpoint", ours, {}),
        ("/{log}/tile/data/{number}", {**ours, "number": "000"}, {}),
        ("/{log}/tile/entries/{number}", {**ours, "number": "001.p/4"}, {}),
        ("/{log}/tile/{level}/{number}", {**ours, "level": 0, "number": "000"}, {}),
        ("/{log}/issuer/{fingerprint}", {**ours, "fingerprint": sha256(issuers[0]).hexdigest()}, {}),
        ("/{log}/tlog-proof", ours, {"leaf": leaf.hex(), "head": "newest"}),
        ("/{log}/ct/v1/get-roots", ours, {}),
        ("/{log}/ct/v1/get-sth", ours, {}),
        ("/{log}/ct/v1/get-sth-consistency", ours, {"first": 3, "second": TILED}),
        ("/{log}/ct/v1/get-proof-by-hash", ours, {"hash": base64.b64encode(leaf).decode(), "tree_size": TILED}),
        ("/{log}/ct/v1/get-entries", ours, {"start": 0, "end": 20}),
        ("/{log}/ct/v1/get-entry-and-proof", ours, {"leaf_index": index, "tree_size": TILED}),
    ):
        assert caller.ask("GET", path, path_parameters=parameters, query=query).status_code == 200, path
    submitted = {"path_parameters": ours, "media_type": "application/json"}
    assert caller.ask("POST", "/{log}/ct/v1/add-chain", body=chain, **submitted).status_code == 200
    assert caller.ask("POST", "/{log}/ct/v1/add-pre-chain", body=chain, **submitted).status_code == 400
    assert caller.ask("GET", "/{log}/checkpoint/witnessed", path_parameters=ours).status_code == 404


async def test_every_operation_is_called_and_answers_as_described(tmp_path: Path) -> None:
    async with target(tmp_path / "d", {}, TILED) as node:
        caller = await asyncio.to_thread(Caller, node)
        declared = {(route.method, route.pattern.replace(":path", "")) for route in (*HOT, *COLD)}
        assert set(caller.operations) == declared
        await asyncio.to_thread(in_order, caller)
        await asyncio.to_thread(caller.fuzz_all)
        assert set(caller.statuses) == declared
        await node.unharmed()
