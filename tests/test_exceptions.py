"""The tree of errors."""

import pickle

import pytest

from astro_cloud import exceptions

ERRORS = [getattr(exceptions, name) for name in exceptions.__all__ if name.endswith("Error")]


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_errors_survive_a_pickle_whole(kind: type[Exception]) -> None:
    """An error arrives in another process with its message, its attributes and its type."""
    attributes = {}
    if issubclass(kind, exceptions.StorageError):
        attributes = {"location": "s3://bucket/key", "status": 403}
    if issubclass(kind, exceptions.FITSError):
        attributes = {"location": "s3://bucket/key", "hdu": 2, "offset": 2880}
    error = kind("what went wrong", **attributes)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (kind, "what went wrong", vars(error))
    assert vars(copy).items() >= attributes.items()


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        ("StorageError", OSError), ("ObjectNotFoundError", FileNotFoundError),
        ("ObjectExistsError", FileExistsError),
        ("AccessDeniedError", PermissionError), ("RequesterPaysError", PermissionError),
        ("TransferTimeoutError", TimeoutError), ("InvalidLocationError", ValueError),
        ("FITSError", ValueError), ("HDUNotFoundError", LookupError),
    ],
)  # fmt: skip
def test_errors_can_be_caught_as_builtins(error: str, builtin: type[Exception]) -> None:
    """Code that catches the builtin for a kind of failure catches ours."""
    assert issubclass(getattr(exceptions, error), builtin)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """Every public error stands in the module's docstring."""
    for name in exceptions.__all__:
        assert name in (exceptions.__doc__ or "")
