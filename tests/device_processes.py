"""Starts processes in which jax sees several devices: the CPU, several times over."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from dagster_server import free_port

TESTS = Path(__file__).parent


def started(script: str, *arguments: str, devices: int) -> subprocess.Popen[str]:
    """`script` of this folder with `arguments`, on so many devices; a warning ends it."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)]),
        "JAX_NUM_CPU_DEVICES": str(devices),
    }
    command = [sys.executable, "-W", "error", str(TESTS / script), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The JSON object on its last line; the network library prints before it."""
    try:
        printed, errors = process.communicate(timeout=300)
    finally:
        process.kill()  # one that hangs must not outlive its test
    assert process.returncode == 0, errors
    return json.loads(printed.splitlines()[-1])


def said_by_two(script: str, *arguments: str) -> list[dict[str, Any]]:
    """What two processes say that have one device each and meet at a port: `script ARGUMENTS PORT ID`.

    Less than a pipe holds: they end together, and are read one after the other.
    """
    port = str(free_port())
    processes = [started(script, *arguments, port, str(identity), devices=1) for identity in range(2)]
    try:
        return [said(process) for process in processes]
    finally:
        for process in processes:
            process.kill()
