"""A record becomes a PDF: Typst in this process, with the vendored fonts alone, without files, packages or a network."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
from functools import cache
from pathlib import Path

import msgspec
import typst

from billing.invoices.pdf import figures, receipt_figures
from billing.invoices.pdf.lettering import FAMILIES, FONTS_FOLDER
from billing.invoices.pdf.record import InvoiceDocument, ReceiptDocument

_TEMPLATES_FOLDER = Path(__file__).parent.parent / "templates"
_STANDARD = "a-3a"  # archival, tagged for screen readers, attachments allowed
_LOGO_ALONE = b'#set document(title: "x")\n#image(bytes(json(bytes(sys.inputs.logo))), width: 1cm, alt: "x")'
_LARGE_LINES = 200
_KEPT_COMPILES = 10  # Typst keeps what it worked out for this many further compiles


class _PerThread(threading.local):
    """A compiler serves one thread at a time, so each thread has its own; they share fonts and compiled templates."""

    def __init__(self) -> None:
        root = _empty_folder()
        self.compiler = typst.Compiler(
            root=root,
            font_paths=_fonts(),
            ignore_system_fonts=True,
            package_path=root,
            package_cache_path=root,
        )


def render(document: InvoiceDocument | ReceiptDocument) -> bytes:
    """The document as PDF/A-3a with its figures attached as JSON. The same record gives the same bytes.

    Text of the record goes in as data and is never read as markup. Characters that no font has are printed as U+FFFD; text that
    still cannot be set without a missing glyph gives a plain PDF instead of none. Takes milliseconds of one processor: call it
    off the event loop. Raises KeyError for a template version that does not exist.
    """
    made = _compiled(_template_of(document), _inputs(document), int(document.issued_at.timestamp()))
    if isinstance(document, InvoiceDocument) and len(document.lines) > _LARGE_LINES:
        _forget(_per_thread.compiler)
    return made


def is_printable(picture: bytes) -> bool:
    """Whether a document can show a picture: a whole PNG or JPEG."""
    if not picture.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        return False
    inputs = {"logo": msgspec.json.encode(list(picture)).decode()}
    try:
        _per_thread.compiler.compile(_LOGO_ALONE, format="pdf", sys_inputs=inputs, pdf_standards=_STANDARD)
    except typst.TypstError:
        return False
    return True


def _inputs(document: InvoiceDocument | ReceiptDocument) -> dict[str, str]:
    if isinstance(document, ReceiptDocument):
        shown, attachment = receipt_figures.shown(document), receipt_figures.attachment(document)
    else:
        shown, attachment = figures.shown(document), figures.attachment(document)
    return {
        "document": msgspec.json.encode(shown).decode(),
        "attachment": attachment.decode(),
        "fonts": msgspec.json.encode(FAMILIES).decode(),
        "logo": msgspec.json.encode(list(document.logo or b"")).decode(),
    }


def _compiled(template: bytes, inputs: dict[str, str], at_s: int) -> bytes:
    compiler = _per_thread.compiler
    try:
        made = compiler.compile(template, format="pdf", sys_inputs=inputs, pdf_standards=_STANDARD, timestamp=at_s)
    except typst.TypstError:  # a missing glyph is refused by the standard alone; a fault of the template raises again
        made = compiler.compile(template, format="pdf", sys_inputs=inputs, timestamp=at_s)
    assert isinstance(made, bytes), "one PDF in memory"
    return made


def _forget(compiler: typst.Compiler) -> None:
    """Let Typst drop what it keeps of a large document, by compiles of nothing.

    1,000 lines leave 75 MB behind and make the next documents five times slower; there is no other way to drop it.
    """
    for _ in range(_KEPT_COMPILES + 1):
        compiler.compile(b"", format="pdf", sys_inputs={})


def _template_of(document: InvoiceDocument | ReceiptDocument) -> bytes:
    kind = "receipt" if isinstance(document, ReceiptDocument) else "invoice"
    return _templates()[kind, document.template_version]


@cache
def _templates() -> dict[tuple[str, int], bytes]:
    """Templates by kind and version: an invoice of version 1 is `frame-1.typ` and then `invoice-1.typ`."""
    parts = {path.stem: path.read_bytes() for path in _TEMPLATES_FOLDER.glob("*.typ")}
    names = [stem.rpartition("-") for stem in parts]
    return {
        (kind, int(version)): parts[f"frame-{version}"] + b"\n" + parts[f"{kind}-{version}"]
        for kind, _, version in names
        if kind != "frame"
    }


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[FONTS_FOLDER])


@cache
def _empty_folder() -> Path:
    """The only folder that a template could read from, and there is nothing in it."""
    folder = Path(tempfile.mkdtemp(prefix="lineserve-pdf-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


_per_thread = _PerThread()
