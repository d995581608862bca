"""TensorFlow as a zygote imports it."""

from __future__ import annotations

import subprocess
import sys

from jail.environment import zygote_environment

PROGRAM = """
import sys
from engines.scribe import session

session.import_tensorflow()
import tensorflow as tf

print(sorted({"h5py", "scipy"} & {name.split(".")[0] for name in sys.modules}), tf.constant(2).numpy())
import h5py
print(h5py.File.__name__)
"""


def test_tensorflow_comes_without_what_no_graph_needs_and_keeps_it_from_nobody() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=zygote_environment({}), capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == ["[] 2", "File"]
