"""What a Containerfile copies and no package brings: Go programs, Maven's files, Debian's base system."""

import hashlib
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalError
from local.images import hostconfig, leash, places
from local.images.recipe import DebianPart, GoPart, MavenPart, Recipe, go_files, go_module
from local.paths import cache_dir
from local.progress import Progress
from local.toolchain import gobuild, tools


def collect(recipe: Recipe, version: str, into: Path, log: Path, progress: Progress) -> None:
    """Put the recipe's parts under `into`."""
    into.mkdir(parents=True, exist_ok=True)
    for go in recipe.go:
        program = _go(recipe, go, progress)
        _link(program, into / program.name)
    for maven in recipe.maven:
        _maven(maven, version, into / maven.name, log)
    if recipe.debian:
        _debian(recipe.debian, into / "base.tar", log)


def check_version(recipe: Recipe, version: str) -> None:
    """Raise `LocalError` when a recipe's go.mod holds another version than the image that is asked for."""
    for part in recipe.go:
        held, folder = _version(recipe, part), go_module(recipe, part)
        if held != version.removeprefix("v"):
            raise LocalError(
                f"the image {recipe.name} {version} was asked for, and its recipe builds {held}",
                f"change both together: the version where the image is named and go.mod, go.sum in {folder}",
            )


def _version(recipe: Recipe, part: GoPart) -> str:
    """The version that go.mod requires, without the v."""
    if part.tool:
        return tools.load(part.tool).version.removeprefix("v")
    return tools.required_version(go_module(recipe, part), part.module).removeprefix("v")


@dataclass(frozen=True)
class _Program:
    module: Path
    package: str
    name: str
    ldflags: str
    tags: str

    def place(self) -> Path:
        """Where it is kept when it is built."""
        digest = hashlib.sha256(repr((platform.machine(), self.package, self.ldflags, self.tags)).encode())
        for file in go_files(self.module):
            digest.update(file.read_bytes())
        return places.parts() / digest.hexdigest()[:16] / self.name


def programs(recipe: Recipe) -> list[Path]:
    """Where the programs of a recipe are kept."""
    return [_program(recipe, part).place() for part in recipe.go]


def _program(recipe: Recipe, part: GoPart) -> _Program:
    if part.tool:
        tool = tools.load(part.tool)
        binary = tool.binaries[0]
        return _Program(tool.module_dir, binary.package, binary.names[0], tool.ldflags, tool.tags)
    ldflags = part.ldflags.format(version=_version(recipe, part))
    return _Program(go_module(recipe, part), part.package, part.name, " ".join(ldflags.split()), part.tags)


def _go(recipe: Recipe, part: GoPart, progress: Progress) -> Path:
    """The built program, from the cache where it was built before."""
    program = _program(recipe, part)
    built = program.place()
    if not built.is_file():
        gobuild.build(
            program.module,
            program.package,
            built,
            ldflags=program.ldflags,
            tags=program.tags,
            progress=progress,
        )
    return built


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def _maven(part: MavenPart, version: str, out: Path, log: Path) -> None:
    """Fetch with Maven's own client and the host's settings, and compare with the checksum."""
    artifact = part.artifact.format(version=version)
    group, name, number, packaging = artifact.split(":")
    repository = cache_dir() / "downloads" / "maven"
    command = ["mvn", "-B", "-ntp", "dependency:get", f"-Dartifact={artifact}", "-Dtransitive=false"]
    leash.run([*command, f"-Dmaven.repo.local={repository}"], log=log)
    folder = repository / group.replace(".", "/") / name / number
    fetched = folder / f"{name}-{number}.{packaging}"
    with fetched.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != part.sha256:
        shutil.rmtree(folder)
        raise LocalError(
            f"{artifact} has the sha256 {found}, and the recipe expects {part.sha256}",
            "do not use it: ask who serves your Maven packages. "
            "For a new version, write its checksum into recipe.toml",
        )
    shutil.move(fetched, out)
    shutil.rmtree(folder)


def _debian(part: DebianPart, out: Path, log: Path) -> None:
    """Debian's smallest root file system, without documentation and without a trace of the mirror."""
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=tar", "--quiet"]
    command += ['--aptopt=APT::Sandbox::User "root"', '--aptopt=Acquire::Languages "none"']
    for kept_out in ("man", "doc", "info", "locale", "lintian"):
        command.append(f"--dpkgopt=path-exclude=/usr/share/{kept_out}/*")
    command.append("--dpkgopt=path-include=/usr/share/doc/*/copyright")
    command.append(f"--include={','.join(part.include)}")
    config = places.root() / "host" / "apt.conf"
    for line in config.read_text().splitlines():
        if line.startswith("Acquire::") and hostconfig.MOUNT not in line:
            command.append(f"--aptopt={line.rstrip(';')}")
    for traces in (
        "etc/apt/sources.list*",
        "etc/apt/apt.conf.d/99mmdebstrap",
        "var/log/apt",
        "var/log/dpkg.log",
    ):
        command.append(f'--customize-hook=rm -rf "$1"/{traces}')
    sources = places.root() / "host" / "sources.list"
    leash.run([*command, part.suite, str(out), str(sources)], log=log, cwd=out.parent)
