"""Records out of an XML document, read as it arrives and in bounded memory. Pure.

What a listing never holds is refused before it can do harm: a document type, and with it every entity
of the document's own; elements nested deep.

Reference: Extensible Markup Language (XML) 1.0, sections 2.8 and 4.
"""

from __future__ import annotations

from xml.parsers import expat

__all__ = ["Record", "RecordReader"]

_DEPTH = 16
_RECORDS = 100_000  # S3 sends 1,000 at most, Azure 5,000, fake-gcs-server all there are

Record = tuple[str, dict[str, str]]
"""An element's name, and the texts of the elements in it, by their path: ``Properties/Etag``.

An attribute of one stands under its path and ``@`` and its name.
"""


class RecordReader:
    """Takes a document in pieces.

    Parameters
    ----------
    root : str
        The name of the document's element, without namespace.
    kinds : frozenset of str
        The names of the elements that are records.

    Attributes
    ----------
    records : list of Record
        In the order of the document.
    fields : dict
        The texts outside of records, by their path under the root.
    """

    def __init__(self, root: str, kinds: frozenset[str]) -> None:
        self.records: list[Record] = []
        self.fields: dict[str, str] = {}
        self._root = root
        self._kinds = kinds
        self._path: list[str] = []
        self._record_depth = 0
        self._text: list[str] = []
        self._is_leaf = False
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse_document_type
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        self._parser = parser

    def feed(self, piece: bytes, *, last: bool = False) -> None:
        """Read on.

        Raises
        ------
        ValueError
            If this is no such document; with `last`, also if it is not complete.
        """
        try:
            self._parser.Parse(piece, last)
        except (expat.ExpatError, LookupError) as error:  # LookupError: of an encoding nobody knows
            raise ValueError(f"it is not XML ({error})") from None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = _local(name)
        if not self._path and local != self._root:
            raise ValueError(f"it is <{local[:100]}>, not <{self._root}>")
        self._path.append(local)
        if len(self._path) > _DEPTH:
            raise ValueError(f"its elements are nested more than {_DEPTH} deep")
        if not self._record_depth and local in self._kinds:
            self._record_depth = len(self._path)
            if len(self.records) == _RECORDS:
                raise ValueError(f"it has more than {_RECORDS} entries")
            self.records.append((local, {}))
        self._text.clear()
        self._is_leaf = True
        for attribute, value in attributes.items():
            self._keep(f"@{_local(attribute)}", value)

    def _end(self, name: str) -> None:
        if self._is_leaf:
            self._keep("", "".join(self._text))
        self._is_leaf = False
        if len(self._path) == self._record_depth:
            self._record_depth = 0
        self._path.pop()

    def _keep(self, attribute: str, text: str) -> None:
        fields = self.records[-1][1] if self._record_depth else self.fields
        fields.setdefault("/".join(self._path[self._record_depth or 1 :]) + attribute, text)


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def _refuse_document_type(*_: object) -> None:
    raise ValueError("it has a document type (<!DOCTYPE>), which no listing has")
