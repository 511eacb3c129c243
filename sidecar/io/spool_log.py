"""Has the write-ahead log been torn? SQLite reads it up to the tear and says nothing of what lay behind.

A kill of the process tears nothing: the kernel has what was written. A power cut or a bad disk may, and then what was committed
since the last checkpoint may be lost. https://www.sqlite.org/fileformat2.html#the_write_ahead_log

::

    header  32 bytes: magic, version, page size, checkpoint, salt (8), checksum (8)
    frame   24 bytes: page number, pages in the database (0: no commit), salt (8), checksum (8); then a page
"""

from __future__ import annotations

from pathlib import Path
from struct import unpack

HEADER = 32
FRAME = 24
_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}
"""With the byte order of the checksums."""


def is_torn(path: Path, frames: int) -> bool:
    """`frames` is how many SQLite took (`PRAGMA wal_checkpoint` tells).

    Torn is a log whose header is damaged, one that ends within a frame, or one with a commit of its own behind the frames that
    were taken. A cut exactly between two transactions shows nowhere.
    """
    try:
        with path.open("rb") as log:
            header = log.read(HEADER)
            length = path.stat().st_size
            if not header:
                return False
            if not _is_sound(header):
                return True
            (page,) = unpack(">8xI", header[:12])
            if (length - HEADER) % (FRAME + page):
                return True
            for at in range(HEADER + frames * (FRAME + page), length, FRAME + page):
                log.seek(at)
                (commit, salt) = unpack(">4xI8s8x", log.read(FRAME))
                if commit and salt == header[16:24]:
                    return True
    except OSError:
        return False
    return False


def _is_sound(header: bytes) -> bool:
    if len(header) < HEADER:
        return False
    order = _MAGIC.get(int.from_bytes(header[:4], "big"))
    if order is None:
        return False
    words = unpack(f"{order}6I", header[:24])
    one = two = 0
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + two) & 0xFFFFFFFF
        two = (two + odd + one) & 0xFFFFFFFF
    return (one, two) == unpack(">2I", header[24:])
