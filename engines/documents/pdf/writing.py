"""The original PDF with a hidden layer of text on its pages, and nothing else changed."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream

from engines.api import Line
from engines.documents.errors import DamagedError, EncryptedError, SignedError
from engines.documents.pdf import font, hidden, layer
from engines.documents.pdf.matrix import Matrix

_SIGNATURES_EXIST = 1
_MAX_PARENTS = 32


@dataclass(frozen=True, slots=True)
class Layer:
    """What goes onto page ``number``, from 1: lines whose quads ``to_user`` maps to user space.

    ``replaces`` tells that the hidden text the page has is taken out first.
    """

    number: int
    lines: tuple[Line, ...]
    to_user: Matrix
    replaces: bool = False


def with_layers(body: bytes, layers: Sequence[Layer], *, break_signatures: bool = False) -> bytes:
    """Write the PDF in ``body`` with its layers. Raises what `check` does."""
    with _rewritable(body, break_signatures=break_signatures) as pdf:
        add_layers(pdf, layers)
        return save(pdf)


def check(body: bytes, *, break_signatures: bool) -> None:
    """See that a PDF can be rewritten.

    Raises `SignedError` where signatures would break and that was not allowed, `EncryptedError` for files under
    encryption even if they open without a password (their owner restricted what may be done with them), `DamagedError`.
    """
    with _rewritable(body, break_signatures=break_signatures):
        pass


@contextmanager
def _rewritable(body: bytes, *, break_signatures: bool) -> Iterator[pikepdf.Pdf]:
    try:
        with pikepdf.open(io.BytesIO(body)) as pdf:
            if pdf.is_encrypted:
                raise EncryptedError(
                    "the PDF is encrypted: it can be read, but not rewritten; take the encryption off first"
                )
            if not break_signatures and _is_signed(pdf):
                raise SignedError(
                    "the PDF is signed, and its signatures would no longer hold; ask for text only, or allow breaking"
                    " them"
                )
            yield pdf
    except pikepdf.PasswordError as error:
        raise EncryptedError("the PDF wants a password; take the password off and send it again") from error
    except (pikepdf.PdfError, ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        raise DamagedError(
            "the PDF is damaged: it can't be written anew; open it in a viewer and save it anew", format="PDF"
        ) from error


def save(pdf: pikepdf.Pdf) -> bytes:
    """The file, in the form it had: what is in object streams stays there, and only that (PDF/A-1 has none)."""
    buffer = io.BytesIO()
    pdf.save(
        buffer,
        # Both as they were: metadata that claim a conformance must not change.
        fix_metadata_version=False,
        object_stream_mode=pikepdf.ObjectStreamMode.preserve,
        # The file's identifier from its contents: a random one asks the kernel, and a cell may not.
        deterministic_id=True,
    )
    return buffer.getvalue()


def add_layers(pdf: pikepdf.Pdf, layers: Sequence[Layer]) -> None:
    """Put ``layers`` onto the pages of an open PDF."""
    pages = list(pdf.pages)
    tagged = _is_tagged(pdf)
    codes = font.Codes()
    written: list[tuple[pikepdf.Page, font.Codes]] = []
    for item in layers:
        page = pages[item.number - 1]
        if item.replaces:
            hidden.remove(pdf, page)
        if codes.free < sum(len(line.words) for line in item.lines):
            codes = font.Codes()
        content = layer.content(item.lines, item.to_user, codes)
        if not content:
            continue
        if tagged:
            # In a tagged file, what no tag claims has to be marked as such (ISO 14289-1, 7.1).
            content = b"/Artifact BMC\n" + content + b"EMC\n"
        # Underneath: what follows starts from the same graphics state as ever, whatever it leaves behind.
        page.contents_add(Stream(pdf, content), prepend=True)
        written.append((page, codes))
    if not written:
        return
    descriptor = font.embed(pdf)
    made = {used: font.add(pdf, used, descriptor) for used in dict.fromkeys(used for _, used in written)}
    for page, used in written:
        _add_font(page, made[used])


def _add_font(page: pikepdf.Page, made: pikepdf.Object) -> None:
    """Give the page the font: in resources of its own, as others may share those it has."""
    inherited = _inherited(page.obj, "/Resources")
    resources = Dictionary(dict(inherited.items())) if isinstance(inherited, Dictionary) else Dictionary()
    fonts = resources.get("/Font")
    resources.Font = Dictionary(dict(fonts.items())) if isinstance(fonts, Dictionary) else Dictionary()
    resources.Font[f"/{layer.FONT}"] = made
    page.obj.Resources = resources


def _inherited(node: pikepdf.Object, key: str) -> pikepdf.Object | None:
    """An attribute that pages inherit from the nodes above (ISO 32000-1, 7.7.3.4)."""
    for _ in range(_MAX_PARENTS):
        if key in node:
            return node[key]
        parent = node.get("/Parent")
        if not isinstance(parent, Dictionary):
            return None
        node = parent
    return None


def _is_tagged(pdf: pikepdf.Pdf) -> bool:
    mark_info = pdf.Root.get("/MarkInfo")
    return isinstance(mark_info, Dictionary) and bool(mark_info.get("/Marked", False))


def _is_signed(pdf: pikepdf.Pdf) -> bool:
    """Whether the form says that signatures exist, a signature field holds one, or permissions come by signature."""
    if "/Perms" in pdf.Root:
        return True
    form = pdf.Root.get("/AcroForm")
    if not isinstance(form, Dictionary):
        return False
    if int(form.get("/SigFlags", 0)) & _SIGNATURES_EXIST:
        return True
    fields = form.get("/Fields")
    return isinstance(fields, Array) and any(
        isinstance(field, Dictionary) and field.get("/FT") == Name.Sig and "/V" in field for field in fields
    )
