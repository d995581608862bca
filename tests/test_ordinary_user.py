"""`cloister serve`, whole, as an ordinary user with a cgroup delegated to it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from PIL import Image

from engines.documents import specimen
from jail.environment import zygote_environment
from jail.layers import Layer
from server.client import Client
from server.errors import CloisterError
from tests.conftest import USER

pytest.importorskip("tesserocr", reason="the extra tesseract is not installed")

START_S = 60.0


def wait_until_serving(client: Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while True:
        assert process.poll() is None, "the server ended; its errors are above"
        try:
            if client.engines():
                return
        except CloisterError:
            assert time.monotonic() < deadline
        time.sleep(0.1)


def test_an_ordinary_user_serves_from_behind_every_layer(delegated: str, python_for_all: str, tmp_path: Path) -> None:
    """With Tesseract: of scribe, an interpreter that is not the tests' own finds no compiled part."""
    os.chown(tmp_path, USER, USER)
    for folder in tmp_path.parents[:2]:
        folder.chmod(0o711)
    address = f"unix:{tmp_path}/socket"
    settings = {"LISTEN__ADDRESS": address, "ENGINES": '["tesseract"]', "JAIL__CGROUP_PARENT": delegated}
    buffer = io.BytesIO()
    Image.fromarray(specimen.receipt()).save(buffer, "PNG")
    with subprocess.Popen(
        [python_for_all, "-m", "server.cli", "serve"],
        env=zygote_environment({f"CLOISTER_{name}": value for name, value in settings.items()}),
        cwd=tmp_path,
        user=USER,
        group=USER,
        extra_groups=[],
    ) as process:
        try:
            with Client(address, deadline_s=START_S) as client:
                wait_until_serving(client, process)
                response = client.recognize(buffer.getvalue())
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(START_S) == 0
    assert "Total 19.78" in response.text
    off = set(response.provenance.jail_layers_off)
    assert off <= {Layer.LANDLOCK}
    assert set(response.provenance.jail_layers) | off == set(Layer)
