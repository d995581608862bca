"""Pools that texts are drawn from: words of each language by wordfreq, more English ones by SCOWL, names and addresses
by Faker; kept in a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from wordfreq import top_n_list

from engines.scribe.recogniser.alphabet import knows
from engines.scribe.training.packages import unpacked

LANGUAGES = {"en": 0.72, "fr": 0.07, "de": 0.07, "es": 0.05, "it": 0.03, "pt": 0.03, "nl": 0.02, "sv": 0.01}
"""With their shares."""
_SPELLINGS, _LARGE = {"english", "american", "british"}, 70
_ENTRIES = 3000
"""In each of Faker's pools."""


def scowl() -> set[str]:
    """English words of SCOWL (Atkinson 2020) up to the size of a large dictionary, in its spellings of both sides of
    the Atlantic; from Debian's package. Raises CalledProcessError where it cannot be had."""
    with unpacked(["scowl"]) as files:
        lists = [
            path
            for path in (files / "usr/share/dict/scowl").iterdir()
            if path.name.split("-")[0] in _SPELLINGS and "-words." in path.name and int(path.suffix[1:]) <= _LARGE
        ]
        words = {word for path in lists for word in path.read_text().split()}
    return {word for word in words if not word.endswith("'s") and knows(word)}


def load(cache: Path) -> dict[str, list[str]]:
    """The pools by name, ``words_en`` and so on for each language among them; made where ``cache`` is not there yet."""
    if cache.exists():
        pools: dict[str, list[str]] = json.loads(cache.read_text())
        return pools
    from faker import Faker

    pools = {
        f"words_{lang}": [w for w in top_n_list(lang, 60_000 if lang == "en" else 20_000) if knows(w)]
        for lang in LANGUAGES
    }
    fakers = [Faker(locale) for locale in ("en_US", "en_GB", "fr_FR", "de_DE", "es_ES", "it_IT")]
    for i, fake in enumerate(fakers):
        fake.seed_instance(i)
    pools["words_en"] += sorted(scowl() - set(pools["words_en"]))
    weights = [0.5, 0.2, 0.1, 0.1, 0.05, 0.05]
    makers: dict[str, Callable[[Faker], str]] = {
        "names": lambda f: f.name(),
        "companies": lambda f: f.company(),
        "addresses": lambda f: f.address().replace("\n", ", "),
        "emails": lambda f: f.email(),
        "urls": lambda f: f.url().rstrip("/"),
        "phones": lambda f: f.phone_number(),
    }
    rng = np.random.default_rng(0)
    for name, make in makers.items():
        drawn = (make(fakers[int(rng.choice(len(fakers), p=weights))]) for _ in range(_ENTRIES))
        pools[name] = [text for text in drawn if knows(text)]
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(json.dumps(pools, ensure_ascii=False))
    return pools
