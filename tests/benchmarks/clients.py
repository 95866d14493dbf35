"""Clients of the peers, made as their documentation says, all with the same keys; imports are inside."""

from __future__ import annotations

from typing import Any

BUCKET = "bench"
KEYS = {"access_key": "AKIDEXAMPLE", "secret_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
REGION = "us-east-1"


def client(endpoint: str, **options: Any) -> Any:
    """Make a client of ours that signs."""
    from astro_cloud import Client, Settings
    from astro_cloud.auth.aws import AWSAuth

    session = options.pop("session", None)
    settings = Settings(endpoint_url=endpoint, **options)
    return Client(auth=AWSAuth(region=REGION, **KEYS), session=session, settings=settings)


def store(endpoint: str) -> Any:
    """Make an obstore store that signs; a file may take it minutes."""
    from obstore.store import S3Store

    return S3Store(
        BUCKET,
        endpoint=endpoint,
        region=REGION,
        access_key_id=KEYS["access_key"],
        secret_access_key=KEYS["secret_key"],
        client_options={"allow_http": True, "timeout": "600s"},
    )


def boto3_client(endpoint: str, *, connections: int) -> Any:
    """Make a client of boto3 with so many connections."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=KEYS["access_key"],
        aws_secret_access_key=KEYS["secret_key"],
        config=boto3_config(connections),
    )


def boto3_config(connections: int) -> Any:
    """Make a configuration of botocore for a server that has buckets in its paths."""
    from botocore.config import Config

    return Config(max_pool_connections=connections, s3={"addressing_style": "path"})


def file_system(endpoint: str, *, connections: int = 10) -> Any:
    """Make a file system of s3fs, which has ten connections unless told."""
    import s3fs

    return s3fs.S3FileSystem(
        key=KEYS["access_key"],
        secret=KEYS["secret_key"],
        endpoint_url=endpoint,
        client_kwargs={"region_name": REGION},
        config_kwargs={"max_pool_connections": connections, "s3": {"addressing_style": "path"}},
    )
