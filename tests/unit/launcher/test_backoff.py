"""The restart policy."""

from __future__ import annotations

from drag_launcher.backoff import Backoff


def test_at_once_then_doubling_up_to_the_longest() -> None:
    backoff = Backoff()
    assert [backoff.after(0.1) for _ in range(9)] == [0, 0.5, 1, 2, 4, 8, 16, 30, 30]


def test_a_good_while_alive_forgets_earlier_deaths() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.after(0.1)
    assert [backoff.after(10.0), backoff.after(0.1), backoff.after(600)] == [0, 0.5, 0]


def test_endless_dying_does_not_overflow() -> None:
    backoff = Backoff()
    assert {backoff.after(0) for _ in range(5000)} <= {0, 0.5, 1, 2, 4, 8, 16, 30}
