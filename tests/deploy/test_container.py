"""The image: its two scripts run over a Debian made by debootstrap, as the Containerfile runs them, and what they make.

No container engine is needed. ``CLOISTER_ROOT`` names a root that was made before, such as an exported image, and saves
the quarter of an hour that making one takes.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from jail.cgroups import Tree
from jail.host import Host
from jail.layers import OPTIONAL, Layer
from server.client import Client
from server.errors import CloisterError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

SOURCE = Path(__file__).parents[2]
INSIDE = Path(__file__).with_name("inside.sh")
PAGE = SOURCE / "deploy" / "demo" / "pages" / "receipt-photo.jpg"
USER = 10001
MIB = 1 << 20
LARGEST_MIB = 1600
START_S = 300.0
# What this host needs to reach its package registries, and an image must not hold.
BORROWED = ("etc/hosts", "etc/resolv.conf", "etc/pip.conf", "host-ca.crt")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of the image."""
    if os.geteuid() != 0:
        pytest.skip("making a root and entering it takes root")
    if "CLOISTER_ROOT" in os.environ:
        return Path(os.environ["CLOISTER_ROOT"])
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap is missing; run deploy/setup.sh tests")
    folder = tmp_path_factory.mktemp("image")
    build, final = folder / "build", folder / "final"
    _run("debootstrap", "--variant=minbase", "bookworm", str(build))
    _run("cp", "-a", str(build), str(final))
    _copy_source(build / "src")
    with _reaching_out(build):
        _run("chroot", str(build), "/src/deploy/container/build.sh", "/src", "/opt/cloister")
    shutil.copy(SOURCE / "deploy/container/runtime.sh", final / "tmp")
    with _reaching_out(final):
        _run("chroot", str(final), "/tmp/runtime.sh")
    _run("cp", "-a", str(build / "opt/cloister"), str(final / "opt/cloister"))
    shutil.rmtree(build)
    return final


def _copy_source(target: Path) -> None:
    """What the Containerfile's COPY takes, as .dockerignore says."""
    kept = [line[1:] for line in (SOURCE / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *kept],
        cwd=SOURCE,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.splitlines():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SOURCE / name, target / name)


@contextmanager
def _reaching_out(root: Path) -> Iterator[None]:
    """Let what runs there reach the registries as this host does, and see /proc."""
    before = {name: (root / name).read_bytes() for name in BORROWED if (root / name).exists()}
    for name in ("etc/hosts", "etc/resolv.conf"):
        shutil.copy(f"/{name}", root / name)
    if CERTIFICATES.exists():
        shutil.copy(CERTIFICATES, root / "host-ca.crt")
        (root / "etc/pip.conf").write_text("[global]\ncert = /host-ca.crt\n")
    _run("mount", "-t", "proc", "proc", str(root / "proc"))
    try:
        yield
    finally:
        _run("umount", str(root / "proc"))
        for name in BORROWED:
            (root / name).unlink(missing_ok=True)
            if name in before:
                (root / name).write_bytes(before[name])


def _run(*command: str) -> None:
    # Of this host's environment nothing: what PIP_CERT and its like name is not there.
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LANG": "C.UTF-8"}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}"


@pytest.fixture
def group(delegated: str) -> str:
    """A cgroup that belongs to the image's user."""
    for parent in Tree.find(None).parents:
        for path in (parent / delegated, *(parent / delegated).iterdir()):
            os.chown(path, USER, USER)
    return delegated


@pytest.fixture
def top_group() -> Iterator[str]:
    """The same, from the root of every hierarchy: a runtime puts its container into a group of its own."""
    if Host.here().cgroups == 2:
        pytest.skip("with cgroup v2 the runtime gives the user its group; by hand it can't be given from outside")
    name = f"/delegated-by-test-{os.getpid()}"
    parents = Tree.find(name).parents
    for parent in parents:
        parent.mkdir()
        for path in (parent, *parent.iterdir()):
            os.chown(path, USER, USER)
    yield name
    for parent in parents:
        parent.rmdir()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """What /run/cloister is."""
    for folder in tmp_path.parents[:2]:
        folder.chmod(0o711)
    os.chown(tmp_path, USER, USER)
    return tmp_path


