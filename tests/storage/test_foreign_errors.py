"""Foreign errors become ours, by one table, and show no secret."""

from __future__ import annotations

import pickle

import pytest
import requests.exceptions as foreign
import urllib3.exceptions

from astro_cloud.exceptions import (
    AstroCloudError,
    IncompleteReadError,
    InvalidLocationError,
    StorageError,
    TransferTimeoutError,
)
from astro_cloud.storage import Settings
from astro_cloud.storage.answers import Again, Fail
from astro_cloud.storage.foreign_errors import FOREIGN_ERRORS, translate

NAME = "s3://sky/m31.fits"

PASSING = [
    (foreign.ConnectTimeout("x"), TransferTimeoutError, "no connection within 5 s"),
    (foreign.ReadTimeout("x"), TransferTimeoutError, "nothing for 30 s"),
    (urllib3.exceptions.ReadTimeoutError(None, "/", "x"), TransferTimeoutError, "nothing for 30 s"),
    (TimeoutError("x"), TransferTimeoutError, "nothing for 30 s"),
    (foreign.ProxyError("x"), StorageError, "proxy"),
    (foreign.ConnectionError("x"), StorageError, "no connection"),
    (foreign.ChunkedEncodingError("x"), IncompleteReadError, "closed before"),
    (urllib3.exceptions.ProtocolError("x"), IncompleteReadError, "closed before"),
    (ConnectionResetError("x"), IncompleteReadError, "closed before"),
]
LASTING = [
    (foreign.SSLError("x"), StorageError, "REQUESTS_CA_BUNDLE"),
    (urllib3.exceptions.SSLError("x"), StorageError, "REQUESTS_CA_BUNDLE"),
    (foreign.InvalidURL("x"), InvalidLocationError, "not a URL"),
    (foreign.InvalidSchema("x"), InvalidLocationError, "not a URL"),
    (foreign.MissingSchema("x"), InvalidLocationError, "not a URL"),
    (foreign.TooManyRedirects("x"), StorageError, "failed"),
    (foreign.InvalidHeader("x"), StorageError, "failed"),
]


def kind_of(row: tuple[Exception, type[AstroCloudError], str]) -> str:
    return type(row[0]).__module__.partition(".")[0] + " " + type(row[0]).__name__


@pytest.mark.parametrize("row", PASSING, ids=kind_of)
def test_what_may_pass_is_tried_again(row: tuple[Exception, type[AstroCloudError], str]) -> None:
    """Broken connections and silence are worth another attempt; the most specific error tells of them."""
    error, kind, says = row
    verdict = translate(error, NAME, Settings())
    assert isinstance(verdict, Again)
    assert type(verdict.error) is kind
    assert str(verdict.error).startswith(f"{NAME}: ")
    assert says in str(verdict.error)
    assert verdict.error.location == NAME
    assert isinstance(error, FOREIGN_ERRORS)


@pytest.mark.parametrize("row", LASTING, ids=kind_of)
def test_what_lasts_is_an_error_at_once(row: tuple[Exception, type[AstroCloudError], str]) -> None:
    """A certificate that is not trusted, or a URL that is none, will be the same in a second."""
    error, kind, says = row
    verdict = translate(error, NAME, Settings())
    assert isinstance(verdict, Fail)
    assert type(verdict.error) is kind
    assert says in str(verdict.error)
    assert isinstance(error, FOREIGN_ERRORS)


def test_the_cause_is_kept_as_text_without_secrets() -> None:
    """The cause says what the library said, with signatures masked, and holds no request."""
    request = foreign.ConnectionError("GET /a?X-Amz-Signature=f00dcafe failed at http://u:pa55word@h/")
    verdict = translate(request, NAME, Settings())
    assert isinstance(verdict, Again)
    cause = verdict.error.__cause__
    assert "ConnectionError: GET /a?X-Amz-Signature=*** failed" in str(cause)
    assert "pa55word" not in str(cause)
    assert not isinstance(cause, foreign.RequestException)
    assert str(pickle.loads(pickle.dumps(verdict.error))) == str(verdict.error)
