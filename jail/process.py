"""The server's end of a zygote: starting it, speaking with it, knowing when it is gone. Belongs to one event loop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict

from jail import control
from jail.environment import zygote_environment
from jail.errors import JailError, LoadError, PolicyError, RehearsalError, SetUpError, SpecError, ZygoteError
from jail.layers import Layer
from jail.spec import Layers, Limits, ZygoteSpec

_LOAD_TIMEOUT_S = 300.0
_CANCELLED_TIMEOUT_S = 5.0
_STOP_TIMEOUT_S = 10.0
_EXITING = 0x4
"""PF_EXITING of linux/sched.h, in the flags of proc_pid_stat(5): set before a process that ends closes its
descriptors."""
_ERRORS: dict[str, type[JailError]] = {
    kind.__name__: kind for kind in (LoadError, RehearsalError, SpecError, ZygoteError, JailError)
}


class ZygoteProcess:
    """A running zygote. ``on_message`` gets what it says once it is loaded, ``on_lost`` is called once when it ends."""

    def __init__(
        self,
        spec: ZygoteSpec,
        limits: Limits,
        layers: Layers,
        on_message: Callable[[control.Message, list[int]], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._on_lost = on_lost
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # vfork and exec: the server, full of gRPC's threads, is never forked.
            self._keeper = subprocess.Popen(
                [sys.executable, "-m", "jail.zygote", str(theirs.fileno())],
                env=zygote_environment(spec.environment),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        self._channel.setblocking(False)
        self._keeper_pidfd = os.pidfd_open(self._keeper.pid)
        self._stat: int | None = None
        self._first: asyncio.Future[control.Message] = self._loop.create_future()
        self._reaped: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._channel, self._receive)
        self._loop.add_reader(self._keeper_pidfd, self._reap)
        control.send(
            self._channel,
            control.Start(
                job=spec.job,
                kwargs=dict(spec.kwargs),
                policy=str(spec.policy_path),
                threads=list(spec.threads),
                memory_bytes=limits.memory_bytes,
                pids=limits.pids,
                cpus=limits.cpus,
                cpu_s=limits.cpu_s,
                stack_bytes=limits.stack_bytes,
                background=limits.background,
                without=[str(layer) for layer in layers.dangerously_without],
                cgroup_parent=layers.cgroup_parent,
                program=asdict(spec.program) if spec.program is not None else None,
                dangerously_record=layers.dangerously_record,
                server_pid=os.getpid(),
            ),
        )

    @property
    def pid(self) -> int:
        """Of the keeper."""
        return self._keeper.pid

    @property
    def ending(self) -> bool:
        """Whether the loaded zygote has begun to end.

        It closes its descriptors before its cells get the signal of its death. A forbidden call that waits then comes
        back undone, and for a moment the cell goes on: what it says from there on is not to be believed.
        """
        if self._stat is None:
            return False
        try:
            fields = os.pread(self._stat, 1024, 0).rpartition(b")")[2].split()
        except ProcessLookupError:
            return True
        return bool(int(fields[6]) & _EXITING)

    async def loaded(self) -> control.Loaded:
        """Wait until the job is loaded. Raises a `JailError` where it can't be."""
        try:
            async with asyncio.timeout(_LOAD_TIMEOUT_S):
                first = await self._first
        except TimeoutError:
            raise ZygoteError(f"the zygote did not load its job within {_LOAD_TIMEOUT_S:.0f} s") from None
        match first:
            case control.Loaded():
                return first
            case control.Refused(error="SetUpError", arguments=[layer, why, fix]):
                raise SetUpError(Layer(str(layer)), str(why), str(fix))
            case control.Refused(error="PolicyError", arguments=[path, int(line), what]):
                raise PolicyError(str(path), line, str(what))
            case control.Refused(error=name, arguments=[text]):
                raise _ERRORS.get(name, JailError)(text)
        raise ZygoteError(f"the zygote began with {type(first).__name__}")

    def spawn(self, cell: control.Spawn, ends: list[int]) -> None:
        """Ask for a cell. Raises `ZygoteError` where the zygote does not listen any more."""
        try:
            control.send(self._channel, cell, ends)
        except OSError as error:
            raise ZygoteError(f"the zygote does not listen: {error}") from error

    def _receive(self) -> None:
        try:
            received = control.receive(self._channel)
        except BlockingIOError:
            return
        except ConnectionResetError:
            received = None
        if received is None:
            self._loop.remove_reader(self._channel)
            if not self._first.done():
                self._first.set_exception(ZygoteError("the zygote ended while it loaded its job; see its output above"))
                self._first.exception()  # whether or not anyone waits for it
            self._on_lost()
            return
        message, descriptors = received
        if self._first.done():
            self._on_message(message, descriptors)
        else:
            self._first.set_result(message)
            if descriptors:
                (self._stat,) = descriptors

    def _reap(self) -> None:
        self._loop.remove_reader(self._keeper_pidfd)
        os.close(self._keeper_pidfd)
        self._keeper.wait()
        self._reaped.set_result(None)

    def kill(self) -> None:
        """End keeper, zygote and cells at once. Their cgroups stay until the next start."""
        if not self._reaped.done():
            signal.pidfd_send_signal(self._keeper_pidfd, signal.SIGKILL)

    async def stop(self) -> None:
        """End the zygote and its cells, and wait until all of them are gone, cgroups included. May be called again."""
        if self._channel.fileno() >= 0:
            self._loop.remove_reader(self._channel)
            self._channel.close()
        if self._stat is not None:
            os.close(self._stat)
            self._stat = None
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await asyncio.shield(self._reaped)
        except TimeoutError:
            self.kill()
            await self._reaped
        except asyncio.CancelledError:
            # The loop may end with who cancelled this, and nobody would reap it. It is ending: its channel is closed.
            try:
                self._keeper.wait(_CANCELLED_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()
                self._keeper.wait()
            raise
