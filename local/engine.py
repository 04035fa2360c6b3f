"""What Pulumi needs around it to work on a local cluster: variables, plugins, a stack.

All of it is handed over by environment variables: plain `pulumi` commands work in a shell that has them.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psutil

from local.errors import LocalError
from local.paths import cache_dir, state_dir

PROVIDER = "resource-kubernetes-v4.34.2"
"""Folder of the Kubernetes plugin, as Pulumi names it."""

PROJECT = "seatrial"

LOCAL_PASSPHRASE = "local"
"""Fits the salt in stacks/Pulumi.local.yaml. No secret: what protects the state is its 0700 folder."""

_DIRECT = ("127.0.0.1", "localhost", "10.201.0.0/16")
"""This machine and the clusters on it (`local.cluster.layout`): no proxy leads there."""

_LAUNCHER = """\
#!/bin/sh
: "${{SEATRIAL_PYTHON:?is not set: run pulumi in the shell that 'seatrial env' prepares}}"
PYTHONPATH="$SEATRIAL_CHECKOUT${{PYTHONPATH:+:$PYTHONPATH}}"
export PYTHONPATH
# -P: Pulumi starts plugins in the program's folder, whose modules must not hide the standard ones.
exec "$SEATRIAL_PYTHON" -P -m {module} "$@"
"""
"""Starts the stand-in of whichever checkout runs pulumi: the launcher is shared by all of them."""


def environment(cluster_name: str, checkout: Path, tools: Mapping[str, Path]) -> dict[str, str]:
    """Variables for `pulumi` and `kubectl`; puts the stand-ins where Pulumi looks for its plugins."""
    home = cache_dir() / "pulumi"
    _provider(home / "plugins" / PROVIDER)
    return {
        "PATH": _path(tools, _with_language_host(tools["pulumi"], home / "bin")),
        "KUBECONFIG": str(_state(cluster_name) / "kubeconfig"),
        "KUBECACHEDIR": str(_state(cluster_name) / "kubectl"),
        "PULUMI_HOME": str(home),
        "PULUMI_BACKEND_URL": f"file://{_state(cluster_name) / 'pulumi'}",
        "PULUMI_CONFIG_PASSPHRASE": LOCAL_PASSPHRASE,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
        "SEATRIAL_CLUSTER": cluster_name,
        "SEATRIAL_CHECKOUT": str(checkout),
        "SEATRIAL_PYTHON": str(checkout / ".venv" / "bin" / "python"),
        "SEATRIAL_CHARTS": str(cache_dir() / "charts"),
        **without_proxy(os.environ),
    }


def without_proxy(environ: Mapping[str, str]) -> dict[str, str]:
    """`NO_PROXY` and `no_proxy` with what they name in `environ` and the addresses of local clusters."""
    named = [entry.strip() for name in ("NO_PROXY", "no_proxy") for entry in environ.get(name, "").split(",")]
    joined = ",".join(dict.fromkeys(entry for entry in (*named, *_DIRECT) if entry))
    return {"NO_PROXY": joined, "no_proxy": joined}


def init_stack(stack: str, checkout: Path, variables: Mapping[str, str]) -> None:
    """Make `stack` known to its backend, and free it of what a killed pulumi left: its lock and its notes.

    Raises:
        LocalError: pulumi refused, or another pulumi is at work on this stack.
    """
    backend = Path(variables["PULUMI_BACKEND_URL"].removeprefix("file://"))
    backend.mkdir(parents=True, exist_ok=True, mode=0o700)
    _break_stale_locks(backend / ".pulumi" / "locks" / "organization" / PROJECT / stack)
    checkpoint = backend / ".pulumi" / "stacks" / PROJECT / f"{stack}.json"
    _drop_torn_attributes(backend / ".pulumi")
    _restore_torn(checkpoint)
    if not checkpoint.exists():
        _pulumi("stack", "init", stack, checkout=checkout, variables=variables)
    elif _has_unfinished_operations(checkpoint):
        # Importing its own state makes pulumi drop the notes of what it had begun. The next `up` begins that
        # again, and takes over an object that was made and not recorded.
        state = _pulumi("stack", "export", "--stack", stack, checkout=checkout, variables=variables)
        _pulumi("stack", "import", "--stack", stack, checkout=checkout, variables=variables, given=state)


def _pulumi(*arguments: str, checkout: Path, variables: Mapping[str, str], given: str = "") -> str:
    done = subprocess.run(
        [shutil.which("pulumi", path=variables["PATH"]) or "pulumi", *arguments, "--non-interactive"],
        cwd=checkout,
        env=os.environ | dict(variables),
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise LocalError(
            f"`pulumi {' '.join(arguments)}` failed: {done.stderr.strip() or done.stdout.strip()}",
            f"the state is in {variables['PULUMI_BACKEND_URL']}; `seatrial down` removes it with the cluster",
        )
    return done.stdout


def _drop_torn_attributes(folder: Path) -> None:
    """The file backend keeps attributes beside each file, which no reader needs, and fails on empty ones."""
    for attributes in folder.rglob("*.attrs"):
        if not _is_json(attributes):
            attributes.unlink(missing_ok=True)


def _restore_torn(checkpoint: Path) -> None:
    """A pulumi killed at the wrong moment leaves an empty checkpoint, and the one before as `.bak`."""
    backup = checkpoint.with_name(f"{checkpoint.name}.bak")
    if checkpoint.exists() and not _is_json(checkpoint) and _is_json(backup):
        unfinished = checkpoint.with_name(f".{checkpoint.name}")
        shutil.copyfile(backup, unfinished)
        unfinished.replace(checkpoint)


def _is_json(file: Path) -> bool:
    try:
        json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return False
    return True


def _has_unfinished_operations(checkpoint: Path) -> bool:
    """Whether a pulumi was killed at work; `pulumi up` would warn of it in every run from then on."""
    try:
        latest = json.loads(checkpoint.read_text())["checkpoint"].get("latest") or {}
    except (ValueError, KeyError):
        return False  # Pulumi itself says what is wrong with it.
    return bool(latest.get("pending_operations"))


def _state(cluster_name: str) -> Path:
    return state_dir() / "clusters" / cluster_name


def _path(tools: Mapping[str, Path], pulumi: Path) -> str:
    """PATH with the tools; a pulumi that is not the one found before comes ahead of everything."""
    ambient = os.environ.get("PATH", os.defpath).split(os.pathsep)
    first = [] if pulumi == tools["pulumi"] else [str(pulumi.parent)]
    folders = [str(folder) for folder in dict.fromkeys(tool.parent for tool in tools.values())]
    more = [folder for folder in folders if folder not in ambient]
    return os.pathsep.join(dict.fromkeys([*first, *more, *ambient]))


def _with_language_host(pulumi: Path, folder: Path) -> Path:
    """A pulumi with a language host beside it, where it expects one; about one on PATH it would warn.

    Nothing is written beside a pulumi that is not ours: it is copied into `folder`. A symbolic link would
    not do, because pulumi looks beside the file that the link leads to.
    """
    name, real = "pulumi-language-python", pulumi.resolve()
    found = shutil.which(name)
    if _is_vendors(real.with_name(name)) or (found and not _is_ours(Path(found))):
        return pulumi
    if not _is_ours(real):
        pulumi = folder / "pulumi"
        _copy(real, pulumi)
        real = pulumi
    _write_launcher(real.with_name(name), "local.language_host")
    return pulumi


def _is_ours(file: Path) -> bool:
    return file.resolve().is_relative_to(cache_dir().resolve())


def _copy(source: Path, target: Path) -> None:
    """A copy, made again when the source is another one by now."""
    there, wanted = target.stat() if target.is_file() else None, source.stat()
    if there and (there.st_size, there.st_mtime_ns) == (wanted.st_size, wanted.st_mtime_ns):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copy2(source, unfinished)
    unfinished.replace(target)


def _provider(folder: Path) -> None:
    binary = "pulumi-resource-kubernetes"
    vendors = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi") / "plugins" / PROVIDER
    if vendors != folder and _is_vendors(vendors / binary):
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)
            folder.symlink_to(vendors)
        return
    if folder.is_symlink():
        folder.unlink()
    if not _is_vendors(folder / binary):
        _write_launcher(folder / binary, "local.provider")


def _is_vendors(binary: Path) -> bool:
    """Whether this is a program, not our launcher."""
    if not binary.is_file():
        return False
    with binary.open("rb") as file:
        return file.read(2) != b"#!"


def _write_launcher(file: Path, module: str) -> None:
    text = _LAUNCHER.format(module=module)
    if file.is_file() and file.read_text() == text:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    unfinished.write_text(text)
    unfinished.chmod(0o755)
    unfinished.replace(file)


def _break_stale_locks(folder: Path) -> None:
    """A pulumi that was killed leaves its lock, which names the process.

    The machine's name in it says nothing: the folder never leaves the machine, whose name may change.
    """
    for lock in folder.glob("*.json"):
        try:
            owner = json.loads(lock.read_text())
        except (ValueError, FileNotFoundError):
            owner = {}  # Half written by what was killed, or just released.
        if owner and _is_pulumi(owner["pid"]):
            raise LocalError(
                f"another pulumi works on this stack: process {owner['pid']}, since {owner['timestamp']}",
                f"wait for it; if it is surely gone, delete {lock}",
            )
        lock.unlink(missing_ok=True)
        lock.with_name(f"{lock.name}.attrs").unlink(missing_ok=True)


def _is_pulumi(pid: int) -> bool:
    """Whether it works: one that was killed is there until its parent, or the machine's init, looks."""
    try:
        process = psutil.Process(pid)
        return "pulumi" in process.name() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
