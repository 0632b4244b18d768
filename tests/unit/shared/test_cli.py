"""The `drag` command: subcommands from entry points, exit codes, one-line errors, completion."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import types
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from drag_shared import cli
from drag_shared.errors import ConfigError


def _command(monkeypatch: pytest.MonkeyPatch, name: str, run: object) -> EntryPoint:
    module = types.ModuleType(f"fake_{name}")

    def register(subparsers: cli.Subparsers) -> None:
        subparsers.add_parser(name, help=f"does {name}").set_defaults(run=run)

    module.register = register  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return EntryPoint(name, module.__name__, cli.GROUP)


def _with(monkeypatch: pytest.MonkeyPatch, *commands: EntryPoint) -> None:
    monkeypatch.setattr(cli, "entry_points", lambda group: list(commands) if group == cli.GROUP else [])


def test_commands_come_from_entry_points_and_their_code_is_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    _with(monkeypatch, _command(monkeypatch, "wave", lambda args: 7))
    assert cli.main(["wave"]) == 7


def test_an_error_of_ours_is_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(args: argparse.Namespace) -> int:
        raise ConfigError("port 5000 is taken; set DRAG_API_PORT")

    _with(monkeypatch, _command(monkeypatch, "fail", run))
    assert cli.main(["fail"]) == cli.EXIT_FAILED
    assert capsys.readouterr().err == "drag: port 5000 is taken; set DRAG_API_PORT\n"


def test_an_error_that_is_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(args: argparse.Namespace) -> int:
        raise ZeroDivisionError

    _with(monkeypatch, _command(monkeypatch, "crash", run))
    with pytest.raises(ZeroDivisionError):
        cli.main(["crash"])


def test_ctrl_c_is_130_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(args: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    _with(monkeypatch, _command(monkeypatch, "hang", run))
    assert cli.main(["hang"]) == cli.EXIT_INTERRUPTED


def test_wrong_usage_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["no-such-command"])
    assert caught.value.code == cli.EXIT_USAGE
    assert "no-such-command" in capsys.readouterr().err


def test_a_command_whose_own_need_is_missing_is_heard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken_command.py").write_text("import no_such_library_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_library_at_all"):
        cli.build_parser([EntryPoint("broken", "broken_command", cli.GROUP)])


@pytest.mark.parametrize("command", ["audit", "completion", "config", "dead", "demo", "doctor", "run", "submit"])
def test_the_installed_commands_are_there(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    assert caught.value.code == 0
    assert command in capsys.readouterr().out


def test_completion_names_every_command_in_every_shell(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert cli.main(["completion", shell]) == 0
        script = capsys.readouterr().out
        for command in ("run", "submit", "doctor", "completion"):
            assert command in script, (shell, command)
        assert "--min-score" in script or "min-score" in script


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_really_completes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["completion", "bash"])
    script = tmp_path / "drag.bash"
    script.write_text(capsys.readouterr().out)
    function = "$(complete -p drag | sed 's/.*-F \\([^ ]*\\).*/\\1/')"
    ask = f"source {script}; COMP_WORDS=(drag do); COMP_CWORD=1; {function} drag do drag; echo ${{COMPREPLY[@]}}"
    answer = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, timeout=20, check=False)
    assert answer.stdout.split() == ["doctor"], answer.stderr
