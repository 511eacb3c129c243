"""Header compression (RFC 7541): the walk over a block, around `hpack`'s table, numbers and Huffman code.

`hpack.Decoder` does the same in more steps: it copies the rest of a block for each literal and logs each field, and its table
cannot be asked whether a block has changed it. Clients send literals again and again (nghttp2 every `:path`, grpc-go every
`grpc-timeout`), so a string's Huffman code is undone once.
"""

from __future__ import annotations

from hpack import HPACKDecodingError, InvalidTableIndexError, InvalidTableSizeError, OversizedHeaderListError
from hpack.hpack import decode_integer
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

TABLE = 4096
"""Bytes of the table, as it is where SETTINGS say nothing."""
MAX_LIST = 16 << 10
"""Bytes of a header list as RFC 9113, section 6.5.2, counts it: names, values and 32 for each field."""
NUMBER = 8
"""No number in a block has more bytes."""
SHORT = 64
REMEMBERED = 128

_STATIC = HeaderTable.STATIC_TABLE
_DYNAMIC = len(_STATIC) + 1

Pair = tuple[bytes, bytes]


class Decoder:
    """One connection's. After an exception its table is not the other side's any more."""

    def __init__(self) -> None:
        self.changed = False
        """Has the last block changed the table: by an insertion, what that evicted, or an update of its size?"""
        self._table = HeaderTable()
        self._plain: dict[bytes, bytes] = {}

    def decode(self, block: bytes) -> list[Pair]:
        """Raises one of `hpack`'s errors."""
        self.changed = False
        try:
            return self._decode(block)
        except IndexError:
            raise HPACKDecodingError("the block ends inside a field") from None

    def _decode(self, block: bytes) -> list[Pair]:
        pairs: list[Pair] = []
        table, entries = self._table, self._table.dynamic_entries
        p = size = 0
        end = len(block)
        while p < end:
            first = block[p]
            if first & 0x80:  # section 6.1
                if 0x80 < first < 0xFF:
                    p += 1
                    if first < 0x80 + _DYNAMIC:
                        pair = _STATIC[first - 0x81]
                    elif first - 0x80 - _DYNAMIC < len(entries):
                        pair = entries[first - 0x80 - _DYNAMIC]
                    else:
                        raise InvalidTableIndexError("beyond the table's end")
                else:
                    index, p = _number(block, p, 7)
                    pair = table.get_by_index(index)
            elif first & 0x60 == 0x20:  # section 6.3
                if pairs:
                    raise HPACKDecodingError("an update of the table's size behind a field")
                new, p = _number(block, p, 5)
                if new > TABLE:
                    raise InvalidTableSizeError("a table larger than was offered")
                self.changed = True
                table.maxsize = new
                continue
            else:  # section 6.2
                index, p = _number(block, p, 6 if first & 0x40 else 4)
                if index:
                    name = table.get_by_index(index)[0]
                else:
                    name, p = self._string(block, p)
                value, p = self._string(block, p)
                pair = name, value
                if first & 0x40:
                    self.changed = True
                    table.add(name, value)
            size += 32 + len(pair[0]) + len(pair[1])
            if size > MAX_LIST:
                raise OversizedHeaderListError(f"more than {MAX_LIST} bytes of fields")
            pairs.append(pair)
        return pairs

    def _string(self, block: bytes, p: int) -> tuple[bytes, int]:
        """Section 5.2."""
        coded = block[p] & 0x80
        size, p = _number(block, p, 7)
        text = block[p : p + size]
        p += size
        if len(text) < size:
            raise HPACKDecodingError("the block ends inside a string")
        if not coded:
            return text, p
        plain = self._plain.get(text)
        if plain is None:
            plain = decode_huffman(text)
            if size <= SHORT:
                if len(self._plain) >= REMEMBERED:
                    self._plain.clear()
                self._plain[text] = plain
        return plain, p


def _number(block: bytes, p: int, bits: int) -> tuple[int, int]:
    """Section 5.1: the number and the position after it."""
    mask = (1 << bits) - 1
    number = block[p] & mask
    if number < mask:
        return number, p + 1
    number, used = decode_integer(block[p : p + NUMBER], bits)
    return number, p + used
