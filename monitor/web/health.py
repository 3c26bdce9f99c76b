"""GET /healthz: 200 while this monitor does what it is there for, else 503; JSON, with the reasons in `problems`."""

import asyncio
import json

from fastapi import APIRouter, Response

from monitor.health import Health


def router(health: Health) -> APIRouter:
    """Return the route."""
    routes = APIRouter()

    @routes.get("/healthz")
    async def healthz() -> Response:
        ok, report = await asyncio.to_thread(health.report)
        headers = {"Cache-Control": "no-store"}
        return Response(json.dumps(report), 200 if ok else 503, headers, "application/json")

    return routes
