"""The bench of the queue, at a size that takes a minute on a machine that is not loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.brokers import Redis

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("broker", ["folder", "redis"])
def test_nothing_is_lost_or_doubled(broker: str) -> None:
    if broker == "redis" and not Path(Redis.program).exists():
        pytest.skip(f"{Redis.program} is missing: apt-get install {Redis.package}")
    command = [sys.executable, "-m", "bench.queue", "--documents", "150", "--broker", broker, "--every", "6", "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    report = json.loads(done.stdout)
    assert report["lost"] == report["doubled"] == report["wrong"] == 0
    assert (report["documents"], report["jobs"], report["dead_letters"]) == (150, 153, 2)
    assert report["readings"] == 150
    assert sum(report["kills"].values()) > 0
