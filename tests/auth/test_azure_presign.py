"""AzureAuth's presigned URLs: service SAS for one blob; the expected one is azure-storage-blob 12.31.1's."""

from __future__ import annotations

import base64

import pytest

from astro_cloud.auth import sharedkey
from astro_cloud.exceptions import CredentialsError
from tests.auth.azure_stand_ins import EVERY_WAY, KEY, SAS, URL, auth


def test_a_sas_is_what_azures_own_signer_makes() -> None:
    """The parameters of a presigned URL are those of azure-storage-blob's ``generate_blob_sas``."""
    url = auth().presign("https://survey.blob.core.windows.net/images/night 1/Schärpe%2B1.fits#x")
    address, _, query = url.partition("?")
    assert address == "https://survey.blob.core.windows.net/images/night%201/Sch%C3%A4rpe%2B1.fits"
    expected = "se=2026-05-17T13%3A00%3A00Z&sp=r&spr=https&sv=2023-11-03&sr=b&sig="
    expected += "L3U2jRDZoxoKZ4TKMlYoutOHMoFopVH5Gs9UmFcAjrQ%3D"
    assert sorted(query.split("&")) == sorted(expected.split("&"))
    assert (
        sharedkey.sas_string_to_sign(
            "/blob/survey/images/night 1/Schärpe+1.fits", "2026-05-17T13:00:00Z", "https"
        )
        == "r\n\n2026-05-17T13:00:00Z\n/blob/survey/images/night 1/Schärpe+1.fits\n\n\nhttps\n2023-11-03\nb"
        + "\n" * 7
    )


@pytest.mark.parametrize(
    ("url", "resource"),
    [
        ("https://survey.blob.core.windows.net/c/a/b", "c/a/b"),
        ("https://survey-secondary.blob.core.windows.net/c/b", "c/b"),
        ("https://survey.blob.core.windows.net/survey/b", "survey/b"),
        ("https://survey.blob.core.windows.net/root.fits", "$root/root.fits"),
        ("https://data.example.org/c/b", "c/b"),
        ("http://127.0.0.1:10000/survey/c/b", "c/b"),
        ("http://127.0.0.1:10000/survey-secondary/c/b", "c/b"),
        ("https://survey.blob.core.windows.net/c/%2E%2E/50%25", "c/../50%"),
    ],
)
def test_a_presigned_url_names_container_and_blob(url: str, resource: str) -> None:
    """Host-style and path-style URLs, and blobs of the root container, are told apart."""
    expected = sharedkey.service_sas(
        base64.b64decode(KEY),
        f"/blob/survey/{resource}",
        "2026-05-17T12:01:00Z",
        "https" if url.startswith("https") else "",
    )
    assert auth().presign(url, expires=60) == f"{url}?{expected}"
    assert auth().presign(f"{url}{SAS}", expires=60) == f"{url}?{expected}"
    assert auth().presign(f"{url}?versionid=7", expires=60) == f"{url}?versionid=7&{expected}"


@pytest.mark.parametrize("path", ["", "/", "/c/"])
def test_presigning_what_is_no_blob(path: str) -> None:
    """A URL without a blob is an error."""
    with pytest.raises(ValueError, match="names none"):
        auth().presign("https://survey.blob.core.windows.net" + path)


def test_presigning_needs_a_key_and_a_time_to_come() -> None:
    """A SAS token or a credential cannot make a SAS, and a URL cannot have expired when it is made."""
    for make in (EVERY_WAY["sas"], EVERY_WAY["bearer"]):
        with pytest.raises(CredentialsError, match="key"):
            make().presign(URL)
    with pytest.raises(ValueError, match="seconds"):
        auth().presign(URL, expires=0)
