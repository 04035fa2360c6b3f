"""Give a CUDA build of torch stub CUDA libraries, so that it starts on a machine without them.

    stub_cuda.py TORCH_LIB_FOLDER

torch's libraries name the CUDA libraries that they need, so the loader refuses them where those are missing,
even if no GPU is used. A stub has the right name and symbol versions; each of its functions returns
cudaErrorNoDevice, which torch takes for "no GPU here". Needs gcc and readelf.
"""

import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

NO_DEVICE = 100
"""cudaErrorNoDevice."""

CUDA_LIBRARY = re.compile(r"lib(cu|nv|nccl)")
CUDA_SYMBOL = re.compile(r"_*(cu|CU|nccl|nv)")

UNVERSIONED = "libnccl.so.2"
"""NCCL gives its symbols no version; all others name their library as the version."""

ODD_VERSIONS = {"NVSHMEM": "libnvshmem_host.so.3"}

Symbol = tuple[str, str]
"""Name and version."""


def main(folder: Path) -> None:
    """Write the stubs into `folder`, where the libraries look first."""
    libraries = sorted(folder.glob("*.so*"))
    missing = sorted(
        name
        for name in set().union(*map(needed, libraries)) - {library.name for library in libraries}
        if CUDA_LIBRARY.match(name)
    )
    for library, symbols in assign(undefined(libraries), missing).items():
        compile_stub(folder / library, symbols)
        print(f"{library}: {len(symbols)} functions")


def needed(library: Path) -> set[str]:
    """The libraries that one names."""
    return set(re.findall(r"\(NEEDED\).*\[(.*?)\]", readelf("-dW", library)))


def undefined(libraries: Iterable[Path]) -> set[Symbol]:
    """CUDA symbols that none of the libraries defines."""
    wanted: set[Symbol] = set()
    defined: set[str] = set()
    for library in libraries:
        for line in readelf("--dyn-syms", library).splitlines():
            fields = line.split()
            if len(fields) < 8 or not fields[0].endswith(":"):
                continue
            name, _, version = fields[7].partition("@")
            if fields[6] == "UND":
                wanted.add((name, version.lstrip("@")))
            else:
                defined.add(name)
    return {(name, version) for name, version in wanted if CUDA_SYMBOL.match(name) and name not in defined}


def assign(symbols: set[Symbol], libraries: list[str]) -> dict[str, set[Symbol]]:
    """Which stub defines which symbol."""
    stubs: dict[str, set[Symbol]] = {library: set() for library in libraries}
    for name, version in symbols:
        owner = ODD_VERSIONS.get(version, version or UNVERSIONED)
        if owner in stubs:
            stubs[owner].add((name, version))
    return stubs


def compile_stub(out: Path, symbols: set[Symbol]) -> None:
    """Make one library in which every function returns `NO_DEVICE`."""
    versions: dict[str, list[str]] = defaultdict(list)
    for name, version in sorted(symbols):
        versions[version].append(name)
    code = [".text"]
    for name, _ in sorted(symbols):
        code += [f".globl {name}", f".type {name},@function", f"{name}:"]
    code += [f"mov ${NO_DEVICE},%eax", "ret", '.section .note.GNU-stack,"",@progbits', ""]
    script = "".join(
        f"{version} {{ global: {'; '.join(names)}; }};\n" for version, names in versions.items() if version
    )
    with tempfile.TemporaryDirectory() as folder:
        source, versioned = Path(folder) / "stub.S", Path(folder) / "versions"
        source.write_text("\n".join(code))
        versioned.write_text(script)
        command = [
            "gcc",
            "-shared",
            "-nostdlib",
            "-s",
            f"-Wl,-soname,{out.name}",
            "-o",
            str(out),
            str(source),
        ]
        subprocess.run(command + ([f"-Wl,--version-script={versioned}"] if script else []), check=True)


def readelf(option: str, library: Path) -> str:
    return subprocess.run(
        ["readelf", "-W", option, str(library)], check=True, capture_output=True, text=True
    ).stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]))
