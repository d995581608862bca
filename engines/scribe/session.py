"""TensorFlow, set up so that a graph still runs in a forked child.

Only one way of running a graph survives `fork`; canary tests hold it. Each Session that runs in a process before the
fork must be made here: another's thread pools would be shared, and the child would wait for threads it does not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf


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
