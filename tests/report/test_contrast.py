"""The page's colours can be read: WCAG 2.2 contrast of at least 4.5 to 1 for every text, in light and in dark."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

TEXT = ("ink", "soft", "after", "good", "warn")


def palettes() -> dict[str, dict[str, str]]:
    """The colours of the style sheet by name, as the light and the dark page have them."""
    style = files("whimbrel.report").joinpath("templates", "style.css").read_text("utf-8")
    light, dark = (
        dict(re.findall(r"--(\w+): (#\w+)", block))
        for block in re.findall(r"\.whimbrel \{([^}]*--paper[^}]*)\}", style)[:2]
    )
    return {"light": light, "dark": light | dark}


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "card", "tint"])
@pytest.mark.parametrize("text", TEXT)
def test_text_stands_out_from_its_ground(mode: str, ground: str, text: str) -> None:
    palette = palettes()[mode]
    brighter, darker = sorted((luminance(palette[text]), luminance(palette[ground])), reverse=True)
    assert (brighter + 0.05) / (darker + 0.05) >= 4.5
