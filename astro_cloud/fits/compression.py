"""How a file is compressed whole, by its first bytes. Pure."""

from __future__ import annotations

__all__ = ["MAGIC", "compression_of"]

MAGIC = {
    "gzip": b"\x1f\x8b\x08",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\0",
    "zip": b"PK\x03\x04",
    "compress": b"\x1f\x9d",
}
"""What files of each format begin with; ``compress`` is that of ``.Z`` files."""


def compression_of(beginning: bytes) -> str | None:
    """Name the format of an object that is compressed whole; 6 bytes are enough. None for anything else."""
    return next((name for name, magic in MAGIC.items() if beginning.startswith(magic)), None)
