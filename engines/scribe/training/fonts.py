"""Fonts for synthetic text: an index of those that are installed, by look, with every bad glyph struck out.

A font's glyph is trusted only after it was drawn: one that comes out empty, as the font's "missing" box, or like
another character (a symbol font, small capitals for lower case) takes that character out of that font; a font left
without most letters is dropped. Letters are compared with the same letters of a few reference families."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import string
import subprocess
import tarfile
import tempfile
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

from engines.scribe.recogniser.alphabet import CHARACTERS
from engines.scribe.training.packages import unpacked

MANIFEST = Path(__file__).with_name("fonts.toml")
UNPACKED = Path("runs/fonts")
"""Where fonts are that are unpacked and not installed."""
_CELL = 20
_PROBE = 40
_LARGEST = 3_000_000
"""Bytes of a font file at most: larger ones are for other scripts."""
_LETTERS = string.ascii_letters + string.digits
_NO_CHARACTER = "\uffff"
_FREE = frozenset({"OFL-1.1", "Apache-2.0", "MIT"})
_LATIN = re.compile(r"-latin-(400-normal|700-normal|400-italic)\.woff2$")
_REFERENCES = (
    "LiberationSans-Regular", "LiberationSerif-Regular", "LiberationMono-Regular", "LiberationSerif-Italic",
    "LiberationSans-Bold", "C059-Roman", "EBGaramond12-Regular", "DejaVuSans", "P052-Italic", "Carlito-Regular",
    "lmroman10-regular", "C059-BdIta", "URWGothic-Book", "NimbusMonoPS-Regular", "texgyretermes-bolditalic",
)  # fmt: skip


class FontError(Exception):
    """Fonts that the manifest names cannot be had; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Font:
    """A font file that passed; ``characters`` are those it may draw."""

    path: str
    family: str
    style: str
    look: str
    characters: str

    def draws(self, text: str) -> bool:
        """Whether every character of ``text`` may be drawn."""
        return set(text) <= _charset(self.characters)


class Fonts:
    """The index, and drawing from it by how common a look is. ``icons``: files of fonts that hold icons alone, each
    with the icons to leave out."""

    def __init__(self, fonts: list[Font], shares: dict[str, float], icons: dict[str, str] | None = None) -> None:
        self._families: dict[str, list[list[Font]]] = {}
        for look in shares:
            families: dict[str, list[Font]] = {}
            for font in fonts:
                if font.look == look:
                    families.setdefault(font.family, []).append(font)
            self._families[look] = list(families.values())
        self._looks = [look for look in shares if self._families[look]]
        weights = np.array([shares[look] for look in self._looks])
        self._weights = weights / weights.sum()
        self.fonts = fonts
        self.icons = icons or {}

    def draw(self, rng: np.random.Generator, look: str | None = None) -> Font:
        """A font of ``look``, or of any look by its share; within it each family is as likely as the next."""
        if look is None:
            look = self._looks[int(rng.choice(len(self._looks), p=self._weights))]
        families = self._families[look]
        # The families at the front of the manifest are what most documents are set in.
        place = int(len(families) * rng.random() ** 1.5)
        members = families[place]
        return members[int(rng.integers(len(members)))]


@lru_cache(maxsize=3000)
def face(path: str, size: int) -> ImageFont.FreeTypeFont:
    """The font file opened at ``size`` px. Raises OSError."""
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def _charset(characters: str) -> frozenset[str]:
    return frozenset(characters)


def load(cache: Path) -> Fonts:
    """The index from ``cache``, made first if it is not there."""
    manifest = tomllib.loads(MANIFEST.read_text())
    shares = {look["name"]: look["share"] for look in manifest["look"]}
    shares["rare"] = 1 - sum(shares.values())
    if not cache.exists():
        fonts = index([Path(folder) for folder in manifest["folders"]], manifest)
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text(json.dumps([asdict(font) for font in fonts], ensure_ascii=False))
    icons = {
        str(UNPACKED / name): "".join(chr(int(code, 16)) for code in struck.split())
        for name, struck in manifest["icons"].items()
        if (UNPACKED / name).exists()
    }
    return Fonts([Font(**entry) for entry in json.loads(cache.read_text())], shares, icons)


