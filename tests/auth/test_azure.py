"""AzureAuth and the hosts of an account: its secondary and its routes are its own, all others strangers."""

from __future__ import annotations

import pytest

from tests.auth.azure_stand_ins import EVERY_WAY, auth, prepared

PATH = "/images/m31.fits"


@pytest.mark.parametrize(
    "host",
    [
        "survey.blob.core.windows.net",
        "Survey-secondary.blob.core.windows.net",
        "survey-internetrouting.blob.core.windows.net",
        "survey-microsoftrouting.blob.core.windows.net",
        "survey-internetrouting-secondary.blob.core.windows.net",
        "survey-microsoftrouting.z12.blob.storage.azure.net",
    ],
)
def test_every_host_of_an_account_is_signed_for_by_its_name(host: str) -> None:
    """Whichever way a host leads to the account, the account's own name is signed, with no suffix."""
    there, plain = prepared(f"https://{host}{PATH}"), prepared(f"https://survey.blob.core.windows.net{PATH}")
    assert auth().is_account_of(f"https://{host}{PATH}")
    signed = auth().sign(there).headers["Authorization"]
    assert signed.startswith("SharedKey survey:")
    assert signed == auth().sign(plain).headers["Authorization"]


@pytest.mark.parametrize(
    "host",
    [
        "survey2.blob.core.windows.net",
        "theirs-internetrouting.blob.core.windows.net",
        "survey-internetrouting2.blob.core.windows.net",
        "survey.blob.core.windows.net.example.org",
        "survey-internetrouting.example.org",
        "survey.s3.amazonaws.com",
    ],
)
def test_no_other_host_is_the_accounts(host: str) -> None:
    """A host that only begins as the account's do is another's."""
    assert not auth().is_account_of(f"https://{host}{PATH}")


@pytest.mark.parametrize("way", ["sas", "bearer"])
def test_an_account_that_is_not_known_has_no_hosts(way: str) -> None:
    """A SAS alone, or a credential, does not say whose it is."""
    assert not EVERY_WAY[way]().is_account_of(f"https://survey.blob.core.windows.net{PATH}")
