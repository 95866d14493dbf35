"""Keep secrets out of what other packages log about requests that we made them send.

urllib3 logs the target of each request at DEBUG, and with it the signature of a URL that carries one;
botocore logs the answers that credentials come in. Imported by whatever sends either.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["masked", "unlogged"]

_SECRET_PARAMETER = re.compile(
    r"(?i)(?<=[?&;])((?:x-(?:amz|goog)-(?:signature|credential|security-token)|signature|sig|awsaccesskeyid"
    r"|googleaccessid|[a-z_-]*token)=)[^&#\s'\"]*"
)
_USER = re.compile(r"(?<=://)[^/?#\s]*@")
_BOTOCORE_LOGGERS = (
    "auth", "client", "credentials", "endpoint", "hooks", "httpsession", "parsers", "tokens", "utils",
)  # fmt: skip


def masked(text: str) -> str:
    """Return a URL, or text with URLs, without passwords and with the values of signing parameters hidden."""
    return _SECRET_PARAMETER.sub(r"\1***", _USER.sub("***@", text))


class _MaskingFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(masked(arg) if isinstance(arg, str) else arg for arg in record.args)
        return True


class _ThisThread(threading.local):
    handles_secrets = False


_this_thread = _ThisThread()


class _SilencingFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not _this_thread.handles_secrets or record.levelno > logging.DEBUG


@contextmanager
def unlogged() -> Iterator[None]:
    """Drop what botocore logs at DEBUG in this thread: the credentials that it fetches are among it."""
    before, _this_thread.handles_secrets = _this_thread.handles_secrets, True
    try:
        yield
    finally:
        _this_thread.handles_secrets = before


for _name in ("connectionpool", "util.retry"):
    logging.getLogger(f"urllib3.{_name}").addFilter(_MaskingFilter())
for _name in _BOTOCORE_LOGGERS:
    logging.getLogger(f"botocore.{_name}").addFilter(_SilencingFilter())
logging.getLogger("urllib3.connectionpool").addFilter(_SilencingFilter())
