"""Bodies that can be read only once, signed while they are sent."""

import io
import os
import threading
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from astro_cloud.auth import AWSAuth, sigv4
from astro_cloud.auth.payload import CHUNK, SignedChunks, encoded_length
from tests.auth.streams import Once
from tests.servers.process import RunningServer

DATE, SCOPE = "20130524T000000Z", "20130524/us-east-1/s3/aws4_request"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEY = sigv4.signing_key(SECRET, "20130524", "us-east-1", "s3")
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"


def auth_for(judge: RunningServer) -> AWSAuth:
    """The first user's auth."""
    return AWSAuth(access_key=judge.access_key, secret_key=judge.secret_key, region=judge.region)


def chunks_of(body: Any, length: int) -> list[bytes]:
    """Sign a body with the key of AWS's example."""
    return list(SignedChunks(body, length, key=KEY, amz_date=DATE, scope=SCOPE, seed=SEED))


def test_the_example_of_the_documentation() -> None:
    """Seed and chunk signatures are the ones AWS publishes for 65 KiB of the letter a."""
    headers = {
        "host": "s3.amazonaws.com", "x-amz-date": DATE, "x-amz-storage-class": "REDUCED_REDUNDANCY",
        "x-amz-content-sha256": sigv4.STREAMING_PAYLOAD, "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": "66560", "content-length": "66824",
    }  # fmt: skip
    block, names = sigv4.canonical_headers(headers.items())
    canonical = sigv4.canonical_request(
        "PUT", "/examplebucket/chunkObject.txt", "", block, names, sigv4.STREAMING_PAYLOAD
    )
    assert sigv4.signature(KEY, sigv4.string_to_sign(DATE, SCOPE, canonical)) == SEED
    assert encoded_length(66_560) == 66_824
    sent = chunks_of([b"a" * 66_560], 66_560)
    assert [chunk.split(b"\r\n")[0].decode() for chunk in sent] == [
        "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ]


@given(st.integers(0, 3 * CHUNK), st.sampled_from([1000, CHUNK, 100_000]))
def test_the_announced_length_is_the_length(length: int, piece: int) -> None:
    """However a body comes in pieces, what goes out is as long as announced, in whole chunks."""
    sent = chunks_of(Once(bytes(length), piece), length)
    assert sum(map(len, sent)) == encoded_length(length)
    assert len(sent) == -(-length // CHUNK) + 1


@pytest.mark.parametrize(("announced", "says"), [(99, "more than the 99"), (101, "100 of the 101")])
def test_a_body_of_another_length_is_an_error(announced: int, says: str) -> None:
    """A body that is longer or shorter than announced is not sent as if it were right."""
    with pytest.raises(ValueError, match=says):
        chunks_of(Once(bytes(100)), announced)


@pytest.mark.parametrize("length", [1, 8192, CHUNK, 3 * CHUNK + 17])
def test_real_servers_store_a_stream(s3_judge: RunningServer, length: int) -> None:
    """Ceph and Swift check every chunk's signature, and store the bytes."""
    auth = AWSAuth(access_key=s3_judge.access_key, secret_key=s3_judge.secret_key, region=s3_judge.region)
    data = bytes(n * 7 % 251 for n in range(length))
    assert requests.put(f"{s3_judge.url}/streams", auth=auth).status_code in (200, 409)
    url = f"{s3_judge.url}/streams/{length}"
    answer = requests.put(url, data=Once(data), auth=auth)
    assert answer.status_code == 200, answer.text
    assert requests.get(url, auth=auth).content == data


def test_real_servers_store_what_comes_out_of_a_pipe(s3_judge: RunningServer) -> None:
    """A pipe has no length and no way back; with a Content-Length it can be uploaded."""
    auth = AWSAuth(access_key=s3_judge.access_key, secret_key=s3_judge.secret_key, region=s3_judge.region)
    requests.put(f"{s3_judge.url}/streams", auth=auth)
    data = os.urandom(100_000)
    reader, writer = os.pipe()

    def fill() -> None:
        with open(writer, "wb") as file:
            file.write(data)

    thread = threading.Thread(target=fill)
    thread.start()
    with open(reader, "rb") as stream:
        answer = requests.put(
            f"{s3_judge.url}/streams/pipe", data=stream, headers={"Content-Length": "100000"}, auth=auth
        )
    thread.join()
    assert answer.status_code == 200, answer.text
    assert requests.get(f"{s3_judge.url}/streams/pipe", auth=auth).content == data


def test_a_chunk_that_is_tampered_with_is_refused(s3_judge: RunningServer) -> None:
    """The signatures are looked at: a byte changed on the way is not stored."""
    auth = AWSAuth(access_key=s3_judge.access_key, secret_key=s3_judge.secret_key, region=s3_judge.region)
    requests.put(f"{s3_judge.url}/streams", auth=auth)
    request = requests.Request("PUT", f"{s3_judge.url}/streams/bad", data=Once(bytes(100_000))).prepare()
    sent = b"".join(auth.sign(request).body)
    request.body = sent.replace(b"\0\0\0\0", b"\0\1\0\0", 1)
    request.headers["Content-Length"] = str(len(sent))
    assert requests.Session().send(request).status_code == 403


def test_text_is_refused_by_name() -> None:
    """A file of text is told from one of bytes, and stays where it is."""
    body = io.StringIO("text")
    body.seek(2)
    auth = AWSAuth(access_key="AKID", secret_key="s")
    with pytest.raises(TypeError, match="binary mode"):
        requests.Request("PUT", "http://h/b/k", data=body, auth=auth).prepare()
    assert body.tell() == 2
