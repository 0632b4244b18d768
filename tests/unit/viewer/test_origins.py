"""Where a browser finds the API."""

from __future__ import annotations

import pytest

from drag_shared.config import Settings
from drag_shared.errors import ConfigError
from drag_viewer.origins import UnusableHostError, api_origin


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:5001", "http://127.0.0.1:6000"),
        ("localhost:5001", "http://localhost:6000"),
        ("plant-7.example", "http://plant-7.example:6000"),
        ("[::1]:5001", "http://[::1]:6000"),
    ],
)
def test_api_is_on_the_host_of_the_page(host: str, origin: str) -> None:
    assert api_origin(Settings(api_port=6000), "http", host) == origin


def test_scheme_of_the_page_is_kept() -> None:
    assert api_origin(Settings(api_port=6000), "https", "plant.example") == "https://plant.example:6000"


@pytest.mark.parametrize("host", ["", "a b", "a;b", "a'b", 'a"b', "a/b", "a,b", "user@a", "[::1", "a:b", "-a", "a\nb"])
def test_other_host_headers_are_refused(host: str) -> None:
    with pytest.raises(UnusableHostError):
        api_origin(Settings(), "http", host)


def test_configured_address_wins_over_the_host_header() -> None:
    assert api_origin(Settings(api_url="https://drag.example:8443"), "http", "a;b") == "https://drag.example:8443"


@pytest.mark.parametrize(
    "url", ["drag.example", "ftp://drag.example", "http://", "http://a/v1", "http://a?b", "http://u@a"]
)
def test_configured_address_must_be_an_origin(url: str) -> None:
    with pytest.raises(ConfigError, match="DRAG_API_URL"):
        api_origin(Settings(api_url=url), "http", "localhost")
