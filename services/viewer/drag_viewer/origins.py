"""Where a browser that shows our page finds the API."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from drag_shared.config import Settings
from drag_shared.errors import ConfigError

# What may stand in a Host header: a name, an IPv4 address or a bracketed IPv6 one, and a port. It goes into the page
# and its Content-Security-Policy, so nothing else may.
_HOST = re.compile(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


class UnusableHostError(Exception):
    """The request's Host header is not one that an address can be made from."""


def api_origin(settings: Settings, scheme: str, host: str) -> str:
    """Origin of the API for a page that was asked for at `host`.

    Args:
        settings: `api_url` wins when set; else the page's own host with `api_port`.
        scheme: the page's own, `http` or `https`.
        host: the request's Host header.

    Raises:
        UnusableHostError: the header is not a plain host with an optional port.
        ConfigError: `api_url` is not an http(s) origin.
    """
    if settings.api_url:
        return configured_origin(settings.api_url)
    found = _HOST.fullmatch(host)
    if not found:
        raise UnusableHostError("The Host header of this request is not a host name or address with an optional port.")
    return f"{scheme}://{found['name']}:{settings.api_port}"


def configured_origin(url: str) -> str:
    """`DRAG_API_URL` as an origin.

    Raises:
        ConfigError: it is not `http(s)://HOST[:PORT]`, with nothing behind it.
    """
    parts = urlsplit(url)
    fits = parts.scheme in ("http", "https") and _HOST.fullmatch(parts.netloc)
    if not fits or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ConfigError(f"DRAG_API_URL: expected an origin like https://drag.example:5000, not {url!r}")
    return f"{parts.scheme}://{parts.netloc}"
