"""What a server must not pay for."""

from __future__ import annotations

import subprocess
import sys

from tests.server.queue.fleet import ROOT, environment


def test_a_server_that_takes_jobs_loads_neither_celery_nor_a_store_s_client() -> None:
    code = (
        "import sys, server.cli, server.app\n"
        "print([name for name in ('celery', 'kombu', 'fsspec', 's3fs', 'redis') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment({}), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
