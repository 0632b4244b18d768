"""A real Redis Cluster of three masters: local servers in cluster mode, joined by hand."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.servers import RedisServer, free_port

SLOTS = 16384


class Cluster:
    """Three masters, each with a third of the slots; `kill` and `start` one of them through `masters`."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.masters: list[RedisServer] = []
        for number in range(3):
            folder = directory / str(number)
            folder.mkdir()
            options = {
                "cluster-enabled": "yes",
                "cluster-node-timeout": "2000",
                "cluster-port": str(free_port()),
                "appendonly": "yes",
                "appendfsync": "always",
            }
            self.masters.append(RedisServer(kind, folder, options=options))

    @property
    def url(self) -> str:
        """Address for DRAG_REDIS_URL."""
        return f"redis+cluster://127.0.0.1:{self.masters[0].port}"

    def __enter__(self) -> Self:
        for master in self.masters:
            master.start()
        bounds = [0, SLOTS // 3, 2 * SLOTS // 3, SLOTS]
        for number, master in enumerate(self.masters):
            with master.client() as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        with self.masters[0].client() as client:
            for other in self.masters[1:]:
                bus = other.options["cluster-port"]
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port, bus)
        self.wait_until_whole()
        return self

    def wait_until_whole(self, limit_s: float = 30) -> None:
        """Awaits that every master sees all slots served."""
        deadline = time.monotonic() + limit_s
        for master in self.masters:
            while not self._sees_all(master):
                assert time.monotonic() < deadline, "the cluster did not come together"
                time.sleep(0.02)

    def _sees_all(self, master: RedisServer) -> bool:
        with master.client(protocol=2) as client:
            info = client.execute_command("CLUSTER INFO")
        return info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == 3

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for master in self.masters:
            master.close()
