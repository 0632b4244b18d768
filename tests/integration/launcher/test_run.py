"""`drag run` as a person meets it: started, used, its services killed, stopped, started again, killed itself."""

from __future__ import annotations

import os
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.product import Product
from tests.support.supervised import eventually, exists

from drag_launcher.processes import port_is_free
from drag_launcher.readiness import readiness

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]

SERVICES = ("drag_api", "drag_ingest", "drag_inference", "drag_viewer")


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Product]:
    running = Product(tmp_path_factory.mktemp("product"), repository)
    try:
        running.start()
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import cv2
    import numpy as np

    picture = np.random.default_rng(7).integers(0, 255, (240, 320, 3), np.uint8)
    path = tmp_path_factory.mktemp("photo") / "noise.jpg"
    assert cv2.imwrite(str(path), picture)
    return path


def test_it_prints_the_addresses_and_serves_both(product: Product) -> None:
    assert eventually(lambda: "ready after" in product.said())
    said = product.said()
    assert product.page in said
    assert product.api in said
    with urllib.request.urlopen(product.page, timeout=20) as page:
        assert b"<html" in page.read().lower()
    with urllib.request.urlopen(f"{product.api}/docs", timeout=20) as docs:
        assert docs.status == 200


def test_each_service_is_told_by_its_command_line(product: Product) -> None:
    for module in SERVICES:
        assert product.processes(module), module
    assert any("drag_inference --model gauge-detector" in command(pid) for pid in product.processes("drag_inference"))


def command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def test_a_picture_is_worked_on_and_the_ledger_closes(product: Product, photo: Path) -> None:
    answer = product.drag("submit", str(photo), "--wait", "--api", product.api)
    assert answer.returncode == 0, answer.stderr
    audit = product.drag("audit")
    assert audit.returncode == 0, audit.stdout + audit.stderr


def test_a_second_run_is_refused_in_one_line(product: Product) -> None:
    answer = product.drag("run")
    assert answer.returncode == 1
    assert "DRAG runs already" in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_another_run_is_told_who_holds_the_port(product: Product, tmp_path: Path) -> None:
    env = {**product.env, "DRAG_DATA_DIR": str(tmp_path)}
    other = Product(tmp_path, tmp_path)
    other.env = env
    answer = other.drag("run")
    assert answer.returncode == 1
    assert f"port {product.api_port} is taken (by pid " in answer.stderr
    assert "drag_api" in answer.stderr
    assert "set DRAG_API_PORT=" in answer.stderr


def test_the_doctor_sees_the_running_one(product: Product) -> None:
    answer = product.drag("doctor")
    assert answer.returncode == 0, answer.stdout
    assert "DRAG runs there" in answer.stdout
    assert f"ready at {product.api}" in answer.stdout


@pytest.mark.parametrize("module", [*SERVICES, "valkey-server"])
def test_a_killed_service_comes_back_and_pictures_go_through(product: Product, photo: Path, module: str) -> None:
    pids = product.processes(module) if module != "valkey-server" else [valkey(product)]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not any(map(exists, pids)))
    if module == "valkey-server":
        assert eventually(lambda: valkey(product) not in (0, pids[0]), 60)
    else:
        assert eventually(lambda: bool(set(product.processes(module)) - set(pids)), 60)
    assert eventually(lambda: readiness(product.api) is None, 100), product.said()
    job = product.client.result(product.client.submit(photo)["id"], 60)
    assert job["status"] == "done"


def valkey(product: Product) -> int:
    """Pid of its embedded server, or 0."""
    where = product.env["DRAG_DATA_DIR"]
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if os.readlink(link) == f"{where}/valkey":
                return int(link.parts[2])
        except OSError:
            continue
    return 0


def test_ctrl_c_ends_all_and_the_next_start_remembers_its_jobs(product: Product, photo: Path) -> None:
    job = product.client.result(product.client.submit(photo)["id"], 60)
    pids = [*product.processes(), valkey(product)]
    assert product.stop(signal.SIGINT) == 0
    assert not any(map(exists, pids))
    for port in (product.api_port, product.viewer_port):
        assert port_is_free("127.0.0.1", port)
    assert "stopped; jobs are kept" in product.said()
    product.start()
    again = product.client.job(job["id"])
    assert (again["status"], again["result"]) == ("done", job["result"])


def test_killing_it_leaves_no_process_and_no_port(product: Product) -> None:
    pids = [*product.processes(), valkey(product)]
    assert product.process is not None
    assert len(pids) > len(SERVICES)
    product.process.kill()
    product.process.wait(timeout=10)
    pids.remove(product.process.pid)
    assert eventually(lambda: not any(map(exists, pids)), 60), [command(pid) for pid in pids if exists(pid)]
    for port in (product.api_port, product.viewer_port):
        assert port_is_free("127.0.0.1", port)


def test_a_foreign_server_on_the_port_is_named(tmp_path: Path, repository: Path) -> None:
    other = Product(tmp_path, repository)
    with socket.socket() as line:
        line.bind(("127.0.0.1", other.viewer_port))
        line.listen()
        answer = other.drag("run")
    assert answer.returncode == 1
    assert f"port {other.viewer_port} is taken (by pid {os.getpid()}" in answer.stderr
    assert "DRAG_VIEWER_PORT" in answer.stderr
