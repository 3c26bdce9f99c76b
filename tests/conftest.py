"""What all tests share: in CI, a skipped test must say why, and only what CI cannot have is a reason."""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# How fast values are drawn says how busy the machine is, and how many of the first draws are too large is chance: of
# some values 20 before ten that fit, once in a thousand runs. Where none fits a test still fails. Half as many examples
# as usual: the fuzzers draw for hours.
CHANCE = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("twinlog", deadline=None, max_examples=50, suppress_health_check=CHANCE)
settings.load_profile("twinlog")

# Nothing else may be skipped where CI=true; the list is printed with every run (`-ra`).
ALLOWED = (
    "shared data absent",
    "Go absent",
    "mounting is not allowed",
    "promtool absent",
    "prometheus absent",
    "neither strace nor a C compiler",
)


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    """Name the tests that were skipped in CI without a reason that counts."""
    for report in _unexcused(terminalreporter):
        terminalreporter.write_line(f"skipped in CI without an allowed reason: {report.nodeid}: {report.longrepr}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a CI run that left out a test."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")  # None in a process that only runs tests
    if exitstatus == 0 and reporter is not None and _unexcused(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _unexcused(reporter: Any) -> list[Any]:
    if os.environ.get("CI") != "true":
        return []
    return [
        report
        for report in reporter.stats.get("skipped", [])
        if not any(reason in str(report.longrepr) for reason in ALLOWED)
    ]
