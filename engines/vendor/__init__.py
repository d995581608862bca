"""An adapter for any OCR program with a command line: ABBYY FineReader Engine, OmniPage, Tesseract and others.

A table of the settings says how to call it and what it may reach (`engines.vendor.table`); `engines.vendor.formats`
reads what it writes.
"""

from engines.vendor.engine import Vendor

__all__ = ["Vendor"]
