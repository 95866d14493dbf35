"""How the server says no: one value for a refusal, its S3 XML, and the exception that carries it.

What is refused is decided elsewhere (``sigv4_verifier``, ``access``, ``service``).
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is an S3 error.

    Parameters
    ----------
    status : int
        HTTP status, 300 to 599.
    code : str
        S3's error code, such as ``NoSuchKey``.
    message : str
        One sentence for a person.
    elements : tuple of (str, str)
        Further elements of the XML, in order (``Region``, ``CanonicalRequest`` ...).
    headers : tuple of (str, str)
        Further headers of the answer.
    """

    status: int
    code: str
    message: str
    elements: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()

    def xml(self, resource: str, request_id: str) -> bytes:
        """Return the body of the answer, UTF-8, as S3 writes it."""
        elements = (
            ("Code", self.code),
            ("Message", self.message),
            *self.elements,
            ("Resource", resource),
            ("RequestId", request_id),
            ("HostId", "astro-cloud-loopback"),
        )
        return document("Error", "".join(element(name, text) for name, text in elements))


class Refused(Exception):
    """Ends the handling of a request; ``refusal`` is the answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


def refuse(status: int, code: str, message: str, **elements: str) -> Refused:
    """Return a `Refused` to raise; keyword arguments become further XML elements."""
    return Refused(Refusal(status, code, message, tuple(elements.items())))


def element(name: str, text: str) -> str:
    """Return one XML element; control characters as references, which S3 sends although XML 1.0 has none."""
    text = escape(text)
    if not text.isprintable():
        text = "".join(f"&#{ord(c)};" if (c < " " and c != "\n") or c == "\x7f" else c for c in text)
    return f"<{name}>{text}</{name}>"


def document(root: str, inner: str, namespace: str = "") -> bytes:
    """Return a whole XML document as UTF-8, its root element named and filled."""
    attribute = f' xmlns="{namespace}"' if namespace else ""
    xml = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}{attribute}>{inner}</{root}>'
    return xml.encode("utf-8", "surrogateescape")
