"""What `JobStore` tells from an id alone, without asking Redis."""

from __future__ import annotations

import pytest

from drag_shared.config import Settings
from drag_shared.errors import UnknownJob
from drag_shared.jobs import JobStore
from drag_shared.keys import PartitionKeys


@pytest.mark.parametrize(
    "dead_id", ["", "0", "0-1", "0-1-", "0-1-2-3", "x-1-2", "0-\u0661-\u0661", "0-1-" + "9" * 20, "1-1-2"]
)
def test_what_is_no_dead_letters_id_is_unknown(dead_id: str) -> None:
    store = JobStore.open(Settings(redis_url="redis://127.0.0.1:1"))
    store._partitions = [PartitionKeys(0)]
    with pytest.raises(UnknownJob):
        store.dead_letter(dead_id)
