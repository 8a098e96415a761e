"""A real webserver and daemon over a temporary home, for the tests and drills that need them."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
START_SECONDS = 120


@contextmanager
def dagster_server(home: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """`dagster dev` on loopback with the repo's dagster.yaml; yields its address, ends all its processes."""
    instance = home / "dagster"
    instance.mkdir(parents=True, exist_ok=True)
    shutil.copy(REPO / "dagster.yaml", instance / "dagster.yaml")
    settings = {"EMBEDDINGS_HOME": str(home), "DAGSTER_HOME": str(instance), **environ}
    port = free_port()
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [
                Path(sys.executable).with_name("dagster"),
                "dev",
                "-h",
                "127.0.0.1",
                "-p",
                str(port),
                "-w",
                "workspace.yaml",
            ],
            cwd=REPO,
            env={**os.environ, **settings},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield wait_for(f"http://127.0.0.1:{port}", process, home / "server.log")
        finally:
            end(process)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(url: str, process: subprocess.Popen, log: Path) -> str:
    """The address, once it answers."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/server_info", timeout=5):
                return url
        except OSError:
            time.sleep(0.5)
    raise RuntimeError(f"dagster dev did not answer at {url}:\n{log.read_text()[-3000:]}")


def end(process: subprocess.Popen) -> None:
    """SIGINT, which `dagster dev` passes on to its children; what is left of the session is killed."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
