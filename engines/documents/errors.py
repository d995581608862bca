"""Why a document can't be read.

DocumentError
├── NotAnImageError       of no format that is read here
├── UnsupportedError      of a known format that is not read here
├── DamagedError          broken or cut short
├── EncryptedError        wants a password, or may not be rewritten without one
├── SignedError           signed, and would not be any more once rewritten
├── TooManyPixelsError    a page larger than the limit, by its header
└── TooManyPagesError     more pages than the limit

Messages say what is wrong and what to do, and never hold text of the document. ``metadata`` holds the message's
variables.
"""

from __future__ import annotations


class DocumentError(Exception):
    """A document that can't be read: the caller's to mend."""

    def __init__(self, message: str, **metadata: object) -> None:
        super().__init__(message)
        self.metadata = {name: str(value) for name, value in metadata.items()}


class NotAnImageError(DocumentError):
    """The bytes are of no format that is read here."""


class UnsupportedError(DocumentError):
    """The bytes are of a known format that is not read here."""


class DamagedError(DocumentError):
    """The format is known, the contents are broken or cut short."""


class EncryptedError(DocumentError):
    """It wants a password; or it can be read without one, but not rewritten."""


class SignedError(DocumentError):
    """Its signatures would no longer hold once it is rewritten."""


class TooManyPixelsError(DocumentError):
    """A page's header states more pixels than the limit; it was not decoded."""


class TooManyPagesError(DocumentError):
    """More pages than the limit."""
