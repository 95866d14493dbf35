"""Uploads by botocore's own client, which builds the requests and reads the answers as it would S3's."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from astro_cloud.testing import Fault, ObjectServer

PARTS = [b"a" * 2000, b"b" * 2000, b"c"]
BIG = {"Bucket": "bucket", "Key": "a folder/big ü&.fits"}


@pytest.fixture
def client(object_server: ObjectServer) -> Any:
    object_server.min_part_size = 2000
    object_server.put("bucket", "key", b"old")
    return botocore.session.Session().create_client(
        "s3",
        endpoint_url=object_server.url,
        region_name=object_server.region,
        aws_access_key_id=object_server.access_key,
        aws_secret_access_key=object_server.secret_key,
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
    )


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("CRC32", "COMPOSITE"), ("SHA256", "COMPOSITE"), ("CRC32", "FULL_OBJECT")],
)
def test_an_upload_in_parts(client: Any, object_server: ObjectServer, algorithm: str, kind: str) -> None:
    """It is begun, listed, completed and read back, its checksum verified by the client where it can."""
    created = client.create_multipart_upload(**BIG, ChecksumAlgorithm=algorithm, ChecksumType=kind)
    assert (created["ChecksumAlgorithm"], created["ChecksumType"]) == (algorithm, kind)
    upload = {**BIG, "UploadId": created["UploadId"]}
    parts = []
    for number, part in enumerate(PARTS, 1):
        sent = client.upload_part(**upload, PartNumber=number, Body=part, ChecksumAlgorithm=algorithm)
        name = f"Checksum{algorithm}"
        parts.append({"PartNumber": number, "ETag": sent["ETag"], name: sent[name]})
    listed = client.list_parts(**upload)
    assert [{name: part[name] for name in parts[0]} for part in listed["Parts"]] == parts
    (unfinished,) = client.list_multipart_uploads(Bucket="bucket")["Uploads"]
    assert (unfinished["Key"], unfinished["UploadId"]) == (BIG["Key"], created["UploadId"])
    done = client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, ChecksumType=kind)
    read = client.get_object(**BIG, ChecksumMode="ENABLED")
    assert read["Body"].read() == b"".join(PARTS)
    assert (read["ETag"], read[name], read["ChecksumType"]) == (done["ETag"], done[name], kind)
    assert object_server.uploads == []


def test_an_upload_is_aborted(client: Any) -> None:
    """And then unknown."""
    upload = {**BIG, "UploadId": client.create_multipart_upload(**BIG)["UploadId"]}
    client.abort_multipart_upload(**upload)
    with pytest.raises(client.exceptions.NoSuchUpload):
        client.list_parts(**upload)


def test_an_error_in_a_200_is_an_error(client: Any, object_server: ObjectServer) -> None:
    """botocore looks for it, as S3's documentation tells it to."""
    upload = {**BIG, "UploadId": client.create_multipart_upload(**BIG)["UploadId"]}
    sent = client.upload_part(**upload, PartNumber=1, Body=b"part")
    part = {"PartNumber": 1, "ETag": sent["ETag"]}
    object_server.inject(Fault.ok_with_error(), query="uploadId")
    with pytest.raises(ClientError, match="InternalError"):
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": [part]})
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": [part]})
    assert client.get_object(**BIG)["Body"].read() == b"part"


def test_conditions_of_a_put(client: Any) -> None:
    """In the words botocore knows."""
    client.put_object(Bucket="bucket", Key="new", Body=b"new", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(Bucket="bucket", Key="new", Body=b"else", IfNoneMatch="*")
    with pytest.raises(client.exceptions.NoSuchKey):
        client.put_object(Bucket="bucket", Key="absent", Body=b"else", IfMatch='"etag"')
