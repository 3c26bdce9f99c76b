"""CPU time and memory of a process, of its children, and of the machine, from /proc and the kernel's clocks."""

import os
import re
import resource
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.stats import a_second

_TICKS = os.sysconf("SC_CLK_TCK")


def of_server(pid: int) -> float:
    """Return the CPU-seconds that a process and its children have used, all their threads together."""
    return sum(_of_process(each) for each in family(pid))


def family(pid: int) -> list[int]:
    """Return the process ids of a server and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children")  # a node starts them from its first thread
    return [pid, *map(int, children.read_text(encoding="utf-8").split())]


def _of_process(pid: int) -> float:
    # The clock of another process, as clock_getcpuclockid(3) names it. /proc/PID/stat counts whole ticks of 10 ms.
    return time.clock_gettime((~pid << 3) | 2)


def anonymous_mb(pid: int) -> float:
    """Return the resident anonymous memory of a server and its children, in MB."""
    found = 0
    for each in family(pid):
        status = Path(f"/proc/{each}/status").read_text(encoding="utf-8")
        found += sum(int(number) for number in re.findall(r"^RssAnon:\s+(\d+) kB", status, re.MULTILINE))
    return found / 1024


def of_machine() -> float:
    """Return the CPU-seconds that all cores were busy since boot, what a hypervisor took included."""
    user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = (
        int(word) for word in Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1:]
    )
    return (user + nice + system + irq + softirq + steal) / _TICKS


def of_tool() -> float:
    """Return the CPU-seconds of this process and of its children that have ended: the load tool."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds between two moments."""

    wall: float
    server: float | None  # CPU; None when the work was done in this process
    tool: float  # CPU
    others: float  # CPU of whatever else ran on the machine

    def __str__(self) -> str:
        tool, others = self.tool / self.wall, f"others {self.others / self.wall:.2f} of {os.cpu_count()}"
        if self.server is None:
            return f"cores used: this process {tool:.2f}, {others}"
        return f"cores used: server {self.server / self.wall:.2f}, load tool {tool:.2f}, {others}"

    def per(self, count: int) -> float:
        """Return the server's CPU-seconds for each of `count` requests; without end if there were none."""
        return a_second(1, self.rate(count))

    def rate(self, count: int) -> float:
        """Return how many of `count` requests the server does in a CPU-second; without end if it took no time."""
        if self.server is None:
            raise AssertionError("there was no server")
        return a_second(count, self.server)


class Watch:
    """Measures from its making to `stop`."""

    def __init__(self, server: int | None) -> None:
        """`server` is a process id; None when the work is done in this process."""
        self._server = server
        self._begin = self._now()

    def _now(self) -> tuple[float, float, float, float]:
        server = 0.0 if self._server is None else of_server(self._server)
        return time.monotonic(), server, of_tool(), of_machine()

    def stop(self) -> Spent:
        """Return what was spent since the beginning."""
        wall, server, tool, machine = (after - before for before, after in zip(self._begin, self._now(), strict=True))
        others = max(0.0, machine - server - tool)
        return Spent(wall, None if self._server is None else server, tool, others)
