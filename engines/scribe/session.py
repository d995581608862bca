"""TensorFlow, set up so that a graph still runs in a forked child.

Only one way of running a graph survives `fork`; canary tests hold it. Each Session that runs in a process before the
fork must be made here: another's thread pools would be shared, and the child would wait for threads it does not have.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import tensorflow as tf

# TensorFlow takes oneDNN by itself on some CPUs alone. On one that has AVX2 and no more the small net needs a third
# less time with it, the large one a sixth. Read when TensorFlow is imported, which all that run a graph do after this.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# It makes code for each form of input when it meets it, which a cell may not, and by itself lets the oldest go beyond
# 1,024 pieces of it; batches of five sizes instead of three needed more.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8192")
# Its operations would keep the memory they have used, which a cell then copies page by page as it writes to it; from
# malloc they get pages that nobody has touched (see `jail.heap`): an idle cell holds a fifth less, a busy one a sixth.
os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")

_DONE_WITHOUT = ("h5py", "scipy")
"""What TensorFlow imports where it is installed, for what no graph needs: a fork copies each library's mappings."""


def import_tensorflow() -> None:
    """Import TensorFlow as it is where those are not installed."""
    hidden = [name for name in _DONE_WITHOUT if name not in sys.modules]
    # The import system's sign for a module that is not to be found.
    sys.modules.update(dict.fromkeys(hidden, cast(ModuleType, None)))
    try:
        import tensorflow as tf  # noqa: F401
    finally:
        for name in hidden:
            del sys.modules[name]


def callable_graph(definition: tf.compat.v1.GraphDef, given: str, wanted: str) -> Any:
    """A function from an array for the placeholder ``given`` to the tensor ``wanted``, that still runs after a fork.

    The Session's settings are what makes it so: no thread pool of its own (inter -1), operations inline (intra 1),
    and the executor that schedules nothing. The graph must be frozen and without control flow."""
    import tensorflow as tf

    config = tf.compat.v1.ConfigProto(
        inter_op_parallelism_threads=-1, intra_op_parallelism_threads=1, use_per_session_threads=True
    )
    config.experimental.executor_type = "SINGLE_THREADED_EXECUTOR"
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        session = tf.compat.v1.Session(graph=graph, config=config)
    return session.make_callable(f"{wanted}:0", [f"{given}:0"])
