"""A port that is taken is told with its holder and the setting that moves ours."""

from __future__ import annotations

import os
import socket

import pytest
from tests.support.servers import free_port

from drag_launcher.processes import Holder, describe, port_holder, port_is_free
from drag_launcher.run import check_ports
from drag_shared.config import Settings
from drag_shared.errors import ConfigError


def test_free_and_taken_are_told_apart() -> None:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        line.listen()
        port = line.getsockname()[1]
        assert not port_is_free("127.0.0.1", port)
        holder = port_holder(port)
        assert holder is not None
        assert holder.pid == os.getpid()
    assert port_is_free("127.0.0.1", port)
    assert port_holder(port) is None


@pytest.mark.parametrize("field", ["api_port", "viewer_port"])
def test_run_says_who_is_in_the_way_and_which_setting_moves_ours(field: str) -> None:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        line.listen()
        port = line.getsockname()[1]
        ports = {"api_port": free_port(), "viewer_port": free_port(), field: port}
        with pytest.raises(ConfigError) as caught:
            check_ports(Settings(**ports))
    assert f"port {port} is taken (by pid {os.getpid()}: " in str(caught.value)
    assert f"set DRAG_{field.upper()}=" in str(caught.value)


def test_an_address_that_is_not_ours_is_told() -> None:
    with pytest.raises(ConfigError, match="DRAG_HOST"):
        check_ports(Settings(host="192.0.2.1"))


def test_a_process_is_described_by_its_command_line() -> None:
    assert "python" in describe(os.getpid()) or "pytest" in describe(os.getpid())
    assert describe(2**22 + 1) == "?"
    assert str(Holder(7, "x y")) == "pid 7: x y"
