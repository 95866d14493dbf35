"""AWSAuth before real servers: each checks signatures in code of its own, and they are right.

Objects are put, listed and read on the other side by botocore and http.client (`tests.servers.signed`),
so that a key which is damaged alike on both ways is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import requests

from astro_cloud.auth.aws import AWSAuth
from tests.auth.odd_keys import ODD_KEYS, plain_path, wire_path
from tests.servers import ceph
from tests.servers.process import RunningServer
from tests.servers.signed import ask, keys_of, listed

BUCKET, OUR_BUCKET, PAID_BUCKET = "odd-keys", "odd-keys-of-ours", "requester-pays"

#: Beginnings of odd keys, with what queries are respelt for.
PREFIXES = [
    "two words",
    "a+b",
    "50% grey",
    "two%20words",
    "cafe\u0301",
    "~!*'()",
    "a:b@c;d,e$f",
    "ra=1&dec=2",
]

over_keys = pytest.mark.parametrize("key", ODD_KEYS.values(), ids=ODD_KEYS)


def content_of(key: str) -> bytes:
    """Return the bytes that lie under a key: different for each."""
    return b"under " + key.encode()


@pytest.fixture(scope="module")
def judge(s3_judge: RunningServer) -> RunningServer:
    """A server that has each odd key, put there by other means than ours, and a bucket for our own."""
    for bucket in (BUCKET, OUR_BUCKET):
        ask(s3_judge, "PUT", f"/{bucket}")
    for key in ODD_KEYS.values():
        ask(s3_judge, "PUT", plain_path(BUCKET, key), content_of(key))
    assert sorted(listed(s3_judge, BUCKET)) == sorted(ODD_KEYS.values())
    return s3_judge


@pytest.fixture(scope="module")
def paid(ceph_server: RunningServer) -> RunningServer:
    """A server with a requester-pays bucket of the first user's, which everybody may read."""
    ceph.make_requester_pays(ceph_server, PAID_BUCKET, {"image.fits": b"SIMPLE  ="})
    return ceph_server


def auth_for(server: RunningServer, *, region: str | None = None) -> AWSAuth:
    return AWSAuth(access_key=server.access_key, secret_key=server.secret_key, region=region or server.region)


def other_auth_for(server: RunningServer, *, request_payer: bool) -> AWSAuth:
    return AWSAuth(
        request_payer,
        access_key=server.other_access_key,
        secret_key=server.other_secret_key,
        region=server.region,
    )


def url_of(server: RunningServer, bucket: str, key: str) -> str:
    return server.url + wire_path(bucket, key)


@over_keys
def test_get_reads_the_object_under_an_odd_key(
    judge: RunningServer, session: requests.Session, key: str
) -> None:
    """A signed GET of any key answers with the bytes of that key, whole or a range of them."""
    url = url_of(judge, BUCKET, key)
    answer = session.get(url, auth=auth_for(judge))
    assert (answer.status_code, answer.content) == (200, content_of(key))
    ranged = session.get(url, auth=auth_for(judge), headers={"Range": "bytes=1-4"})
    assert (ranged.status_code, ranged.content) == (206, content_of(key)[1:5])


@over_keys
def test_head_knows_the_object_under_an_odd_key(
    judge: RunningServer, session: requests.Session, key: str
) -> None:
    """A signed HEAD of any key answers with the size of that key's object."""
    answer = session.head(url_of(judge, BUCKET, key), auth=auth_for(judge))
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(len(content_of(key))))


@over_keys
def test_put_writes_under_the_odd_key(judge: RunningServer, session: requests.Session, key: str) -> None:
    """A signed PUT of any key makes that key, as others read it, and no other."""
    before = set(listed(judge, OUR_BUCKET))
    answer = session.put(url_of(judge, OUR_BUCKET, key), data=content_of(key), auth=auth_for(judge))
    assert answer.status_code == 200
    assert set(listed(judge, OUR_BUCKET)) == before | {key}
    assert ask(judge, "GET", plain_path(OUR_BUCKET, key)).body == content_of(key)


def tamper_path(request: requests.PreparedRequest) -> None:
    path, mark, query = str(request.url).partition("?")
    request.url = path + "x" + mark + query


def tamper_query(request: requests.PreparedRequest) -> None:
    request.url = str(request.url).replace("text%2Fplain", "text%2Fhtml")
    assert "html" in request.url


def tamper_header(request: requests.PreparedRequest) -> None:
    request.headers["Range"] = "bytes=0-1"


def tamper_date(request: requests.PreparedRequest) -> None:
    format_ = "%Y%m%dT%H%M%SZ"
    signed_at = datetime.strptime(request.headers["x-amz-date"], format_)
    request.headers["x-amz-date"] = (signed_at - timedelta(seconds=1)).strftime(format_)


