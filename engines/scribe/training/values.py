"""Numbers, amounts of money, dates and times of day, as print has them."""

from __future__ import annotations

import numpy as np

from engines.scribe.training.vocabulary import CURRENCY, DAYS, MONTHS

Rng = np.random.Generator


def number(rng: Rng) -> str:
    """A number as print has it: thousands, decimals, percentages, ordinals."""
    digits = int(rng.integers(1, 8))
    value = int(rng.integers(10 ** (digits - 1), 10**digits)) if digits > 1 else int(rng.integers(10))
    style = int(rng.integers(12))
    fraction = f"{rng.integers(100):02d}"
    return [
        str(value), str(value), f"{value:,}", f"{value}.{fraction}", f"{value:,}.{fraction}",
        f"{value:,}".replace(",", ".") + f",{fraction}", f"{value % 1000}%", f"{value % 100}.{fraction[0]}%",
        f"({value:,})", f"-{value % 10000}.{fraction}", f"{value % 100}{['th', 'st', 'nd', 'rd'][value % 4]}",
        f"{value % 1000}/{value % 97 + 1}",
    ][style]  # fmt: skip


def price(rng: Rng) -> str:
    """An amount of money."""
    value = int(10 ** rng.uniform(0, 4.5))
    fraction = f"{rng.integers(100):02d}"
    if rng.random() < 0.4:
        fraction = str(rng.choice(["00", "50", "90", "99", "95", "10", "20"]))
    text = f"{value:,}.{fraction}" if rng.random() < 0.8 else f"{value},{fraction}"
    roll = rng.random()
    if roll < 0.35:
        text = str(rng.choice(CURRENCY)) + text
    elif roll < 0.42:
        text += str(rng.choice([" €", "€", " SR", "SR", " T", "-", " ZR", " S", "*", " CR", " DR", " USD"]))
    elif roll < 0.47:
        text = "-" + text
    return text


def date(rng: Rng) -> str:
    """A date or a time of day."""
    day, month = int(rng.integers(1, 29)), int(rng.integers(1, 13))
    year = int(rng.integers(1930, 2031)) if rng.random() < 0.3 else int(rng.integers(2008, 2027))
    name, weekday = MONTHS[month - 1], DAYS[int(rng.integers(7))]
    hour, minute, second = int(rng.integers(24)), int(rng.integers(60)), int(rng.integers(60))
    half = str(rng.choice(["AM", "PM", "am", "pm", "a.m.", "p.m."]))
    separator = str(rng.choice(["/", "-", ".", "/", "-"]))
    dates = [
        f"{day:02d}{separator}{month:02d}{separator}{year}", f"{month:02d}{separator}{day:02d}{separator}{year}",
        f"{day}{separator}{month}{separator}{year % 100:02d}", f"{year}-{month:02d}-{day:02d}",
        f"{name} {day}, {year}", f"{day} {name} {year}", f"{name[:3]} {day}, {year}",
        f"{day:02d}-{name[:3]}-{year}", f"{day} {name[:3].upper()} {year}", f"{weekday}, {name} {day}, {year}",
        f"{weekday[:3]} {day:02d} {name[:3]}",
        f"{day:02d}{name[:3].upper()}{year % 100:02d}", f"{name} {year}",
    ]  # fmt: skip
    times = [
        f"{hour:02d}:{minute:02d}:{second:02d}", f"{hour:02d}:{minute:02d}", f"{hour % 12 + 1}:{minute:02d} {half}",
        f"{hour % 12 + 1:02d}:{minute:02d}:{second:02d} {half}", f"{hour % 12 + 1}:{minute:02d}{half}",
    ]  # fmt: skip
    roll = rng.random()
    if roll < 0.6:
        return str(rng.choice(dates))
    if roll < 0.8:
        return str(rng.choice(times))
    return f"{rng.choice(dates)} {rng.choice(times)}"
