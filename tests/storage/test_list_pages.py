"""Pages of listings: what is asked, what is read, and what is refused as none."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astro_cloud.storage.list_pages import Ask, Entry, Page, protocol_of
from astro_cloud.storage.xml_records import RecordReader

S3_PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Name>sky</Name><Prefix>a</Prefix><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated>
  <EncodingType>url</EncodingType><NextContinuationToken>1/+==</NextContinuationToken>
  <Contents><Key>a%2Bb+c%0D%20%C3%A9</Key><LastModified>2026-11-21T16:13:12.825Z</LastModified>
    <ETag>&quot;8b03&quot;</ETag><Size>5497558138880</Size><StorageClass>STANDARD</StorageClass>
    <Owner><ID>x</ID><DisplayName>Key</DisplayName></Owner></Contents>
  <CommonPrefixes><Prefix>a%2F</Prefix></CommonPrefixes>
</ListBucketResult>"""

GOOGLE_PAGE = """<ListBucketResult xmlns="http://doc.s3.amazonaws.com/2006-03-01"><IsTruncated>false</IsTruncated>
<Contents><Key>100%25+</Key><Generation>1795277597109034</Generation><Size>0</Size>
<LastModified>2026-11-21T16:13:12Z</LastModified><ETag>"abc"</ETag></Contents></ListBucketResult>"""

AZURE_PAGE = """\ufeff<?xml version="1.0" encoding="utf-8"?>
<EnumerationResults ServiceEndpoint="https://hubble.blob.core.windows.net/" ContainerName="sky">
<Prefix>a</Prefix><Blobs>
<Blob><Name>a &amp; b+%20</Name><VersionId>2026-11-21T16:13:12.1Z</VersionId><Properties>
  <Last-Modified>Sat, 21 Nov 2026 16:13:12 GMT</Last-Modified><Etag>0x21BA5</Etag>
  <Content-Length>2880</Content-Length><Content-Type>application/fits</Content-Type></Properties></Blob>
<Blob><Name Encoded="true">bell%07</Name><Properties><Content-Length>1</Content-Length></Properties></Blob>
<Blob><Name>folder</Name><Properties><ResourceType>directory</ResourceType></Properties></Blob>
<BlobPrefix><Name>a/</Name></BlobPrefix>
</Blobs><NextMarker>2!80!M-</NextMarker></EnumerationResults>"""


def page_of(provider: str, text: str | bytes, cut: int = 1 << 20) -> Page:
    protocol = protocol_of(provider)
    reader, data = protocol.reader(), text if isinstance(text, bytes) else text.encode()
    for start in range(0, len(data), cut):
        reader.feed(data[start : start + cut])
    reader.feed(b"", last=True)
    return protocol.page(reader)


@given(st.integers(1, 400))
def test_a_page_of_s3_is_read_however_it_arrives(cut: int) -> None:
    """Keys are decoded once, `+` a space; sizes beyond 32 bits and dates are values; the token goes on."""
    at = datetime(2026, 11, 21, 16, 13, 12, 825_000, UTC)
    entry = Entry("a+b c\r é", 5_497_558_138_880, '"8b03"', at)
    assert page_of("aws", S3_PAGE, cut) == Page([entry], ["a/"], "1/+==")


def test_a_page_of_google_has_generations_and_may_not_know_the_encoding() -> None:
    """What is not said to be encoded is not decoded."""
    page = page_of("gcp", GOOGLE_PAGE)
    assert [(entry.key, entry.version) for entry in page.entries] == [("100%25+", "1795277597109034")]
    assert page.token is None


def test_a_page_of_azure_is_read() -> None:
    """A name is decoded only where it is marked; an ETag gets its quotes; a folder is no object."""
    page = page_of("azure", AZURE_PAGE)
    at = datetime(2026, 11, 21, 16, 13, 12, tzinfo=UTC)
    first = Entry("a & b+%20", 2880, '"0x21BA5"', at, "2026-11-21T16:13:12.1Z", "application/fits")
    assert page == Page([first, Entry("bell\x07", 1)], ["a/"], "2!80!M-")


