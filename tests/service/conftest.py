"""The desk at which members hand in events, for one test."""

from collections.abc import AsyncIterator

import pytest

from tests.service.desk import Desk, engine_of


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    engine = engine_of()
    await engine.create()
    await engine.start()
    made = Desk(engine)
    yield made
    await made.close()
    await engine.audited()
    await engine.stop()
