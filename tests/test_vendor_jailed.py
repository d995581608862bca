"""A vendor's program in cells: the example's settings as they are, and each format that it writes."""

from __future__ import annotations

import io
import shutil
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from engines.documents import specimen
from jail.layers import Layer
from server import telemetry
from server.app import running
from server.async_client import AsyncClient
from server.settings import Settings

EXAMPLE = Path(__file__).parents[1] / "deploy" / "examples" / "vendor.toml"

pytestmark = pytest.mark.skipif(shutil.which("tesseract") is None, reason="missing: apt-get install tesseract-ocr")


@pytest.mark.parametrize(("format_", "suffix"), [("alto", ".xml"), ("hocr", ".hocr"), ("tsv", ".tsv")])
async def test_a_vendors_program_reads_in_jailed_cells_whatever_it_writes(format_: str, suffix: str) -> None:
    values = tomllib.loads(EXAMPLE.read_text())
    options = values["engine"]["acme"]
    arguments = [*options["arguments"][:-1], format_]
    values["engine"]["acme"] = {**options, "format": format_, "arguments": arguments, "output": "{output}" + suffix}
    settings = Settings(
        **{**values, "engines": ("acme",)}, cells={"busy": 1, "idle": 1}, listen={"address": "127.0.0.1:0"}
    )
    buffer = io.BytesIO()
    Image.fromarray(specimen.receipt()).save(buffer, "PNG")
    async with running(settings, log=telemetry.logger(quiet=True)) as server, AsyncClient(server.address) as client:
        response = await client.recognize(buffer.getvalue())
    words = [word for line in response.pages[0].lines for word in line.words]
    assert {"Grocery", "18.49"} <= {word.text for word in words}
    assert all(0 < word.confidence <= 1 and word.quad.bottom_right.x <= response.pages[0].width for word in words)
    assert (response.provenance.engine, response.provenance.engine_version) == ("acme", "5.3.0")
    assert {Layer.SECCOMP, Layer.MOUNTS, Layer.NETWORK_NAMESPACE} <= set(response.provenance.jail_layers)
