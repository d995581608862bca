"""Reads and writes documents of every kind once the job is loaded, and fails where anything is opened or imported.

A process of its own: hooks of this kind can't be taken out again.
"""

import sys

from cloister.cell.v1 import cell_pb2
from engines import registry
from engines.api import Page, PageText
from engines.job import OcrJob
from tests.pdf import specimen
from tests.pdf.make import noise, scan
from tests.pdf.test_images import every_kind
from tests.pdf.test_job import PDF, SEEN, TEXT, WORDS, TwoWords, documents, mutated, pages_of, run, told

FORBIDDEN = ("open", "import", "os.", "subprocess.", "socket.", "tempfile.", "glob.", "shutil.")


class ManyWords(TwoWords):
    """Reads lines of every slant, with characters beyond the plane and from right to left."""

    def recognize(self, page: Page) -> PageText:
        height, width = page.pixels.shape[:2]
        lines = [
            line
            for skew in (0.0, 0.5, 4.0, 90.0)
            for line in specimen.lay_out(specimen.Layout(skew=skew), 1000, 1000, 150, specimen.random.Random(1))[:4]
        ]
        return PageText(tuple(lines)) if min(height, width) > 30 else super().recognize(page)


def main() -> None:
    registry.create = lambda name, options=None: ManyWords()  # type: ignore[assignment]
    job = OcrJob("many-words")
    job.load()
    bodies = [body for _, body in every_kind()]
    bodies += [scan(noise(400, 600), content=SEEN, turn=90), specimen.make(specimen.Layout(skew=3)).pdf, *mutated(40)]
    shared = [*documents()]
    caught: list[str] = []

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event.startswith(FORBIDDEN):
            caught.append(f"{event} {arguments[:1]}")

    sys.addaudithook(hook)
    for body in bodies:
        for existing in (1, 2, 3):
            run(job, body, WORDS, TEXT, PDF, existing_text=existing)
    for body in shared:
        read = [pages_of(told(job, body, cell_pb2.Task(outputs=[WORDS], share=share, shares=2))) for share in (0, 1)]
        told(job, body, cell_pb2.Task(outputs=[PDF], read=[*read[0], *read[1]]))
    done = list(caught)
    print("\n".join(sorted(set(done))))
    sys.exit(bool(done))


if __name__ == "__main__":
    main()
