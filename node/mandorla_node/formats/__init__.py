"""Lists of indicators in files, and matches written to files.

A reader yields one item for each row of its source, in order: an `IngestRow`, or a `RejectedRow` that names
the line and the reason and never the content. A reader holds one line or one object in memory, whose size is
bounded. The MISP reader holds one event, whose number of attributes is bounded.
"""

from .registry import Format, format_of, read_rows
from .rows import IngestRow, RejectedRow, RowDefaults

__all__ = ["Format", "IngestRow", "RejectedRow", "RowDefaults", "format_of", "read_rows"]
