"""Object keys that software between a caller and a store likes to damage."""

from __future__ import annotations

from urllib.parse import quote

#: A name for each (what is odd about it) and the key; no two read alike under any normalisation here.
ODD_KEYS = {
    "space": "two words.fits",
    "plus": "a+b.fits",
    "percent": "50% grey.fits",
    "percent-20": "two%20words.fits",
    "percent-2F": "a%2Fb.fits",
    "unicode": "Schärpe/銀河 🔭.fits",
    "composed": "caf\u00e9",
    "decomposed": "cafe\u0301",
    "double-slash": "night//1.fits",
    "leading-slash": "/night.fits",
    "dot": ".",
    "dot-dot": "..",
    "leading-dot": "./night.fits",
    "leading-dot-dot": "../night.fits",
    "inner-dot": "night/./2.fits",
    "inner-dot-dot": "night/../3.fits",
    "sub-delims": "~!*'().fits",
    "ampersand": "ra=1&dec=2",
    "hash": "frame#4",
    "question-mark": "which?frame=5",
    "reserved": "a:b@c;d,e$f",
    "trailing-slash": "folder/",
    "quotes": 'q"<>\\^`{|}',
    "tab": "a\tb",
    "long": "k" * 1000,
}


def plain_path(bucket: str, key: str) -> str:
    """Encode the path of an object as a signature has it (AWS's UriEncode), dots as they are."""
    return f"/{bucket}/" + quote(key, safe="/-._~")


def wire_path(bucket: str, key: str) -> str:
    """Encode the path of an object so that nothing on the way takes a segment of dots for a step."""
    segments = plain_path(bucket, key).split("/")
    return "/".join("%2E" * len(segment) if segment in (".", "..") else segment for segment in segments)
