"""A short version of `make leaks`: every process is sampled, and no response is wrong."""

from pathlib import Path

import pytest

from tools.leaks.report import chart_svg, table, traffic_line
from tools.leaks.run import run
from tools.leaks.samples import BOUNDS, DATABASE, SERVICES


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder that PostgreSQL's account may traverse."""
    tmp_path.chmod(0o711)
    return tmp_path


@pytest.mark.timeout(180)
async def test_every_process_is_sampled_and_no_response_is_wrong(open_folder: Path):
    done = await run(open_folder, seconds=6.0, interval=0.5, unknown_key_share=0.05)

    assert done.sample.wrong == 0, done.sample.first_wrong
    assert len(done.sample.latencies) > 100
    assert done.samples.restarted == set()
    expected = {(process, what) for process in SERVICES for what in BOUNDS}
    assert done.samples.series.keys() == expected | {(DATABASE, "memory MiB")}
    assert all(len(points) >= 5 for points in done.samples.series.values())
    growth = done.samples.growth(warm_up=0.0)
    assert traffic_line(done.sample)
    assert table(growth).count("\n") == len(growth)
    assert chart_svg(done.samples).count("<polyline") == len(growth)
