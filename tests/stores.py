"""An S3 server on loopback, for tests of object stores."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3

SECRET = "geheimer-schluessel"
_SERVE = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it logs each request
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.read()  # until its end is wanted
"""


@dataclass(frozen=True)
class S3:
    """A server with one bucket: how programs reach it, and a client of its own."""

    address: str
    client: Any
    bucket: str = "shop"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a program finds it by."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": "shop-key",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def keys(self, prefix: str = "") -> dict[str, str]:
        """Return every key below a prefix with what changes when its object does."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return {one["Key"]: one["ETag"] for page in pages for one in page.get("Contents", ())}

    def read(self, key: str) -> bytes:
        """Return an object's bytes."""
        return bytes(self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def write(self, key: str, content: bytes) -> None:
        """Write an object."""
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)

    def restore(self, objects: Mapping[str, bytes]) -> None:
        """Let the bucket hold these objects and no others."""
        tags = {key: f'"{hashlib.md5(content).hexdigest()}"' for key, content in objects.items()}
        held = self.keys()
        for key in held.keys() - objects.keys():
            self.client.delete_object(Bucket=self.bucket, Key=key)
        for key in [key for key, tag in tags.items() if held.get(key) != tag]:
            self.write(key, objects[key])


@contextmanager
def s3_server() -> Iterator[S3]:
    """Run a server with an empty bucket for a block, as a process of its own: it keeps a core busy."""
    command = [sys.executable, "-c", _SERVE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        host, port = server.stdout.readline().split()
        address = f"http://{host}:{port}"
        client = boto3.client(
            "s3",
            endpoint_url=address,
            aws_access_key_id="shop-key",
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )
        client.create_bucket(Bucket=S3.bucket)
        try:
            yield S3(address, client)
        finally:
            server.kill()
