"""One node as a process: it listens, opens what `state` made, serves until a signal or a failed store, and says how.

Exit codes: 0 stopped, 3 the state on disk refuses, 4 a store failed. Wrong settings raise `SettingsError` (2).
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from functools import partial

from log import bounds, heap, journal, main
from log.api import server
from log.api.app import Options, create_app
from log.authority import FixedMembers, Members
from log.errors import SettingsError, StateRefused, StorageError, StoreFailed
from log.sequencer.clock import Clock
from log.serving.vitals import Vitals
from log.settings import NodeSettings
from log.sockets import listen, stays_here, url_of

logger = logging.getLogger("twinlog.process")

EXIT_STOPPED = 0
EXIT_STATE = 3
EXIT_STORE = 4


async def serve(
    settings: NodeSettings, clock: Clock, announce: Callable[[str], None], members: Members | None = None
) -> int:
    """Run a node until SIGTERM or SIGINT, or until a store fails; return the process's exit code.

    `announce` gets the URL once every log has recovered and the socket answers. Nobody is a member by default.
    """
    asyncio.get_running_loop().set_exception_handler(journal.task_failed)
    with listen(settings.listen) as listener, Vitals(clock.wall_ms()).watched() as vitals:
        return await _serve(settings, clock, listener, vitals, announce, members or FixedMembers())


async def _serve(
    settings: NodeSettings,
    clock: Clock,
    listener: socket.socket,
    vitals: Vitals,
    announce: Callable[[str], None],
    members: Members,
) -> int:
    tls = bounds.tls_of(settings)
    if tls is None and not settings.behind_proxy and not stays_here(listener):
        raise SettingsError(
            f"listen: {settings.listen} is reached from other machines: set tls_certificate and tls_key, or "
            "behind_proxy = true where a proxy in front speaks TLS"
        )
    url = url_of(listener, tls)
    try:
        node = await main.build(settings, clock, url, members)
        await node.start()
    except StoreFailed as error:
        logger.error("a store failed: %s", error)  # noqa: TRY400 - an answer to the operator, not a crash
        return EXIT_STORE
    except (StateRefused, StorageError) as error:
        logger.error("the state refuses: %s", error)  # noqa: TRY400 - an answer to the operator, not a crash
        return EXIT_STATE
    options = Options(
        bounds.credentials(settings, url, node.members),
        settings.behind_proxy,
        bounds.http_limits(settings),
        settings.limits.slow_request_ms,
    )
    failed = asyncio.create_task(node.ended())
    app = create_app(node, options, clock, vitals)
    logger.info("serving", extra={"fields": {"node": node.name, "url": url, "version": node.version}})
    try:
        with heap.settled():
            await server.serve(
                app,
                listener,
                settings.stop_timeout_s,
                failed,
                partial(announce, url),
                tls,
                bounds.connection_limits(settings),
            )
    finally:
        logger.info("stopping", extra={"fields": {"node": node.name}})
        failed.cancel()
        await node.stop()
        logger.info("stopped", extra={"fields": {"node": node.name}})
    if node.failure is None:
        return EXIT_STOPPED
    return EXIT_STATE if isinstance(node.failure, StateRefused) else EXIT_STORE
