"""The net that looks at crops: in which turn it says a page came, and how sure it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.scribe.engine import TURN_WEIGHTS, WEIGHTS
from engines.scribe.orientation import TurnWeightsError, Voters
from engines.scribe.orientation.crops import MOST, SIDE, crops
from engines.scribe.orientation.votes import pooled
from tests.engines.scribe.orientation.pages import letter

GOLDEN = Path(__file__).with_name("golden.npz")


def test_light_text_on_dark_is_turned_too(voters: Voters) -> None:
    grey = 255 - letter()[:, :, 0]
    for quarters in range(4):
        assert voters.votes(np.ascontiguousarray(np.rot90(grey, -quarters))).quarters == quarters


def test_tensorflow_gives_the_logits_that_pytorch_gave(voters: Voters) -> None:
    with np.load(GOLDEN) as golden:
        np.testing.assert_allclose(voters.logits(golden["crops"]), golden["logits"], atol=2e-3)


CANARY = """
import json, os, sys
from pathlib import Path
import numpy as np
from engines.scribe.orientation.votes import Voters
from engines.scribe.recogniser.reader import Recogniser

recogniser, voters = Recogniser.load(Path(sys.argv[1])), Voters.load(Path(sys.argv[2]))
crops = np.load(sys.argv[3])["crops"]
windows = np.random.default_rng(0).integers(0, 255, (3, 32, 256), np.uint8)
def both():
    return [voters.logits(crops).round(3).tolist(), recogniser.logits(windows).round(2).sum().item()]
here = both()
source, sink = os.pipe()
if os.fork() == 0:
    os.write(sink, json.dumps(both()).encode())
    os._exit(0)
os.close(sink)
print(json.dumps([here, json.loads(os.fdopen(source, "rb").read())]))
"""


def test_both_nets_run_in_a_forked_child() -> None:
    command = [sys.executable, "-c", CANARY, str(WEIGHTS), str(TURN_WEIGHTS), str(GOLDEN)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=True, cwd=WEIGHTS.parents[2])
    here, there = json.loads(done.stdout.splitlines()[-1])
    assert there == here


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    (tmp_path / "turn.npz").write_bytes(b"PK but no archive")
    with pytest.raises(TurnWeightsError, match=str(tmp_path)):
        Voters.load(tmp_path)


def test_a_turned_page_gives_the_same_crops_turned() -> None:
    grey = np.ascontiguousarray(letter()[:, :, 0])
    assert len(crops(grey)) == MOST
    # Where crops lie is not exactly the same, but what they show is as large.
    dark = [float((crops(np.ascontiguousarray(np.rot90(grey, q))) < 128).mean()) for q in range(4)]
    assert max(dark) < 1.15 * min(dark)
    assert crops(grey, 5).shape == (5, SIDE, SIDE)


def test_a_far_finer_scan_gives_crops_of_letters_as_large() -> None:
    grey = np.ascontiguousarray(letter()[:, :, 0])
    fine = np.asarray(cv2.resize(grey, None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC), np.uint8)
    coarse, finer = (float((crops(page) < 128).mean()) for page in (grey, fine))
    assert finer == pytest.approx(coarse, rel=0.15)


def test_nothing_seen_means_upright_and_more_evidence_means_more_certainty() -> None:
    nothing = pooled(np.zeros(4), 3.0)
    assert nothing.argmax() == 0
    some, more = (pooled(np.log([0.1, 0.7, 0.1, 0.1]) * count, 3.0)[1] for count in (8, 16))
    assert nothing[1] < some < more
