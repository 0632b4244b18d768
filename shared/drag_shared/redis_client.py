"""One process's way to Redis, single or cluster: every passing trouble of the server becomes `Unavailable`.

Redis going away and coming back is an ordinary event. `Link.call` tries again with jittered backoff for as long as the
caller has patience; that is safe because scripts are idempotent (`requeue` and
`drop` are not, and are called without patience). redis-py's own retries are off, so that a caller
always learns that a reply may have been lost.
"""

import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import msgpack
import redis
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry

from drag_shared import scripts
from drag_shared.config import mask_url
from drag_shared.errors import ConfigError, Unavailable
from drag_shared.keys import PartitionKeys

T = TypeVar("T")

_PASSING_TYPES = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.ClusterError,
    redis.exceptions.RedisClusterException,  # no RedisError: no node of the cluster answers, a slot has no master
    # redis-py takes the word off the text of those that it has a type for.
    redis.exceptions.ReadOnlyError,
    redis.exceptions.TryAgainError,
    redis.exceptions.OutOfMemoryError,
)
_PASSING_WORDS = tuple("BUSY CLUSTERDOWN LOADING MASTERDOWN MISCONF NOREPLICAS OOM READONLY TRYAGAIN UNBLOCKED".split())  # noqa: SIM905
_REFUSED_TYPES = (redis.exceptions.AuthenticationError, redis.exceptions.NoPermissionError)
CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 15.0
DOUBT_AFTER_S = 1.0


def is_passing(error: Exception) -> bool:
    """Whether an error of redis-py tells of a state that passes by itself, so that trying again makes sense."""
    if isinstance(error, redis.exceptions.AuthenticationError):
        return False
    if isinstance(error, _PASSING_TYPES):
        return True
    if isinstance(error, redis.ResponseError):
        # An error inside a script keeps the server's word, at the start or after the script's place.
        text = str(error)
        return text.startswith(_PASSING_WORDS) or "-OOM" in text
    return False


def connect(url: str) -> Any:
    """A redis-py client for ``redis[s]://``, ``unix://`` or ``redis[s]+cluster://``; connects on first use.

    Raises:
        ConfigError: the URL is empty or of another kind.
    """
    # RESP2: with it both servers and all releases answer streams in the same shape.
    options: dict[str, Any] = {
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_timeout": ANSWER_TIMEOUT_S,
    }
    scheme, _, rest = url.partition("://")
    if scheme in ("redis+cluster", "rediss+cluster"):
        return _ClusterOnDemand(f"{scheme.removesuffix('+cluster')}://{rest}", options)
    if scheme not in ("redis", "rediss", "unix"):
        raise ConfigError(
            f"DRAG_REDIS_URL must be redis://, rediss://, unix:// or redis+cluster://, not {mask_url(url)!r}; "
            "leave it empty under `make run` for the embedded server"
        )
    return redis.Redis.from_url(url, **options)


class _ClusterOnDemand:
    """A `RedisCluster` that is made on first use: its constructor connects, and Redis may be away at our start."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self._url, self._options = url, options
        self._cluster: Any = None
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            if self._cluster is None:
                self._cluster = RedisCluster.from_url(self._url, **self._options)
        return getattr(self._cluster, name)

    def close(self) -> None:
        if self._cluster is not None:
            self._cluster.close()


class _Lines:
    """Connections of a single server, without redis-py's client around them.

    A command takes 20 us of CPU instead of the client's 58: no per-command retry object, no hooks, no look at the
    socket before each use. A connection that was idle for longer is looked at, since the server may have gone away.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._pool: Any = client.connection_pool
        self._read: Any = client.response_callbacks
        self._pid = os.getpid()
        self._idle: deque[tuple[Any, float]] = deque()

    def ask(self, *command: Any) -> Any:
        """What the client's `execute_command` would answer."""
        connection = self._take()
        try:
            connection.send_command(*command, check_health=False)
            answer = connection.read_response()
        except redis.ResponseError as error:  # an answer too
            if is_passing(error):  # a demoted master, say: a new connection may lead to the new one
                connection.disconnect()
            self._idle.append((connection, time.monotonic()))
            raise
        except BaseException:  # what else comes on it belongs to this command
            connection.disconnect()
            self._idle.append((connection, time.monotonic()))
            raise
        self._idle.append((connection, time.monotonic()))
        read = self._read.get(command[0])
        return answer if read is None else read(answer)

    def _take(self) -> Any:
        if os.getpid() != self._pid:  # a fork must not share its parent's sockets
            self._pid, self._idle = os.getpid(), deque()
        try:
            connection, used_s = self._idle.pop()
        except IndexError:
            return self._pool.make_connection()
        if time.monotonic() - used_s > DOUBT_AFTER_S:
            try:
                if connection.can_read(timeout=0):  # nothing was asked: it can only be the end
                    connection.disconnect()
            except redis.RedisError:
                connection.disconnect()
        return connection

    def close(self) -> None:
        """Closes those that are not in use."""
        while self._idle:
            self._idle.pop()[0].disconnect()


