"""Where AzureAuth finds credentials, what it says of broken ones, and that what it found does not travel."""

from __future__ import annotations

import base64
import pickle
from typing import Any

import pytest

from astro_cloud.auth.azure import AzureAuth
from astro_cloud.exceptions import CredentialsError
from tests.auth.azure_stand_ins import KEY, OTHER_KEY, SAS, URL, Credential, at_noon, prepared

CONNECTION = (
    f"DefaultEndpointsProtocol=https;AccountName=first;AccountKey={KEY};EndpointSuffix=core.windows.net"
)


@pytest.mark.parametrize(
    ("variables", "way"),
    [
        ({"CONNECTION_STRING": CONNECTION, "ACCOUNT": "second", "KEY": OTHER_KEY}, "SharedKey first:"),
        ({"CONNECTION_STRING": f"{CONNECTION};SharedAccessSignature={SAS[1:]}"}, "SharedKey first:"),
        ({"CONNECTION_STRING": f"BlobEndpoint=https://x/;SharedAccessSignature={SAS[1:]}"}, "sig"),
        ({"CONNECTION_STRING": "UseDevelopmentStorage=true"}, "SharedKey devstoreaccount1:"),
        ({"ACCOUNT": "second", "KEY": KEY, "SAS_TOKEN": SAS}, "SharedKey second:"),
        ({"ACCOUNT": "second-secondary", "KEY": KEY}, "SharedKey second:"),
        ({"ACCOUNT": "second", "SAS_TOKEN": SAS}, "sig"),
        ({"KEY": KEY, "SAS_TOKEN": SAS}, "sig"),
        ({"SAS_TOKEN": SAS}, "sig"),
    ],
)
def test_the_environment_is_read_as_az_reads_it(
    variables: dict[str, str], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection string goes first, and a key before a SAS token."""
    for name, value in variables.items():
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", value)
    found = AzureAuth()
    assert found.has_credentials()
    request = found.sign(prepared())
    if way == "sig":
        assert request.url == URL + SAS
        assert "Authorization" not in request.headers
    else:
        assert request.headers["Authorization"].startswith(way)
        assert request.url == URL


@pytest.mark.parametrize("name", [None, "ACCOUNT", "KEY"])
def test_no_credentials_names_every_place(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is found, or half a pair, the error lists the places searched."""
    if name:
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", KEY)
    assert not AzureAuth().has_credentials()
    with pytest.raises(CredentialsError) as caught:
        AzureAuth().sign(prepared())
    for place in ("CONNECTION_STRING", "ACCOUNT", "KEY", "SAS_TOKEN"):
        assert f"AZURE_STORAGE_{place}" in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"ACCOUNT": "a", "KEY": "secret!"}, "AZURE_STORAGE_KEY"),
        ({"SAS_TOKEN": "sig=secret\r\n"}, "AZURE_STORAGE_SAS_TOKEN"),
        ({"SAS_TOKEN": "sv=secret"}, "AZURE_STORAGE_SAS_TOKEN"),
        ({"CONNECTION_STRING": "AccountName=a;AccountKey=secret!"}, "AccountKey of AZURE_STORAGE_CONN"),
        ({"CONNECTION_STRING": "AccountName=secret"}, "AZURE_STORAGE_CONNECTION_STRING holds neither"),
    ],
)
def test_broken_variables_are_named_and_not_shown(
    variables: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error about a variable names it, and not what it holds."""
    for name, value in variables.items():
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", value)
    with pytest.raises(CredentialsError, match=says) as caught:
        AzureAuth().sign(prepared())
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"key": KEY}, "account"),
        ({"account": "a"}, "key"),
        ({"account": "a", "credential": Credential()}, "key"),
        ({"account": "a", "key": KEY, "sas_token": SAS}, "one of key, sas_token"),
        ({"account": "a", "key": "secret"}, "^key is not base64"),
        ({"account": "a", "key": ""}, "^key is not base64"),
        ({"account": "a", "key": KEY + "\n"}, "^key is not base64"),
        ({"account": "a:b", "key": KEY}, "account"),
        ({"sas_token": "sig=secret\n"}, "^sas_token"),
        ({"sas_token": ""}, "^sas_token"),
        ({"sas_token": "secret"}, "^sas_token"),
        ({"connection_string": "AccountName=a;AccountKey=secret"}, "^AccountKey of connection_string"),
        ({"connection_string": "secret"}, "^connection_string"),
        ({"credential": "secret"}, "default"),
    ],
)
def test_broken_arguments_are_named_and_not_shown(arguments: dict[str, Any], says: str) -> None:
    """The constructor refuses what cannot be right, by the argument's name and without its value."""
    with pytest.raises(CredentialsError, match=says) as caught:
        AzureAuth(**arguments)
    assert "secret" not in str(caught.value)


def test_what_was_found_does_not_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle of an auth that reads the environment holds no secret, and its copy reads its own."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "survey")
    monkeypatch.setenv("AZURE_STORAGE_KEY", KEY)
    found = AzureAuth(clock=at_noon)
    request = found.sign(prepared())
    data = pickle.dumps(found)
    assert KEY.encode() not in data
    assert base64.b64decode(KEY) not in data
    monkeypatch.setenv("AZURE_STORAGE_KEY", OTHER_KEY)
    assert pickle.loads(data).sign(prepared()).headers["Authorization"] != request.headers["Authorization"]
