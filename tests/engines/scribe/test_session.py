"""TensorFlow as a zygote imports it."""

from __future__ import annotations

import subprocess
import sys

from jail.environment import zygote_environment

IMPORTS = """
import sys
from engines.scribe import session

session.import_tensorflow()
import tensorflow as tf

print(sorted({"h5py", "scipy"} & {name.split(".")[0] for name in sys.modules}), tf.constant(2).numpy())
import h5py
print(h5py.File.__name__)
"""

READS_TWICE = """
from pathlib import Path

import numpy as np

from engines.scribe.engine import TURN_WEIGHTS, WEIGHTS
from engines.scribe.orientation.votes import BATCH, SIDE, Voters
from engines.scribe.recogniser.reader import Recogniser

recogniser, voters = Recogniser.load(WEIGHTS), Voters.load(TURN_WEIGHTS)
print("loaded", flush=True)
recogniser.warm()
voters.logits(np.zeros((BATCH, SIDE, SIDE), np.uint8))
"""


def test_tensorflow_comes_without_what_no_graph_needs_and_keeps_it_from_nobody() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS], env=zygote_environment({}), capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == ["[] 2", "File"]


def test_no_code_is_made_for_a_form_of_input_that_was_met_while_loading() -> None:
    env = zygote_environment({"ONEDNN_VERBOSE": "2"})
    done = subprocess.run([sys.executable, "-c", READS_TWICE], env=env, capture_output=True, text=True, check=True)
    while_loading, _, after = done.stdout.partition("loaded")
    assert "create:cache_miss" in while_loading
    assert "exec" in after
    assert "create:cache_miss" not in after
