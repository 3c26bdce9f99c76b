"""wrk as a closed-loop tool: a Lua script made at run time feeds it the prepared requests.

wrk 1 to 4 know no open loop, so rows at a fixed rate never use it.
"""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

from tests.bench.requests import LENGTH_DIGITS

EXHAUSTED = "/the-prepared-requests-ran-out"  # answered with an error, which fails the row

_SCRIPT = """
local file = assert(io.open(%(file)s, "rb"))
local again = %(again)s
local all = {}

local function following()
  local length = file:read(%(digits)d)
  return length and file:read(tonumber(length))
end

if again then
  for one in following do all[#all + 1] = one end
end

function request()
  if again then return all[math.random(#all)] end
  return following() or wrk.format("GET", "%(exhausted)s")
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\\n{"requests": %%d, "seconds": %%.6f, "p50_ms": %%.3f, "p99_ms": %%.3f, ' ..
    '"status": %%d, "socket": %%d, "timeout": %%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.status, e.connect + e.read + e.write, e.timeout))
end
"""


def available() -> bool:
    """Say whether wrk is installed."""
    return shutil.which("wrk") is not None


def script(requests: Path, *, again: bool) -> str:
    """Return the Lua script: requests in the file's order once, or `again` and again in any order."""
    return _SCRIPT % {
        "file": json.dumps(str(requests)),
        "again": "true" if again else "false",
        "digits": LENGTH_DIGITS,
        "exhausted": EXHAUSTED,
    }


async def run(port: int, requests: Path, *, again: bool, connections: int, seconds: float) -> dict[str, Any]:
    """Load 127.0.0.1:port with one thread; return what the script's `done` wrote."""
    lua = requests.with_suffix(".lua")
    lua.write_text(script(requests, again=again), encoding="utf-8")
    arguments = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s", "-s", str(lua)]
    process = await asyncio.create_subprocess_exec(
        "wrk",
        *arguments,
        f"http://127.0.0.1:{port}/",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed = (await process.communicate())[0].decode(errors="replace")
    last = printed.strip().rpartition("\n")[2]
    if process.returncode != 0 or not last.startswith("{"):
        raise RuntimeError(f"wrk failed: {printed.strip()}")
    told: dict[str, Any] = json.loads(last)
    return told