class Link:
    """A Redis client whose failures are told in DRAG's words. Thread safe.

    Args:
        url: ``redis://``, ``rediss://``, ``unix://`` or ``redis+cluster://``.
    """

    def __init__(self, url: str) -> None:
        self.url = mask_url(url)
        self.client = connect(url)
        self._lines = _Lines(self.client) if isinstance(self.client, redis.Redis) else None

    @property
    def is_cluster(self) -> bool:
        """Whether there are several servers behind it."""
        return self._lines is None

    def call(self, operation: Callable[[Any], T], patience_s: float = 2.0) -> T:
        """The answer of ``operation(client)``, tried again while Redis is away, for about ``patience_s``.

        Raises:
            Unavailable: Redis could not serve it in that time.
            ConfigError: Redis refuses our login.
        """
        deadline_s = time.monotonic() + patience_s
        pause_s = 0.02
        while True:
            try:
                return operation(self.client)
            except (redis.RedisError, redis.exceptions.RedisClusterException) as error:
                if isinstance(error, _REFUSED_TYPES):
                    text = f"Redis at {self.url} refuses our login ({error}): check DRAG_REDIS_URL"
                    raise ConfigError(text) from error
                if not is_passing(error):
                    raise
                if time.monotonic() + pause_s > deadline_s:
                    raise Unavailable(f"Redis at {self.url} cannot serve us now: {error}") from error
            time.sleep(random.uniform(0.5, 1.0) * pause_s)
            pause_s = min(pause_s * 2, 1.0)

    def ask(self, command: str, *args: Any, patience_s: float = 2.0, **options: Any) -> Any:
        """The answer of the client's method ``command``.

        Raises:
            Unavailable, ConfigError: as `call`.
        """
        return self.call(lambda client: getattr(client, command)(*args, **options), patience_s)

    def command(self, *command: Any, patience_s: float = 2.0) -> Any:
        """The answer to a command as it is written, like `HGETALL key`; costs less than `ask`.

        Raises:
            Unavailable, ConfigError: as `call`.
        """
        return self.call(lambda client: self._send(client, *command), patience_s)

    def _send(self, client: Any, *command: Any) -> Any:
        return client.execute_command(*command) if self._lines is None else self._lines.ask(*command)

    def script(
        self, name: str, keys: PartitionKeys, request: dict[str, Any], *blobs: bytes, patience_s: float = 2.0
    ) -> Any:
        """Runs ``scripts/<name>.lua`` on a partition; ``request`` and ``blobs`` are its ARGV.

        Raises:
            Unavailable: as `call`.
        """
        script = scripts.load(name)
        names = keys.for_scripts()
        packed = msgpack.packb(request, use_bin_type=False)  # Lua's cmsgpack knows no bin type

        def run(client: Any) -> Any:
            try:
                return self._send(client, "EVALSHA", script.sha, len(names), *names, packed, *blobs)
            except redis.exceptions.NoScriptError:
                return self._send(client, "EVAL", script.source, len(names), *names, packed, *blobs)

        return self.call(run, patience_s)

    def ping_ms(self, patience_s: float = 0.0) -> float:
        """Round trip in milliseconds."""
        start_s = time.perf_counter()
        self.ask("ping", patience_s=patience_s)
        return (time.perf_counter() - start_s) * 1000

    def close(self) -> None:
        """Closes the connections."""
        if self._lines is not None:
            self._lines.close()
        self.client.close()
