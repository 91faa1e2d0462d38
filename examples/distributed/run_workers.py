#!/usr/bin/env python3
"""Start N training workers on this machine, as a cluster would start them on N machines.

    python examples/distributed/run_workers.py 2 --dataset cluttered_digits --name two-workers

Everything after the number goes to train.py, with `--strategy multi_worker` added. Each worker gets
its own TF_CONFIG; the first is the chief, the only one that prints and writes. When one worker dies
the others stop too; the same command continues from the last checkpoint.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

GRACE = 10  # seconds in which a worker is to end when it is told to
TRAIN = Path(__file__).resolve().parents[2] / "train.py"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start(count: int, arguments: list[str], **popen) -> list[subprocess.Popen]:
    """The worker processes, chief first."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(count)]}
    processes = []
    for index in range(count):
        tf_config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        command = [sys.executable, str(TRAIN), *arguments, "--strategy", "multi_worker"]
        # The workers share this machine's processors, not its accelerators.
        environment = os.environ | {"TF_CONFIG": tf_config, "CUDA_VISIBLE_DEVICES": "-1"}
        processes.append(subprocess.Popen(command, env=environment, **popen))
    return processes


def wait(processes: list[subprocess.Popen]) -> int:
    """The exit code of the first worker that failed, after stopping the rest; 0 when all are done."""
    try:
        while True:
            codes = [process.poll() for process in processes]
            failed = [code for code in codes if code]
            if failed:
                return failed[0]
            if all(code == 0 for code in codes):
                return 0
            time.sleep(0.2)
    except KeyboardInterrupt:
        return 130
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
            process.kill()  # one that still looks for the others does not end before
            process.wait()


if __name__ == "__main__":
    if len(sys.argv) < 2 or not sys.argv[1].isdigit():
        sys.exit(__doc__)
    sys.exit(wait(start(int(sys.argv[1]), sys.argv[2:])))
