"""The zygote: loads a job once, then forks a cell whenever the server asks. Run as ``python -m jail.zygote FD``.

Two processes. The keeper, which the server starts, makes the user namespace and the cgroups, forks the zygote into a
PID namespace of its own, waits for it and clears up: so that the kernel ends every cell when the zygote ends, whatever
ends it, and their cgroups still go. The zygote loads the job and forks; it never sees a document.

Neither outlives the server: the kernel tells the keeper, and the control socket closes.
"""

from __future__ import annotations

import fnmatch
import gc
import importlib
import os
import select
import selectors
import signal
import socket
import sys
import threading
import time
import traceback
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, cast

import prctl

from jail import capabilities, control, heap, landlock, namespaces, pretouch
from jail.cell import Birth, Enclosure, Pipes, Work, live
from jail.cgroups import Bounds, Evidence, Tree
from jail.errors import JailError, LoadError, PolicyError, SetUpError
from jail.job import Job
from jail.layers import Layer
from jail.spec import Program
from jail.violations import Watch

_JOB_THREADS = "job"
"""Name of this process while it loads the job, and so of every thread that is started then and gets none of its own."""
_SERVER_DIED = signal.SIGUSR1
"""What the kernel sends the keeper when the server ends."""
_HEAP_BYTES = 64 << 20
"""Free heap above what the zygote uses, for its cells: huge pages can fill it."""
_LINGER_S = 0.05
"""How long to wait before a cgroup that the kernel still holds is tried again."""


def main() -> None:
    """The keeper's life; the zygote's in the process it forks."""
    prctl.set_pdeathsig(_SERVER_DIED)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a service manager may send it to all; the server drains first
    prctl.set_name("cloister-keeper")
    gc.disable()  # a collection would touch, and so copy, what every cell shares
    channel = socket.socket(fileno=int(sys.argv[1]))
    received = control.receive(channel)
    if received is None:
        return
    start = cast(control.Start, received[0])
    if os.getppid() != start.server_pid:
        return  # the server was gone before the kernel knew whom to tell
    try:
        host = _prepare_host(start)
    except JailError as error:
        control.send(channel, _refusal(error))
        return
    # Nobody writes to it: it ends with the keeper, just before the kernel tells who is to die with that.
    keepers_life, keepers_end = os.pipe()
    try:
        pid = os.fork()
        if pid == 0:
            os.close(keepers_end)
            _be_zygote(channel, start, host, keepers_life)
        channel.close()
        _keep(pid)
    finally:
        if host.tree is not None:
            host.tree.close()


@dataclass(frozen=True, slots=True)
class _Host:
    """What the keeper found and made before there were threads."""

    layers: frozenset[Layer]
    missing: frozenset[Layer]
    tree: Tree | None


def _prepare_host(start: control.Start) -> _Host:
    missing = frozenset({Layer.LANDLOCK}) if landlock.abi() == 0 else frozenset[Layer]()
    layers = frozenset(Layer) - {Layer(name) for name in start.without} - missing
    if capabilities.is_privileged():
        layers -= {Layer.USER_NAMESPACE}
    tree = None
    if Layer.CGROUPS in layers:
        tree = Tree.find(start.cgroup_parent)
        tree.prepare([os.getpid(), start.server_pid], background=start.background)
    try:
        if Layer.PROCESS in layers:
            capabilities.leave_keyring()
        if Layer.USER_NAMESPACE in layers:
            namespaces.enter_user_namespace()
        if Layer.PID_NAMESPACE in layers:
            namespaces.unshare_pid()
    except SetUpError:
        if tree is not None:
            tree.close()
        raise
    return _Host(layers, missing, tree)


def _keep(zygote: int) -> None:
    """Wait for the zygote to end; end it where the server ends first."""
    pidfd = os.pidfd_open(zygote)

    def end(number: int, frame: FrameType | None) -> None:
        # Once it is reaped, its id may be another's.
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)

    signal.signal(_SERVER_DIED, end)
    os.waitpid(zygote, 0)
    signal.signal(_SERVER_DIED, signal.SIG_IGN)