def tamper_method(request: requests.PreparedRequest) -> None:
    request.method = "HEAD"


def sign_with_another_secret(request: requests.PreparedRequest) -> None:
    access_key = request.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
    AWSAuth(access_key=access_key, secret_key="of nobody here").sign(request)


TAMPERINGS = [tamper_path, tamper_query, tamper_header, tamper_date, tamper_method, sign_with_another_secret]


@pytest.mark.parametrize("tamper", TAMPERINGS)
@over_keys
def test_a_tampered_request_is_refused(
    judge: RunningServer,
    session: requests.Session,
    key: str,
    tamper: Callable[[requests.PreparedRequest], None],
) -> None:
    """A signed request is accepted as it is, and refused with 403 once anything signed is changed."""
    url = url_of(judge, BUCKET, key) + "?response-content-type=text%2Fplain"
    draft = requests.Request("GET", url, headers={"Range": "bytes=0-0"}, auth=auth_for(judge))
    request = draft.prepare()
    assert session.send(request).status_code == 206
    tamper(request)
    assert session.send(request).status_code == 403


@pytest.mark.parametrize("prefix", PREFIXES)
def test_listing_by_prefix_finds_the_key(
    judge: RunningServer, session: requests.Session, prefix: str
) -> None:
    """A query given to requests as `params`, whatever its characters, is signed as it is sent."""
    params = {"list-type": "2", "prefix": prefix}
    answer = session.get(f"{judge.url}/{BUCKET}", params=params, auth=auth_for(judge))
    assert answer.status_code == 200
    assert keys_of(answer.content) == [key for key in ODD_KEYS.values() if key.startswith(prefix)]


@over_keys
def test_a_bucket_in_the_host_is_signed_for(
    judge: RunningServer, session: requests.Session, key: str
) -> None:
    """Virtual-host style: the bucket stands in the Host that is signed, the path is the key alone."""
    request = requests.Request("GET", judge.url, headers={"Host": f"{BUCKET}.localhost"}).prepare()
    request.url = judge.url + "/" + wire_path(BUCKET, key).removeprefix(f"/{BUCKET}/")
    assert session.send(auth_for(judge).sign(request)).content == content_of(key)
    request.headers["Host"] = f"{OUR_BUCKET}.localhost"
    assert session.send(request).status_code == 403


def test_a_wrong_region_is_refused_where_it_is_checked(
    swift_server: RunningServer, session: requests.Session
) -> None:
    """Swift checks the region of the credential scope, so it reads ours there; the auth learns from it."""
    auth = auth_for(swift_server, region="ap-south-2")
    refused = session.send(auth.sign(requests.Request("GET", swift_server.url).prepare()))
    assert refused.status_code == 400
    assert "AuthorizationHeaderMalformed" in refused.text
    answer = session.get(swift_server.url, auth=auth)
    assert [past.status_code for past in (*answer.history, answer)] == [400, 200]


def test_a_requester_pays_bucket_refuses_who_does_not_offer_to_pay(
    paid: RunningServer, session: requests.Session
) -> None:
    """Another user's signature is good, but without x-amz-request-payer the answer is 403."""
    auth = other_auth_for(paid, request_payer=False)
    assert session.get(f"{paid.url}/{PAID_BUCKET}/image.fits", auth=auth).status_code == 403


def test_a_requester_pays_bucket_answers_who_offers_to_pay(
    paid: RunningServer, session: requests.Session
) -> None:
    """AWSAuth(request_payer=True) of another user is answered, and told that it was charged."""
    auth = other_auth_for(paid, request_payer=True)
    url = f"{paid.url}/{PAID_BUCKET}/image.fits"
    answer = session.get(url, auth=auth, headers={"Range": "bytes=0-5"})
    assert (answer.status_code, answer.content) == (206, b"SIMPLE")
    assert answer.headers["x-amz-request-charged"] == "requester"
    assert session.get(f"{paid.url}/{PAID_BUCKET}", params={"list-type": "2"}, auth=auth).status_code == 200


def test_the_offer_to_pay_is_signed(paid: RunningServer, session: requests.Session) -> None:
    """The payer header taken out of, or changed in, a signed request makes it a 403."""
    draft = requests.Request("GET", f"{paid.url}/{PAID_BUCKET}/image.fits")
    for value in (None, "somebody else"):
        request = other_auth_for(paid, request_payer=True)(draft.prepare())
        assert session.send(request).status_code == 200
        del request.headers["x-amz-request-payer"]
        if value is not None:
            request.headers["x-amz-request-payer"] = value
        assert session.send(request).status_code == 403
