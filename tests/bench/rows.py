"""What a row is, and how its figures become a verdict and JSON."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.bench.ground import Ground


@dataclass(frozen=True, slots=True)
class Result:
    """What one run of a row gave. Value and limit are in the row's unit."""

    value: float | None  # None: the row failed, and `detail` says how
    limit: float | None  # what the machine can do at all, in the same run
    detail: str  # the tool, the CPU time, other percentiles
    why: str = ""  # what held it back; printed where the goal was missed

    @property
    def ratio(self) -> float | None:
        """The figure as a multiple of the machine's limit."""
        return self.value / self.limit if self.value is not None and self.limit else None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of design.md section 7."""

    name: str
    unit: str  # /s, ms, s, MB or ratio
    goal: float | None  # None: measured, with no goal set
    limit_is: str  # what is measured as the machine's limit
    run: Callable[[Ground], Awaitable[Result]]

    @property
    def is_rate(self) -> bool:
        """Whether more is better; of a time less is."""
        return self.unit == "/s"

    def reached(self, result: Result) -> bool:
        """Say whether the result meets the goal."""
        if result.value is None or self.goal is None:
            return result.value is not None
        return result.value >= self.goal if self.is_rate else result.value <= self.goal

    def to_json(self, result: Result) -> dict[str, Any]:
        """Return the row as the JSON file has it; the first five keys are the contract's."""
        return {
            "name": self.name,
            "value": _rounded(result.value),
            "unit": self.unit,
            "limit": _rounded(result.limit),
            "ratio": _rounded(result.ratio),
            "goal": self.goal,
            "reached": self.reached(result),
            "detail": result.detail,
        }

    def lines(self, result: Result) -> Iterable[str]:
        """Yield the row as it is printed."""
        figure = "failed" if result.value is None else _shown(result.value, self.unit)
        yield f"{self.name}: {figure} {self._verdict(result)}"
        if result.limit is not None:
            ratio = "" if result.ratio is None else f"; ratio {result.ratio:.3g}"
            yield f"    limit {_shown(result.limit, self.unit)}: {self.limit_is}{ratio}"
        yield f"    {result.detail}"
        if result.why and not self.reached(result):
            yield f"    why: {result.why}"

    def _verdict(self, result: Result) -> str:
        if self.goal is None:
            return "(no goal set)"
        sign = ">=" if self.is_rate else "<="
        verdict = "reached" if self.reached(result) else "NOT REACHED"
        return f"(to reach: {sign} {_shown(self.goal, self.unit)}): {verdict}"


def _rounded(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.5g}")


def _shown(number: float, unit: str) -> str:
    return f"{number:,.0f}{unit}" if unit == "/s" else f"{number:,.3g} {unit}"
