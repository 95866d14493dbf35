"""The sentence that says why a server refused, and what to do about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from requests.structures import CaseInsensitiveDict

from astro_cloud.auth.refusal import EXPIRED_CODES, Refusal
from astro_cloud.exceptions import AccessDeniedError, RequesterPaysError, StorageError
from astro_cloud.storage.denial import Attempt, explain

NAME = "s3://sky/m31.fits"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SIGNED = Attempt("aws", "auth", pays=False, at=NOW)
PAYING = SIGNED._replace(pays=True)
ANONYMOUS = SIGNED._replace(identity="nobody")
PRESIGNED = SIGNED._replace(identity="url")
GOOGLE = SIGNED._replace(provider="gcp")
AZURE = SIGNED._replace(provider="azure")
STRANGER = SIGNED._replace(provider=None)


def explained(refusal: Refusal, attempt: Attempt = SIGNED) -> StorageError:
    error = explain(refusal, NAME, attempt)
    assert str(error).startswith(f"{NAME}: ")
    assert (error.location, error.status) == (NAME, refusal.status)
    return error


@pytest.mark.parametrize("code", sorted(EXPIRED_CODES))
def test_each_code_of_expiry_is_called_expired(code: str) -> None:
    """What the auth takes for expired, the error calls so."""
    assert "expired" in str(explained(Refusal(400, code)))


@pytest.mark.parametrize(
    "code", ["AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraint"]
)
@pytest.mark.parametrize(
    ("region", "says"), [("eu-west-1", "it is in eu-west-1"), (None, "does not say which")]
)
def test_a_wrong_region_is_named(code: str, region: str | None, says: str) -> None:
    """The error names the region, where the server did, and the argument that sets it."""
    error = explained(Refusal(400, code, region=region))
    assert says in str(error)
    assert "region=" in str(error)


def test_the_servers_words_are_kept_where_ours_are_fewer() -> None:
    """What the server says beyond "Access Denied" is passed on."""
    assert "no such tenant" in str(explained(Refusal(403, "AccountProblem", "no such tenant")))
    assert "It says" not in str(explained(Refusal(403, "AccessDenied", "Access Denied")))


@pytest.mark.parametrize("code", ["AccessDenied", ""])
def test_a_signed_403_may_be_about_paying(code: str) -> None:
    """Requester pays is the likely reason only for a signed request to S3 that did not offer to pay."""
    assert type(explained(Refusal(403, code))) is RequesterPaysError
    for attempt in (PAYING, ANONYMOUS, PRESIGNED, GOOGLE, AZURE, STRANGER):
        assert type(explained(Refusal(403, code), attempt)) is AccessDeniedError


def test_who_asks_google_is_told_whom_to_charge() -> None:
    """A requester-pays bucket there answers 400, and wants the name of a project."""
    error = explained(Refusal(400, "UserProjectMissing"), GOOGLE._replace(identity="nobody"))
    assert type(error) is RequesterPaysError
    assert "user_project=" in str(error)


@pytest.mark.parametrize(
    ("provider", "variable"),
    [
        ("aws", "AWS_ACCESS_KEY_ID"),
        ("spaces", "SPACES_ACCESS_KEY_ID"),
        ("gcp", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("azure", "AZURE_STORAGE_KEY"),
    ],
)
def test_who_read_anonymously_is_told_where_credentials_are_looked_for(provider: str, variable: str) -> None:
    """Each provider has places of its own."""
    error = explained(Refusal(403, "AccessDenied"), ANONYMOUS._replace(provider=provider))
    assert "anonymously" in str(error)
    assert variable in str(error)


@pytest.mark.parametrize("attempt", [SIGNED, GOOGLE, AZURE, PRESIGNED])
@pytest.mark.parametrize("minutes", [-40, 40])
def test_a_clock_that_is_far_off_is_blamed(attempt: Attempt, minutes: int) -> None:
    """Whatever else is said: a signature of another hour is no good anywhere."""
    date = format_datetime(NOW + timedelta(minutes=minutes), usegmt=True)
    refusal = Refusal(403, "AuthenticationFailed", date=date)
    assert "clock is 40 minutes away" in str(explained(refusal, attempt))
    assert "clock" not in str(explained(refusal, ANONYMOUS))


def test_a_url_with_a_signature_has_expired() -> None:
    """Nobody who reads a presigned URL is asked for credentials."""
    error = explained(Refusal(403, "AccessDenied", "Request has expired"), PRESIGNED)
    assert "get a new URL" in str(error)
    assert "Request has expired" in str(error)


def test_azure_tells_the_reason_in_a_header() -> None:
    """The answer to a HEAD has no body, but a code; only Azure's has."""
    headers = CaseInsensitiveDict({"x-ms-error-code": "AuthorizationPermissionMismatch"})
    assert "Storage Blob Data Reader" in str(explained(Refusal.of(403, headers, b""), AZURE))


def test_the_signature_in_azures_detail_stays_there() -> None:
    """What Azure echoes of a request, signature and all, is no part of the message."""
    body = (
        b"<Error><Code>AuthenticationFailed</Code><Message>Server failed to authenticate.</Message>"
        b"<AuthenticationErrorDetail>The MAC signature found 'c2VjcmV0' is not</AuthenticationErrorDetail>"
        b"</Error>"
    )
    error = explained(Refusal.of(403, CaseInsensitiveDict(), body), AZURE)
    assert "wrong, expired" in str(error)
    assert "c2VjcmV0" not in str(error)


def test_a_401_is_not_about_paying() -> None:
    """A 401 wants another identity."""
    assert type(explained(Refusal(401))) is AccessDeniedError
    assert "expired" in str(explained(Refusal(401), GOOGLE))


def test_only_401_and_403_are_denials() -> None:
    """A 400 is a StorageError, and says what it is taken for."""
    error = explained(Refusal(400, "InvalidArgument", "bad header"))
    assert type(error) is StorageError
    assert "malformed" in str(error)
    assert "bad header" in str(error)


@pytest.mark.parametrize("attempt", [SIGNED, PAYING, GOOGLE, AZURE, ANONYMOUS], ids=str)
def test_a_refused_listing_is_called_so(attempt: Attempt) -> None:
    """It is about the bucket; and a refused read may be of what does not exist."""
    listing = str(explained(Refusal(403, "AccessDenied"), attempt._replace(asks="list")))
    assert "list the bucket" in listing or "bucket was listed" in listing
    assert "read" not in listing
    if attempt.identity != "nobody":
        assert "does not exist" in str(explained(Refusal(403, "AccessDenied"), attempt))
