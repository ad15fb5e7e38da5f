"""The proxy in a thread: a plain Redis client sees its faults, and is well again afterwards."""

from contextlib import closing

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from serve.cache.backends import EmbeddedServer
from tools.fault_proxy import Fault
from tools.soak.proxy_thread import ProxyThread


def test_faults_come_and_go_while_somebody_else_has_the_thread() -> None:
    with closing(EmbeddedServer()) as server, ProxyThread(server.url) as proxy:
        redis = Redis.from_url(proxy.url, socket_timeout=0.2, retry=Retry(NoBackoff(), 0))
        assert redis.ping()
        proxy.set_fault(Fault.BLACK_HOLE)
        with pytest.raises(RedisTimeoutError):
            redis.ping()
        proxy.set_fault(Fault.NONE)
        assert redis.ping()
        server.stop()
        with pytest.raises(RedisConnectionError):
            redis.ping()
        server.start()
        assert redis.ping()
        redis.close()
