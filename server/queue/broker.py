"""The broker by URL, through Celery: what relays send with and workers are fed by.

Only workers import this, and with it Celery: servers and callers write to the ledger alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Celery, Task
from kombu.exceptions import KombuError, OperationalError

from server.queue import folder
from server.queue.relay import BrokerError
from server.queue.settings import Queue as QueueSettings
from server.settings import SettingsError

READ = "cloister.read"
"""The task, whose one argument is a reading's id."""

_QUEUE = "cloister"
_SOCKET_S = 10
_HEARTBEAT_S = 10
# One message is sent at a time, and one that fails is sent by the relay's next round.
_PUBLISHING = {"max_retries": 1, "interval_start": 0.0, "interval_max": 0.0}


def application(settings: QueueSettings) -> Celery:
    """Nothing is connected to yet. Raises `SettingsError` where the URL needs what is not installed."""
    app = Celery("cloister", set_as_current=False)
    app.conf.update(
        broker_url=settings.broker or f"{folder.SCHEME}://",
        broker_transport_options=_options(settings),
        broker_heartbeat=_HEARTBEAT_S,
        broker_connection_timeout=_SOCKET_S,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_default_queue=_QUEUE,
        task_acks_late=True,
        task_ignore_result=True,
        task_publish_retry_policy=_PUBLISHING,
        # Messages say which reading, and nothing that could be made to run.
        accept_content=["json"],
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        # Whoever reaches the broker could stop workers by it; and two of one name, in two containers, would collide.
        worker_enable_remote_control=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
    )
    try:
        app.connection_for_write().transport  # noqa: B018  (its driver is imported)
    except (ImportError, KeyError, AttributeError) as error:  # the last is kombu's way to miss redis
        raise SettingsError(f"queue.broker: {error}; for redis:// install cloister[redis]") from error
    return app


def task(app: Celery, read: Callable[[str], None]) -> None:
    """Have ``read`` called with the reading of each message."""

    def receive(_: Task, reading: str) -> None:
        read(reading)

    app.task(receive, name=READ, bind=True)


class CeleryBroker:
    """Any thread may use it."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def send(self, reading: str) -> None:
        try:
            self._app.send_task(READ, (reading,), retry=True)
        except (OperationalError, KombuError, OSError) as error:
            raise BrokerError(_said(error)) from error

    def depth(self) -> int:
        try:
            with self._app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, timeout=_SOCKET_S)
                queue = self._app.amqp.queues[_QUEUE](connection.default_channel)
                return int(queue.queue_declare(passive=False).message_count)
        except (OperationalError, KombuError, OSError, *connection.connection_errors) as error:
            raise BrokerError(_said(error)) from error


def _options(settings: QueueSettings) -> dict[str, Any]:
    scheme = settings.broker.partition(":")[0].partition("+")[0]
    match scheme:
        case "":
            messages = _made(settings.folder / "messages")
            return {
                "data_folder_in": messages,
                "data_folder_out": messages,
                "control_folder": _made(settings.folder / "control"),
                "processed_folder": _made(settings.folder / "taken"),
            }
        case "redis" | "rediss" | "sentinel":
            # What a dead worker had is given out again; the ledger has had it read by then, or has not.
            return {
                "visibility_timeout": settings.deadline_s + settings.lease_s,
                "socket_timeout": _SOCKET_S,
                "socket_connect_timeout": _SOCKET_S,
                "socket_keepalive": True,
                "health_check_interval": _HEARTBEAT_S,
            }
        case "amqp" | "amqps" | "pyamqp":
            return {"confirm_publish": True, "read_timeout": _SOCKET_S, "write_timeout": _SOCKET_S}
        case _:
            return {}


def _made(path: Path) -> str:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return str(path)


def _said(error: Exception) -> str:
    """Without what drivers add, which may hold the broker's password."""
    return f"the broker can't be used: {type(error.__cause__ or error).__name__}"
