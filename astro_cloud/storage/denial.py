"""Why a server refused a request, in a sentence that says what to do about it. Pure."""

from __future__ import annotations

from astro_cloud.auth.aws_credentials import PLACES_SEARCHED
from astro_cloud.auth.refusal import EXPIRED_CODES, Refusal
from astro_cloud.exceptions import AccessDeniedError, RequesterPaysError, StorageError

__all__ = ["explain"]

_SAYS = {
    "InvalidAccessKeyId": "it does not know the access key: are these credentials for this server?",
    "SignatureDoesNotMatch": "the signature is not the one it computes: the secret key is probably wrong",
    "InvalidToken": "the session token does not belong to the access key: get all three credentials anew",
    **dict.fromkeys(EXPIRED_CODES, "the credentials have expired: get new ones, as with aws sso login"),
    "RequestTimeTooSkewed": "this machine's clock is more than 15 minutes wrong",
}
_REGION_CODES = frozenset({"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraint"})


def explain(refusal: Refusal, location: str, *, at_s3: bool, signed: bool, paying: bool) -> StorageError:
    """Make the error for a refusal that nothing could be learnt from.

    Parameters
    ----------
    refusal : Refusal
        The answer.
    location : str
        As the user wrote it.
    at_s3 : bool
        The object is in S3, or a store spoken to as S3, whose reasons are known here.
    signed, paying : bool
        What the request carried: a signature, the offer to pay.
    """
    reason = _reason(refusal, at_s3=at_s3, signed=signed, paying=paying)
    message = f"{location}: the server refused ({refusal}): {reason}"
    if refusal.message and refusal.code not in _SAYS and refusal.message != "Access Denied":
        message += f". It says: {refusal.message}"
    kind: type[StorageError] = AccessDeniedError if refusal.status in (401, 403) else StorageError
    if at_s3 and signed and not paying and refusal.status == 403 and refusal.code in ("AccessDenied", ""):
        kind = RequesterPaysError
    return kind(message, location=location, status=refusal.status)


def _reason(refusal: Refusal, *, at_s3: bool, signed: bool, paying: bool) -> str:
    if refusal.code in _SAYS:
        return _SAYS[refusal.code]
    if refusal.code in _REGION_CODES or refusal.status in (301, 307):
        where = f"it is in {refusal.region}" if refusal.region else "the server does not say which is right"
        return f"the request was made to the wrong region; {where}: pass region= (--region)"
    if refusal.status == 400:
        return "it calls the request malformed"
    if not at_s3 and signed:
        return "these credentials lack permission to read it, or are not for this server"
    if not at_s3:
        return "it wants credentials: pass auth= with a requests auth, or service= if this is a cloud store"
    if not signed:
        return (
            "the object was read anonymously and is not public. Give credentials, or correct those there "
            f"are. Searched: {PLACES_SEARCHED}"
        )
    if not paying:
        return (
            "the request was signed but did not offer to pay. If this is a requester-pays bucket, pass "
            "request_payer=True (--request-payer); otherwise these credentials lack permission"
        )
    return (
        "these credentials lack permission to read it (or it does not exist and they may not list the bucket)"
    )
