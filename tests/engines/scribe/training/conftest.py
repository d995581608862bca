"""Text and fonts for what the training package makes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engines.scribe.recogniser.alphabet import CHARACTERS

if TYPE_CHECKING:
    from engines.scribe.training.corpus import Corpus
    from engines.scribe.training.fonts import Fonts

LIBERATION = Path("/usr/share/fonts/truetype/liberation")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    from engines.scribe.training import pools
    from engines.scribe.training.corpus import Corpus

    with pytest.MonkeyPatch.context() as patch:  # a package of Debian's: a test of its own fetches it
        patch.setattr(pools, "scowl", set)
        return Corpus(tmp_path_factory.mktemp("corpus") / "pools.json")


@pytest.fixture(scope="module")
def some_fonts() -> Fonts:
    if not LIBERATION.is_dir():
        pytest.skip("Debian's fonts-liberation is not installed")
    from engines.scribe.training import fonts

    names = ("LiberationSans-Regular", "LiberationSerif-Regular", "LiberationMono-Regular")
    ascii_only = "".join(c for c in CHARACTERS if c.isascii())
    looks = [("sans", names[0]), ("serif", names[1]), ("mono", names[2]), ("printer", names[2]), ("rare", names[1])]
    entries = [fonts.Font(str(LIBERATION / f"{name}.ttf"), name, "", look, ascii_only) for look, name in looks]
    return fonts.Fonts(entries, {look: 0.2 for look, _ in looks})
