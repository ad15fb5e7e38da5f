"""Ports for services on one machine."""

from serve.cluster.ports import free_ports


def test_ports_differ() -> None:
    assert len(set(free_ports(3))) == 3
