"""What the wheel holds: both packages, their data files, and no tests."""

import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

CHECKOUT = Path(__file__).resolve().parents[1]


def test_the_wheel_holds_both_packages_and_no_tests(tmp_path: Path) -> None:
    [wheel] = WheelBuilder(str(CHECKOUT)).build(directory=str(tmp_path), versions=["standard"])
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {"log", "monitor"} <= tops
    assert {top for top in tops if not top.endswith(".dist-info")} == {"log", "monitor"}
    for file in ("log/py.typed", "monitor/py.typed", "log/merkle/proof.py", "log/api/edge.py", "monitor/main.py"):
        assert file in names
    for file in ("prometheus.yml", "alerts.yml", "dashboard.json"):
        assert {f"log/operations/{file}", f"monitor/operations/{file}"} <= {*names}
    [entry_points] = [name for name in names if name.endswith("entry_points.txt")]
    text = zipfile.ZipFile(wheel).read(entry_points).decode()
    assert "twinlog = log.cli:main" in text
    assert "twinlog-monitor = monitor.cli:main" in text