def _be_zygote(channel: socket.socket, start: control.Start, host: _Host, keepers_life: int) -> NoReturn:
    status = 1
    try:
        prctl.set_pdeathsig(signal.SIGKILL)
        if select.select([keepers_life], [], [], 0)[0]:
            os._exit(status)  # it was gone before the kernel knew; no id tells, in another PID namespace
        os.close(keepers_life)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        started = time.perf_counter()
        try:
            work, walls = _load(start, host)
            if start.background:
                # For its forks too. A core that has but idle work counts as free, where a waking cell looks for one.
                os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        except JailError as error:
            control.send(channel, _refusal(error))
        else:
            missing = [str(layer) for layer in sorted(host.missing)]
            cgroup = host.tree.name if host.tree is not None else ""
            loaded = control.Loaded(time.perf_counter() - started, missing, cgroup)
            with open("/proc/self/stat", "rb") as stat:
                control.send(channel, loaded, [stat.fileno()])
            bounds = Bounds(start.memory_bytes, start.pids, start.cpus)
            with closing(_watch(start)) as watch:
                Zygote(channel, work, walls, bounds, watch).serve()
            status = 0
    except (BrokenPipeError, ConnectionResetError):
        pass  # the server is gone
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _refusal(error: JailError) -> control.Refused:
    if isinstance(error, SetUpError):
        return control.Refused("SetUpError", [str(error.layer), error.why, error.fix])
    if isinstance(error, PolicyError):
        return control.Refused("PolicyError", [error.path, error.line, error.what])
    return control.Refused(type(error).__name__, [control.clip(str(error))])


def _load(start: control.Start, host: _Host) -> tuple[Work, Enclosure]:
    walls = Enclosure.prepare(
        host.layers,
        host.tree,
        Path(start.policy),
        start.cpu_s,
        start.stack_bytes,
        program=_program(start),
        dangerously_record=start.dangerously_record is not None,
    )
    prctl.set_name(_JOB_THREADS)
    job = _make_job(start)
    prctl.set_name("cloister-zygote")
    _check_threads(start.threads)
    gc.collect()
    gc.freeze()
    heap.make_room(_HEAP_BYTES)
    if Layer.PROCESS in host.layers:
        capabilities.seal_code()
    # What a program does it does in a process of its own, and only in a cell is all there that it needs.
    footprint = pretouch.scout(job.rehearse) if start.program is None else pretouch.Footprint()
    return Work(job, footprint), walls


def _program(start: control.Start) -> Program | None:
    if start.program is None:
        return None
    fields: dict[str, Any] = start.program
    return Program(**{**fields, "reads": tuple(fields["reads"])})


def _watch(start: control.Start) -> Watch:
    if start.dangerously_record is None:
        return Watch()
    from jail import profile  # what no cell needs stays out of what they all share

    return profile.recorder(Path(start.policy), start.dangerously_record)


def _make_job(start: control.Start) -> Job:
    module, _, name = start.job.partition(":")
    try:
        job = cast(Job, getattr(importlib.import_module(module), name)(**start.kwargs))
        job.load()
    except Exception as error:  # whatever a job's own code raises, the operator must see it
        raise LoadError(f"{start.job} could not be loaded:\n{control.clip(traceback.format_exc())}") from error
    return job


def _check_threads(allowed: list[str]) -> None:
    """Refuse a job that left threads running which nobody vouched for: in a fork they are gone, their locks are not."""
    python = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    own = os.readlink("/proc/thread-self").rsplit("/", 1)[1]
    names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir() if task.name != own]
    strange = [name for name in names if not any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed)]
    if python or strange:
        raise LoadError(
            f"the job left threads running: {', '.join(python + strange)}. A forked cell does not have them. "
            "Let it load without them, or name them in the spec's threads if no cell needs them"
        )


