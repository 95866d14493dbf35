"""Why a server refused a request, in a sentence that says what to do about it. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from astro_cloud.auth import aws_credentials, azure_credentials, digital_ocean, gcp_credentials
from astro_cloud.auth.endpoints import Provider
from astro_cloud.auth.refusal import EXPIRED_CODES, Refusal
from astro_cloud.exceptions import AccessDeniedError, RequesterPaysError, StorageError

__all__ = ["Attempt", "explain"]

_EXPIRED = "the credentials have expired: get new ones"
_LACKING = "these credentials lack permission to read it"
_NOT_TO_WRITE = "these credentials lack permission to write it"
_WRONG_KEY = "the signature is not the one it computes: the secret key is probably wrong"
_CLOCK_TOLERANCE = timedelta(minutes=15)

_SAYS = {
    # S3, and the stores that speak its language; Google's XML API uses most of these too
    "InvalidAccessKeyId": "it does not know the access key: are these credentials for this server?",
    "SignatureDoesNotMatch": _WRONG_KEY,
    "InvalidToken": "the session token does not belong to the access key: get all three credentials anew",
    **dict.fromkeys(EXPIRED_CODES, f"{_EXPIRED}, as with aws sso login"),
    "RequestTimeTooSkewed": "this machine's clock is more than 15 minutes wrong",
    # Google
    "UserProjectMissing": "the bucket is requester-pays: name the project to charge, "
    "with auth=GCPAuth(user_project=...)",
    "UserProjectAccessDenied": "these credentials may not charge the project: they lack "
    "serviceusage.services.use there",
    "UserProjectInvalid": "the project to charge (user_project) does not exist",
    "UserProjectAccountProblem": "the project to charge (user_project) has no working billing account",
    # Azure
    "AuthenticationFailed": "the account key, SAS or token is not one it accepts: wrong, expired, or not "
    "yet valid",
    "InvalidAuthenticationInfo": "the bearer token is not one it accepts: expired, or for another tenant or "
    "audience",
    "AuthorizationFailure": "the credentials are wrong or lack permission, or the account's firewall does "
    "not admit this network",
    "AuthorizationPermissionMismatch": f"{_LACKING}: a login needs a role such as Storage Blob Data "
    "Reader, a SAS the permission r, or l to list",
    "AuthorizationProtocolMismatch": "the SAS is good for https:// only",
    "AuthorizationSourceIPMismatch": "the SAS is not for this machine's address",
    "AuthorizationResourceTypeMismatch": "the SAS is not for this kind of resource",
    "AuthorizationServiceMismatch": "the SAS is not for Blob Storage",
    "InsufficientAccountPermissions": _LACKING,
    "KeyBasedAuthenticationNotPermitted": "the account takes no account key, nor a SAS made with it: log "
    'in, with auth=AzureAuth(credential="default")',
    "AccountIsDisabled": "the storage account is disabled",
}
_SAYS_OF_WRITING = {
    "AuthorizationPermissionMismatch": f"{_NOT_TO_WRITE}: a login needs a role such as Storage Blob Data "
    "Contributor, a SAS the permissions c and w",
    "InsufficientAccountPermissions": _NOT_TO_WRITE,
}
_PAYING_CODES = frozenset({"UserProjectMissing"})
_REGION_CODES = frozenset({"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraint"})
_SEARCHED: dict[Provider, str] = {
    "aws": aws_credentials.PLACES_SEARCHED,
    "spaces": digital_ocean.PLACES_SEARCHED,
    "gcp": gcp_credentials.PLACES_SEARCHED,
    "azure": azure_credentials.PLACES_SEARCHED,
}


class Attempt(NamedTuple):
    """What was asked, as far as it matters to a refusal.

    Attributes
    ----------
    provider : str or None
        Whose rules hold there, as `endpoints` names providers; None for a server that is nobody's.
    identity : {"nobody", "auth", "url"}
        Anonymous, signed by an auth, or with a signature that was in the URL.
    pays : bool
        It offered to pay for itself.
    at : datetime
        When, by this machine's clock.
    because : str
        Why it was anonymous, where that is not simply that no credentials were found.
    asks : {"read", "list", "write"}
        For an object, for the keys of a bucket, or to store an object.
    """

    provider: Provider | None
    identity: Literal["nobody", "auth", "url"]
    pays: bool
    at: datetime
    because: str = ""
    asks: Literal["read", "list", "write"] = "read"


_ANONYMOUSLY = {
    "read": "the object was read anonymously and is not public",
    "list": "the bucket was listed anonymously and is not public",
    "write": "the upload was anonymous, and not everybody may write there",
}


def explain(refusal: Refusal, location: str, attempt: Attempt) -> StorageError:
    """Make the error for a refusal that nothing could be learnt from; `location` as the user wrote it."""
    reason = _reason(refusal, attempt)
    message = f"{location}: the server refused ({refusal}): {reason}"
    if refusal.message and refusal.code not in _SAYS and refusal.message != "Access Denied":
        message += f". It says: {refusal.message}"
    kind: type[StorageError] = AccessDeniedError if refusal.status in (401, 403) else StorageError
    if _may_want_payment(refusal, attempt):
        kind = RequesterPaysError
    return kind(message, location=location, status=refusal.status)


def _may_want_payment(refusal: Refusal, attempt: Attempt) -> bool:
    if refusal.code in _PAYING_CODES:
        return True
    if attempt.asks == "write":  # who pays is seldom why
        return False
    unexplained = refusal.status == 403 and refusal.code in ("AccessDenied", "")
    return unexplained and attempt.provider == "aws" and attempt.identity == "auth" and not attempt.pays


def _reason(refusal: Refusal, attempt: Attempt) -> str:
    skew = _skew(refusal, attempt)
    if skew is not None:
        return f"this machine's clock is {skew} minutes away from the server's: set it right"
    if attempt.identity == "url" and refusal.code not in _PAYING_CODES:
        return "the signature in the URL has expired, or is not for this object: get a new URL"
    if attempt.asks == "write" and refusal.code in _SAYS_OF_WRITING:
        return _SAYS_OF_WRITING[refusal.code]
    if refusal.code in _SAYS:
        return _SAYS[refusal.code]
    if refusal.code in _REGION_CODES or refusal.status in (301, 307):
        where = f"it is in {refusal.region}" if refusal.region else "the server does not say which is right"
        return f"the request was made to the wrong region; {where}: pass region= (--region)"
    if refusal.status == 400:
        return "it calls the request malformed"
    return _reason_of_silence(refusal, attempt)


def _skew(refusal: Refusal, attempt: Attempt) -> int | None:
    """Return the minutes between the clocks of a signed request and its server, if they are too many."""
    server_time = refusal.server_time
    if server_time is None or attempt.identity == "nobody" or refusal.status not in (400, 401, 403):
        return None
    apart = abs(server_time - attempt.at)
    return round(apart / timedelta(minutes=1)) if apart > _CLOCK_TOLERANCE else None


def _reason_of_silence(refusal: Refusal, attempt: Attempt) -> str:
    """Tell what is likely where the server gave no reason of its own."""
    provider = attempt.provider
    if provider is None:
        if attempt.identity == "auth":
            lacking = _lacking(attempt) if attempt.asks == "write" else _LACKING
            return f"{lacking}, or are not for this server"
        return "it wants credentials: pass auth= with a requests auth, or service= if this is a cloud store"
    if attempt.identity == "nobody":
        what = _ANONYMOUSLY[attempt.asks]
        return (
            f"{what}. Give credentials, or correct those there "
            f"are. {attempt.because or f'Searched: {_SEARCHED[provider]}'}"
        )
    if provider == "aws" and not attempt.pays and attempt.asks != "write":
        return (
            "the request was signed but did not offer to pay. If this is a requester-pays bucket, pass "
            f"request_payer=True (--request-payer); otherwise {_lacking(attempt)}"
        )
    if refusal.status == 401:
        return f"{_EXPIRED}, or they are not for this server"
    return _lacking(attempt)


def _lacking(attempt: Attempt) -> str:
    if attempt.asks == "list":
        return "these credentials lack permission to list the bucket (on S3: s3:ListBucket)"
    if attempt.asks == "write":
        return f"{_NOT_TO_WRITE} (on S3: s3:PutObject)"
    return f"{_LACKING} (or it does not exist and they may not list the bucket)"
