"""The processes below this one: the replicas among them, and the memory of all."""

import os
import signal

import psutil

REPLICA = "ServeReplica:offramp"


def replica_pids() -> list[int]:
    """Processes of replicas, by the name that Ray gives them."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if any(REPLICA in word for word in process.cmdline()[:1]):
                found.append(process.pid)
        except psutil.Error:  # it ended while we looked
            continue
    return sorted(found)


def kill_replica(number: int) -> int:
    """Ends one replica without warning; its process id.

    Raises:
        RuntimeError: There is none.
    """
    pids = replica_pids()
    if not pids:
        raise RuntimeError("there is no replica to kill")
    pid = pids[number % len(pids)]
    os.kill(pid, signal.SIGKILL)
    return pid


def memory_mib() -> float:
    """Resident memory of everything that this process has started."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total / 2**20