def test_the_queries() -> None:
    """Every value is percent-encoded, spaces as `%20`; what is not asked for is not there."""
    assert protocol_of("spaces").query(Ask("a b/+", "/", 7), "x+/=") == (
        "continuation-token=x%2B%2F%3D&delimiter=%2F&encoding-type=url&list-type=2&max-keys=7&prefix=a%20b%2F%2B"
    )
    assert protocol_of("gcp").query(Ask(), None) == "encoding-type=url&list-type=2"
    assert protocol_of("azure").query(Ask("é", "/", 7), "m") == (
        "comp=list&delimiter=%2F&marker=m&maxresults=7&prefix=%C3%A9&restype=container"
    )


BILLION_LAUGHS = """<?xml version="1.0"?><!DOCTYPE ListBucketResult [<!ENTITY a "ha">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><ListBucketResult><Prefix>&b;</Prefix></ListBucketResult>"""
EXTERNAL = '<!DOCTYPE ListBucketResult SYSTEM "file:///etc/passwd"><ListBucketResult/>'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<html><body>Sign in</body></html>", "it is <html>, not <ListBucketResult>"),
        ("<!DOCTYPE html><html>Sign in</html>", "document type"),
        (BILLION_LAUGHS, "document type"),
        (EXTERNAL, "document type"),
        ("", "not XML"),
        ('<?xml version="1.0" encoding="klingon"?><ListBucketResult/>', "not XML"),
        ('{"kind": "storage#objects"}', "not XML"),
        (S3_PAGE[:-10], "not XML"),
        ("<Error><Code>NoSuchBucket</Code></Error>", "it is <Error>"),
        ("<ListBucketResult>" + "<a>" * 20 + "</a>" * 20 + "</ListBucketResult>", "nested"),
        ("<ListBucketResult>" + "<Contents/>" * 100_001, "more than 100000 entries"),
        (S3_PAGE.replace("<Size>5497558138880</Size>", ""), "no Size"),
        (S3_PAGE.replace("5497558138880", "-1"), "size is '-1'"),
        (S3_PAGE.replace("5497558138880", "٣"), "size is"),
        (S3_PAGE.replace("<Key>a%2Bb+c%0D%20%C3%A9</Key>", "<Key/>"), "no Key"),
        (S3_PAGE.replace("%C3%A9", "%FF"), "decode"),
        (S3_PAGE.replace("<NextContinuationToken>1/+==</NextContinuationToken>", ""), "how to go on"),
    ],
    ids=lambda value: value[:40],
)
def test_what_is_no_page_is_refused(text: str, says: str) -> None:
    """HTML, JSON, truncated XML, entities, and pages that contradict themselves are errors."""
    with pytest.raises(ValueError, match=says):
        page_of("aws", text)


@pytest.mark.parametrize("provider", ["aws", "azure"])
@given(st.data())
def test_a_damaged_page_is_a_page_or_refused(provider: str, data: st.DataObject) -> None:
    """Whatever bytes come, nothing else is raised."""
    whole = (S3_PAGE if provider == "aws" else AZURE_PAGE).encode()
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, min(start + 40, len(whole))))
    odd = data.draw(
        st.sampled_from([b"", b"&#0;", b"&x;", b"<a>", b"</a>", b'encoding="x"', b"%"]) | st.binary()
    )
    with suppress(ValueError):
        page_of(provider, whole[:start] + odd + whole[stop:])


@pytest.mark.parametrize("cut", range(0, len(AZURE_PAGE) - 1, 97))
def test_a_page_that_ends_early_is_refused(cut: int) -> None:
    """Wherever it ends."""
    with pytest.raises(ValueError, match="XML"):
        page_of("azure", AZURE_PAGE[:cut])


def test_dates_that_make_no_sense_are_none() -> None:
    """They are not worth losing a listing for."""
    page = page_of("aws", S3_PAGE.replace("2026-11-21T16:13:12.825Z", "yesterday"))
    assert page.entries[0].last_modified is None


def test_what_is_outside_of_records_stays_there() -> None:
    """A record's fields do not leak, and the first text of a path counts."""
    reader = RecordReader("r", frozenset({"o"}))
    reader.feed(b"<r><o><k>1</k><k>2</k><s><k>3</k></s></o><k>4</k><o/></r>", last=True)
    assert reader.records == [("o", {"k": "1", "s/k": "3"}), ("o", {"": ""})]
    assert reader.fields == {"k": "4"}