def index(folders: list[Path], manifest: dict[str, object]) -> list[Font]:
    """Every usable font below ``folders``, in the order of the manifest's families."""
    exclude = re.compile(str(manifest["exclude"]))
    looks = [(look["name"], look["families"]) for look in manifest["look"]]  # type: ignore[attr-defined]
    suffixes = {".ttf", ".otf", ".ttc", ".otb", ".t1", ".woff2"}
    paths = sorted(p for folder in folders for p in folder.rglob("*") if p.suffix in suffixes)
    references = _reference_glyphs([p for name in _REFERENCES for p in paths if p.stem == name])
    found: list[tuple[int, Font]] = []
    seen: set[tuple[str, str]] = set()
    for path in paths:
        try:
            font = ImageFont.truetype(str(path), _PROBE, layout_engine=ImageFont.Layout.BASIC)
            family, style = font.getname()
        except OSError:
            continue  # a bitmap font without this size, or a damaged file: not usable either way
        name = f"{family} {style}".lower()
        if exclude.search(name) or exclude.search(path.stem.lower()) or (name, style) in seen:
            continue
        seen.add((name, style))
        characters = usable(font, references)
        if len(characters) < 60:
            continue
        look, rank = "rare", 999
        for title, families in looks:
            rank = next((i for i, pattern in enumerate(families) if re.search(pattern, name)), 999)
            if rank < 999:
                look = title
                break
        family = re.sub(r"[\d ]+", "", (family or path.stem).lower())
        found.append((rank, Font(str(path), family, style or "", look, characters)))
    found.sort(key=lambda pair: pair[0])
    return [font for _, font in found]


def usable(font: ImageFont.FreeTypeFont, references: dict[str, NDArray[np.float32]]) -> str:
    """The characters of the alphabet that ``font`` draws as themselves; empty when it is no text font at all."""
    glyphs = {character: _normalised(ink) for character, ink in inks(font, CHARACTERS.replace(" ", "")).items()}
    letters = [c for c in _LETTERS if c in glyphs]
    if len(letters) < 55:
        return ""
    # Small capitals: the lower case letter has its capital's shape.
    differing = [c for c in "abdefghijlmnqrt" if c in glyphs and c.upper() in glyphs]
    same = sum(float(glyphs[c].ravel() @ glyphs[c.upper()].ravel()) > 0.94 for c in differing)
    bad: set[str] = set(string.ascii_lowercase) if same > 4 else set()
    names = list(references)
    stack = np.stack([references[name] for name in names])  # (letters, references, cells)
    right = 0
    for character in letters:
        scores = (stack @ glyphs[character].ravel()).max(axis=1)
        best = names[int(scores.argmax())]
        own = float(scores[names.index(character)])
        if best.lower() == character.lower() or scores.max() - own < 0.05:
            right += 1
        elif own < 0.55:
            bad.add(character)
    if right < 0.72 * len(letters):
        return ""
    return " " + "".join(c for c in glyphs if c not in bad)


def _reference_glyphs(paths: list[Path]) -> dict[str, NDArray[np.float32]]:
    fonts = [ImageFont.truetype(str(path), _PROBE, layout_engine=ImageFont.Layout.BASIC) for path in paths]
    glyphs = {}
    for character in _LETTERS:
        bitmaps = [ink_of(font, character) for font in fonts]
        glyphs[character] = np.stack([_normalised(bitmap).ravel() for bitmap in bitmaps if bitmap is not None])
    return glyphs


