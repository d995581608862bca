"""Text in XML."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape

# What XML 1.0 has no way to write (section 2.2).
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escaped(text: str) -> str:
    """``text`` for element contents and for attributes in double quotes; what XML can't hold becomes U+FFFD."""
    return escape(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text), {'"': "&quot;"})