def inside(root: Path, run: Path, command: Sequence[str], **settings: str) -> subprocess.Popen[str]:
    """Start a command there as a container engine would; ``settings`` are Cloister's."""
    environment = {f"CLOISTER_{name}": value for name, value in settings.items()}
    return subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", str(INSIDE), str(root), str(run), str(USER), *command],
        env={"PATH": "/opt/cloister/bin:/usr/sbin:/usr/bin:/sbin:/bin", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_every_layer_holds_for_an_ordinary_user_on_a_read_only_root(root: Path, run: Path, group: str) -> None:
    doctor = inside(root, run, ["cloister", "doctor", "--json"], JAIL__CGROUP_PARENT=group)
    said = doctor.communicate(timeout=START_S)[0]
    assert "{" in said, said
    found = json.loads(said[said.index("{") :])
    missing = {layer["layer"]: layer["why"] for layer in found["layers"] if not layer["present"]}
    assert missing.keys() <= OPTIONAL
    assert found["tried_in_cells"]
    assert len(found["layers"]) == len(Layer)
    assert doctor.returncode == 0


def test_every_layer_holds_under_the_seccomp_profile_in_a_runtime_of_containers(
    root: Path, run: Path, top_group: str
) -> None:
    """By runc, as engines call it: no capability, no new privileges, a read-only root."""
    if shutil.which("runc") is None:
        pytest.skip("runc is missing; run deploy/setup.sh tests")
    _run("runc", "spec", "--bundle", str(run))
    spec = json.loads((run / "config.json").read_text())
    spec["root"] = {"path": str(root), "readonly": True}
    spec["process"] |= {
        "terminal": False,
        "user": {"uid": USER, "gid": USER},
        "args": ["cloister", "doctor", "--json"],
        "env": ["PATH=/opt/cloister/bin:/usr/bin:/bin", f"CLOISTER_JAIL__CGROUP_PARENT={top_group}"],
        "cwd": "/",
        "capabilities": {},
        "noNewPrivileges": True,
        "rlimits": [],
    }
    # What an engine gives a container whose cgroup is writable is made by hand here.
    for mount in spec["mounts"]:
        if mount["destination"] == "/sys/fs/cgroup":
            mount |= {"type": "bind", "source": "/sys/fs/cgroup", "options": ["rbind", "rw", "nosuid", "nodev"]}
    spec["mounts"].append(
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]}
    )
    spec["linux"]["namespaces"] = [
        space for space in spec["linux"]["namespaces"] if space["type"] not in {"cgroup", "network"}
    ]
    profile = json.loads((SOURCE / "deploy/container/seccomp.json").read_text())
    architectures = [each["architecture"] for each in profile.pop("archMap")]
    spec["linux"]["seccomp"] = profile | {"architectures": architectures}
    (run / "config.json").write_text(json.dumps(spec))
    name = f"cloister-test-{os.getpid()}"
    done = subprocess.run(
        ["runc", "run", "--bundle", str(run), name], capture_output=True, text=True, check=False, timeout=START_S
    )
    assert "{" in done.stdout, done.stderr
    found = json.loads(done.stdout)
    missing = {layer["layer"]: layer["why"] for layer in found["layers"] if not layer["present"]}
    assert missing.keys() <= OPTIONAL, missing
    assert found["host"]["filtered"]
    assert found["tried_in_cells"]


def test_it_reads_a_page_with_the_models_inside(root: Path, run: Path, group: str) -> None:
    settings = {"LISTEN__ADDRESS": "unix:/run/cloister/socket", "JAIL__CGROUP_PARENT": group}
    with inside(root, run, ["cloister", "serve"], **settings) as server, Client(f"unix:{run}/socket") as client:
        try:
            deadline = time.monotonic() + START_S
            while not _engines(client):
                assert server.poll() is None, server.communicate()[0]
                assert time.monotonic() < deadline
                time.sleep(0.5)
            response = client.recognize(PAGE.read_bytes())
            probe = inside(root, run, ["cloister-probe", "unix:/run/cloister/socket"])
            said = probe.communicate(timeout=START_S)[0]
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=START_S)
        assert server.returncode == 0
    assert len(response.text.split()) > 20
    assert set(response.provenance.jail_layers_off) <= OPTIONAL
    assert probe.returncode == 0, said


def _engines(client: Client) -> bool:
    try:
        return bool(client.engines())
    except CloisterError:
        return False


def test_it_is_small_and_gives_nobody_rights(root: Path) -> None:
    size, givers, open_to_all = 0, [], []
    for folder, _, names in os.walk(root):
        for path in (Path(folder), *(Path(folder) / name for name in names)):
            state = path.lstat()
            size += state.st_blocks * 512
            if stat.S_ISREG(state.st_mode) and state.st_mode & (stat.S_ISUID | stat.S_ISGID):
                givers.append(path)
            if stat.S_ISREG(state.st_mode) and state.st_mode & stat.S_IWOTH:
                open_to_all.append(path)
    assert not givers
    assert not open_to_all
    assert size < LARGEST_MIB * MIB
    assert not (root / "usr/bin/gcc").exists()


def test_only_two_folders_are_the_users(root: Path) -> None:
    owned = subprocess.run(
        ["find", str(root), "-xdev", "-uid", str(USER), "-printf", "%P\n"], check=True, capture_output=True, text=True
    )
    assert set(owned.stdout.split()) == {"run/cloister", "var/lib/cloister"}
