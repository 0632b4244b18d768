"""`drag demo` from its start to its exit status, and what is left when it is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.support.supervised import eventually, exists

from drag_launcher import demo
from drag_shared.errors import ConfigError

pytestmark = [pytest.mark.integration, pytest.mark.demo, pytest.mark.slow, pytest.mark.timeout(180)]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "drag_shared.cli", "demo", *arguments]


def test_a_photo_with_a_gauge_ends_with_0_the_json_and_the_picture(repository: Path, tmp_path: Path) -> None:
    answer = subprocess.run(
        command("--output", str(tmp_path)), cwd=repository, capture_output=True, text=True, timeout=170, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    job = json.loads(answer.stdout[answer.stdout.index("\n{\n") : answer.stdout.index("\n}\n") + 2])
    assert job["status"] == "done"
    assert job["result"]["gauges"]
    found = re.search(r"annotated picture: (.*)$", answer.stdout, re.MULTILINE)
    assert found
    picture = cv2.imread(found[1])
    assert picture is not None
    assert picture.shape[:2] == (job["height_px"], job["width_px"])


def test_a_picture_with_no_gauge_ends_with_1(repository: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "blank.png"), np.full((200, 300, 3), 128, np.uint8))
    answer = subprocess.run(
        command(str(tmp_path / "blank.png"), "--output", str(tmp_path)),
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert "no gauge was found" in answer.stderr
    assert (tmp_path / "blank-annotated.png").exists() or (tmp_path / "blank-annotated.jpg").exists()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_demo_that_is_killed_leaves_no_process(how: signal.Signals, repository: Path, tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with (tmp_path / "output.txt").open("wb") as output:
        process = subprocess.Popen(command(), cwd=repository, env=env, stdout=output, stderr=output, process_group=0)
    assert eventually(lambda: len(family(tmp_path)) >= 5, 100), (tmp_path / "output.txt").read_text()
    left = family(tmp_path)
    process.send_signal(how)
    process.wait(timeout=100)
    assert eventually(lambda: not any(map(exists, left)), 60)
    if how != signal.SIGKILL:
        assert process.returncode == 128 + how
        assert not list(tmp_path.glob("drag-demo-*"))


def family(folder: Path) -> list[int]:
    """Pids of the services of the demo that keeps its data in this folder."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"DRAG_DATA_DIR={folder}/drag-demo-".encode() in environ.read_bytes():
                found.append(int(environ.parent.name))
        except OSError:
            continue
    return found


def test_a_folder_without_photos_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name one: drag demo"):
        demo.a_photo(tmp_path)
