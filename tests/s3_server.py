"""A local S3 server for tests: real HTTP, real conditional writes, nothing leaves the machine."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

BUCKET = "registry"


@contextmanager
def s3_server() -> Iterator[dict]:
    """Start a server with one empty bucket; yields the options of its fsspec filesystem."""
    import s3fs
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {"key": "testing", "secret": "testing", "endpoint_url": f"http://{host}:{port}"}  # moto takes any
    try:
        s3fs.S3FileSystem(**options, skip_instance_cache=True).mkdir(BUCKET)
        yield options
    finally:
        server.stop()
