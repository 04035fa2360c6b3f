"""The language host as a process of its own, spoken to as the engine does."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

from tests.unit import fake_engine
from tests.unit.fake_engine import Engine

ROOT = Path(__file__).parents[2]
HOST = [sys.executable, "-P", "-m", "local.language_host"]


@pytest.fixture
def engine() -> Iterator[Engine]:
    with fake_engine.serving() as serving:
        yield serving


@pytest.fixture
def process(engine: Engine) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(
        [*HOST, "-root=/somewhere", engine.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )
    yield started
    started.kill()
    started.communicate()


@pytest.fixture
def host(process: subprocess.Popen[str]) -> Iterator[Any]:
    assert process.stdout
    port = int(process.stdout.readline())
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield language_pb2_grpc.LanguageRuntimeStub(channel)


def request(engine: Engine, folder: Path, text: str, **fields: Any) -> Any:
    (folder / "__main__.py").write_text(text)
    info = language_pb2.ProgramInfo(
        root_directory=str(folder),
        program_directory=str(folder),
        entry_point=fields.pop("entry_point", "__main__.py"),
    )
    info.options.update(fields.pop("options", {}))
    return language_pb2.RunRequest(
        project="p", stack="s", pwd=str(folder), monitor_address=engine.address, info=info, **fields
    )


def test_a_program_sees_its_configuration_and_exports(engine: Engine, host: Any, tmp_path: Path) -> None:
    text = """
import os, pulumi
config = pulumi.Config()
pulumi.export("word", config.require("word"))
pulumi.export("stack", pulumi.get_stack())
pulumi.export("dry", pulumi.runtime.is_dry_run())
pulumi.export("here", os.getcwd())
pulumi.export("project key is secret", pulumi.runtime.is_config_secret("p:word"))
"""
    config = {"p:word": "ahoy"}
    answer = host.Run(
        request(engine, tmp_path, text, config=config, configSecretKeys=["p:word"], dryRun=True)
    )
    assert (answer.error, answer.bail) == ("", False)
    assert engine.outputs == {
        "word": "ahoy",
        "stack": "s",
        "dry": True,
        "here": str(tmp_path),
        "project key is secret": True,
    }


def test_modules_of_the_host_do_not_hide_those_of_the_program(
    engine: Engine, host: Any, tmp_path: Path
) -> None:
    (tmp_path / "lifetime.py").write_text("value = 'of the program'")
    path = "import sys, os; sys.path.insert(1, os.getcwd())"
    text = f"{path}\nimport lifetime, pulumi\npulumi.export('v', lifetime.value)"
    assert host.Run(request(engine, tmp_path, text)).error == ""
    assert engine.outputs["v"] == "of the program"


def test_a_run_error_is_said_without_a_traceback(engine: Engine, host: Any, tmp_path: Path) -> None:
    answer = host.Run(request(engine, tmp_path, "import pulumi\nraise pulumi.RunError('no such stack file')"))
    assert (answer.error, answer.bail) == ("", True)
    assert engine.errors() == "no such stack file"


def test_any_other_exception_is_said_with_the_programs_part_of_its_traceback(
    engine: Engine, host: Any, tmp_path: Path
) -> None:
    answer = host.Run(request(engine, tmp_path, "def f():\n    return 1 / 0\nf()", entry_point="."))
    assert answer.bail
    said = engine.errors()
    assert "ZeroDivisionError" in said
    assert "in f" in said
    assert "runpy" not in said


def test_a_program_that_ends_itself_is_an_error_with_its_status(
    engine: Engine, host: Any, tmp_path: Path
) -> None:
    answer = host.Run(request(engine, tmp_path, "import os; os._exit(7)"))
    assert answer.error == "the program ended with status 7"


def test_what_a_program_prints_reaches_the_engines_log(
    engine: Engine, host: Any, process: subprocess.Popen[str], tmp_path: Path
) -> None:
    host.Run(request(engine, tmp_path, "import sys; print('to out'); print('to err', file=sys.stderr)"))
    process.terminate()
    out, err = process.communicate()
    assert "to out" in out
    assert "to err" in err


def test_a_virtual_environment_that_is_not_there_is_named(engine: Engine, host: Any, tmp_path: Path) -> None:
    answer = host.Run(request(engine, tmp_path, "", options={"virtualenv": ".venv", "toolchain": "pip"}))
    assert f"{tmp_path}/.venv/bin/python" in answer.error
    assert "what to do" in answer.error


def test_the_engine_is_told_which_plugin_the_program_needs(host: Any) -> None:
    [package] = host.GetRequiredPackages(language_pb2.GetRequiredPackagesRequest()).packages
    assert (package.name, package.kind, package.version) == ("kubernetes", "resource", "v4.34.2")
    assert host.About(language_pb2.AboutRequest()).executable == sys.executable


def test_what_is_not_supported_is_refused_in_words(host: Any) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        list(host.InstallDependencies(language_pb2.InstallDependenciesRequest()))
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "what to do" in refused.value.details()
    with pytest.raises(grpc.RpcError) as refused:
        list(host.RunPlugin(language_pb2.RunPluginRequest()))
    assert "install the vendor's Pulumi" in refused.value.details()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_quietly(
    host: Any, process: subprocess.Popen[str], number: signal.Signals
) -> None:
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert err == ""


def test_host_and_program_end_with_the_engine(engine: Engine, tmp_path: Path) -> None:
    """The engine is killed with no chance to tell anybody."""
    mark = tmp_path / "running"
    order = request(engine, tmp_path, f"import time\nopen({str(mark)!r}, 'w').close()\ntime.sleep(600)")
    parent = subprocess.Popen(
        ["/bin/sh", "-c", f"{' '.join(HOST)} {engine.address} & wait"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )
    assert parent.stdout
    with grpc.insecure_channel(f"127.0.0.1:{int(parent.stdout.readline())}") as channel:
        call = language_pb2_grpc.LanguageRuntimeStub(channel).Run.future(order)
        processes = psutil.Process(parent.pid).children(recursive=True)
        while not mark.exists():
            processes = psutil.Process(parent.pid).children(recursive=True)
            assert not call.done()
        assert len(processes) == 2
        parent.kill()
        parent.communicate()
        deadline = time.monotonic() + 20
        while (alive := [each for each in processes if _runs(each)]) and time.monotonic() < deadline:
            time.sleep(0.1)
        for each in alive:
            each.kill()
        assert alive == []


def _runs(process: psutil.Process) -> bool:
    """One that ended and that nobody asked about is a zombie."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