class Zygote:
    """Forks cells on command, and tells the server of their ends."""

    def __init__(self, channel: socket.socket, work: Work, walls: Enclosure, bounds: Bounds, watch: Watch) -> None:
        self._channel = channel
        self._work = work
        self._walls = walls
        self._bounds = bounds
        self._selector = selectors.DefaultSelector()
        self._pids: dict[int, tuple[int, int]] = {}
        """By cell number: process id here, and the pidfd that tells of its end."""
        self._lingering: set[str] = set()
        self._own_pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._watch = watch

    def serve(self) -> None:
        """Until the server closes the control socket. Its cells die with this process."""
        self._selector.register(self._channel, selectors.EVENT_READ, None)
        self._selector.register(self._watch, selectors.EVENT_READ, self._watch)
        while True:
            for key, _ in self._selector.select(_LINGER_S if self._lingering else None):
                if key.data is self._watch:
                    self._stop_violators()
                    continue
                if key.data is not None:
                    self._reap(key.data)
                    continue
                received = control.receive(self._channel)
                if received is None:
                    self._end()
                    return
                message, descriptors = received
                self._spawn(cast(control.Spawn, message), Pipes(*descriptors))
            self._retry_removal()

    def _spawn(self, message: control.Spawn, pipes: Pipes) -> None:
        cell, group = message.cell, str(message.cell)
        try:
            started = time.perf_counter()
            if self._walls.tree is not None:
                self._walls.tree.make(group, self._bounds)
            forking = time.perf_counter()
            pid = self._fork(Birth(pipes, group, self._watch.handover, message.rehearse))
            forked = time.perf_counter()
        except SetUpError as error:
            control.send(self._channel, control.SpawnFailed(cell, str(error.layer), error.why, error.fix))
            return
        finally:
            os.close(pipes.request)
            os.close(pipes.reply)
        pidfd = os.pidfd_open(pid)
        self._pids[cell] = (pid, pidfd)
        self._selector.register(pidfd, selectors.EVENT_READ, cell)
        control.send(self._channel, control.Spawned(cell, forking - started, forked - forking), [pidfd])

    def _fork(self, birth: Birth) -> int:
        separate = Layer.PID_NAMESPACE in self._walls.layers
        if separate:
            namespaces.unshare_pid()
        pid = os.fork()
        if pid == 0:
            live(self._work, self._walls, birth)
        if separate:
            # A second unshare would fail until this undoes the first; the child keeps the namespace it was born into.
            namespaces.return_to_pid(self._own_pid_namespace)
        return pid

    def _stop_violators(self) -> None:
        for cell in self._watch.violators():
            # It is not reaped yet, so its id is its own.
            os.kill(self._pids[cell][0], signal.SIGKILL)

    def _reap(self, cell: int) -> None:
        pid, pidfd = self._pids.pop(cell)
        self._selector.unregister(pidfd)
        os.close(pidfd)
        _, status, used = os.wait4(pid, 0)
        evidence = Evidence()
        if self._walls.tree is not None:
            group = str(cell)
            evidence = self._walls.tree.evidence(group)
            if not self._walls.tree.remove(group):
                self._lingering.add(group)
        control.send(
            self._channel,
            control.Exited(
                cell,
                status,
                evidence.oom_kills,
                evidence.memory_peak_bytes or used.ru_maxrss * 1024,
                used.ru_utime + used.ru_stime,
                used.ru_minflt + used.ru_majflt,
                self._watch.forget(cell),
            ),
        )

    def _retry_removal(self) -> None:
        if self._walls.tree is not None:
            self._lingering = {group for group in self._lingering if not self._walls.tree.remove(group)}

    def _end(self) -> None:
        for pid, _ in self._pids.values():
            os.kill(pid, signal.SIGKILL)
        for pid, _ in self._pids.values():
            os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