def inks(font: ImageFont.FreeTypeFont, characters: Iterable[str]) -> dict[str, NDArray[np.uint8]]:
    """The ink of those of ``characters`` that ``font`` has: neither nothing nor its box for what is missing."""
    missing = ink_of(font, _NO_CHARACTER)
    drawn = {character: ink_of(font, character) for character in characters}
    return {
        character: ink
        for character, ink in drawn.items()
        if ink is not None and (missing is None or not np.array_equal(ink, missing))
    }


def ink_of(font: ImageFont.FreeTypeFont, character: str) -> NDArray[np.uint8] | None:
    """The ink of ``character``, cropped; None where ``font`` draws nothing."""
    try:
        mask = font.getmask(character, mode="L")
    except (OSError, ValueError):
        return None  # FreeType refuses this glyph
    width, height = mask.size
    if width == 0 or height == 0 or width > 400 or height > 400:
        return None
    bitmap = np.array(mask, np.uint8).reshape(height, width)
    rows, columns = np.flatnonzero(bitmap.max(1) > 64), np.flatnonzero(bitmap.max(0) > 64)
    if not len(rows):
        return None
    return bitmap[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _normalised(bitmap: NDArray[np.uint8]) -> NDArray[np.float32]:
    import cv2

    cell = cv2.resize(bitmap, (_CELL, _CELL), interpolation=cv2.INTER_AREA).astype(np.float32)
    cell = cv2.GaussianBlur(cell, (0, 0), 1.0)
    return cell / (np.linalg.norm(cell) + 1e-6)


def unpack(names: list[str], folder: Path) -> None:
    """Download Debian packages and put their fonts into ``folder``, without installing them."""
    folder.mkdir(parents=True, exist_ok=True)
    with unpacked(names) as files:
        for path in files.rglob("*"):
            if path.suffix in {".otf", ".ttf"} and path.stat().st_size < _LARGEST:
                shutil.copy(path, folder / path.name)


def fetch(names: list[str], folder: Path) -> None:
    """Download ``names`` of the npm scope @fontsource and put their Latin files into ``folder``, upright in two weights
    and italic. Raises FontError where npm is missing or a licence is none of `_FREE`, CalledProcessError where npm
    fails."""
    if shutil.which("npm") is None:
        raise FontError("npm is missing: some fonts come from its registry (apt install npm)")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        packages = [f"@fontsource/{name}" for name in names]
        subprocess.run(["npm", "pack", "--silent", *packages], cwd=scratch, check=True, stdout=subprocess.DEVNULL)
        for path in sorted(Path(scratch).glob("*.tgz")):
            with tarfile.open(path) as archive:
                members = {member.name: member for member in archive.getmembers() if member.isfile()}
                licence = json.loads(_content(archive, members["package/package.json"]))["license"]
                if licence not in _FREE:
                    raise FontError(f"{path.name}: its licence is {licence}; take it out of {MANIFEST.name}")
                for name, member in members.items():
                    if _LATIN.search(name):
                        (folder / Path(name).name).write_bytes(_content(archive, member))


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""


def main() -> None:
    """The command line: make the index and count it, or say or fetch what the manifest names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", action="store_true", help="print the Debian packages to install")
    parser.add_argument("--unpack", action="store_true", help="fetch what is only unpacked: TeX's fonts, npm's")
    given = parser.parse_args()
    manifest = tomllib.loads(MANIFEST.read_text())
    if given.packages:
        print(" ".join(manifest["apt"].split()))
    elif given.unpack:
        unpack(manifest["unpack"].split(), UNPACKED)
        try:
            fetch(manifest["fontsource"].split(), UNPACKED)
        except FontError as error:
            raise SystemExit(str(error)) from error
    else:
        everything = load(Path("runs/fonts.json"))
        for title in ("sans", "serif", "mono", "printer", "rare"):
            files = [font for font in everything.fonts if font.look == title]
            print(f"{title:8} {len(files):5} files {len({font.family for font in files}):4} families")


if __name__ == "__main__":
    main()
