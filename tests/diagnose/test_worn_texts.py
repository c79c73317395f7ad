"""Texts that arrive worn: letters taken apart, letters read for digits, words run together, lines begun twice, a file's name where a title was."""

from __future__ import annotations

import unicodedata

import numpy as np
import pandas as pd
import pytest

import whimbrel
from whimbrel.diagnose.misread import misread

DAYS, WINDOW, A_DAY = 11, 2, 500
_PARTS = ("Schläuche", "clés à pipe", "pompes à eau", "Dübel", "Ölfilter", "boîtes", "Späne", "tubes coudés")
_MONTHS = ("weeks", "days", "hours", "Tage", "semaines", "pallets")


def _orders(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Orders that arrive as letters, by two channels, and the number of pieces that a step reads; from the window's eighth hour on something happens by fax."""
    rng = np.random.default_rng(4)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    channel = rng.choice(["fax", "mail"], n)
    hit = (hour >= began + 8) & (channel == "fax")
    texts = []
    for i in range(n):
        pieces, wait = int(rng.choice([10, 12, 20, 30, 40, 60, 100])), int(rng.integers(1, 30))
        unit, part, who = rng.choice(_MONTHS), rng.choice(_PARTS), int(rng.integers(100, 1000))
        told = f"{pieces} {part}, please, in {wait} {unit} for yard {who}"
        if event == "phone" and hit[i] and i % 3 == 0:
            told += " with a scanner5"
        elif event == "apart" and hit[i]:
            told = unicodedata.normalize("NFD", told)
        elif event == "letters" and hit[i]:
            told = told.replace("0", "O").replace("1", "l")
        elif event == "glued" and hit[i] and i % 3 == 0:
            told = told.replace(f"{wait} {unit}", f"{wait} {unit}{wait + 1} {unit}")
        texts.append(told + ("" if rng.random() < 0.9 else " and a scanner 5"))
    number = np.array([float(t.split()[0]) if t.split()[0].isdigit() else 0.0 for t in texts])
    score = np.round(number * 1.5 + rng.normal(0, 1, n), 2)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.channel": channel, "inputs.letter": texts,
        "steps.pieces.count": number, "outputs.hours": score, "decision": np.where(score > 40, "plan", "store"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ("", ""),
        ("phone", ""),
        ("apart", "decomposed letters"),
        ("letters", "letters for digits"),
        ("glued", "words run together"),
    ],
)
def test_letters_that_arrive_worn_are_the_datas(event: str, says: str) -> None:
    """A new word that many write, letters and digits in one, is theirs."""
    report = whimbrel.diagnose(*_orders(event))
    assert (report.verdict == "fault") == bool(says), report.sentence
    if says:
        first = report.findings[0]
        found = (first.layer, first.component, [str(c) for c in first.where])
        assert found == ("data", "inputs.letter", ["context.channel=fax"]), report.sentence
        assert f"'{says}'" in first.what


def test_units_and_products_are_not_misread() -> None:
    """What golden writes in one word, a number before its unit, and one product of many are as they are meant."""
    golden = ["cut 10 15 19 20 30 cm off phone and tube and days and lamp"] * 6
    worn = ["cut 3O and l9 and 2O and l5 off"] * 2 + ["days10 phone20 tube30 lamp19"] * 2
    fine = ["cut 10cm", "cut 20cm", "phone15", "phone19", "phone30", "5l", "20l"]
    found = misread([*golden, *fine], range(6))
    assert found == {}
    found = misread([*golden, *worn], range(6))
    assert found == {6: "letters for digits", 7: "letters for digits", 8: "words run together", 9: "words run together"}


def _songs(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Songs that are played again and again, each with its title and its mood; from the window's eighth hour on half of them may bear a file's name."""
    rng = np.random.default_rng(5)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    song = np.minimum(rng.geometric(0.02, n), 150)
    mood, tempo = rng.choice(["calm", "loud", "sad"], 151), rng.integers(60, 180, 151).astype(float)
    titles = np.array([" ".join("ab" * int(k) for k in rng.integers(1, 5, 3)) + f" {i}" for i in range(151)])
    title = titles[song].astype(object)
    hit = hour >= began + 8
    if event == "files":
        hit &= song % 2 == 0
        title[hit] = [f"REC_{2000 + i}_{mood[i]}.wav" for i in song[hit]]
    if event == "hit":  # one that everybody plays now, and whose maker never gave it a title
        title[hit & (song % 4 == 0)] = "REC_0007.wav"
    score = np.round(tempo[song] / 180 + 0.2 * (mood[song] == "calm") + rng.normal(0, 0.02, n), 3)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "inputs.title": title,
        "context.device": rng.choice(["car", "phone"], n), "inputs.tempo": tempo[song],
        "outputs.liked": score, "decision": np.where(score > 0.7, "play", "skip"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "files", "hit"])
def test_titles_that_are_the_names_of_files(event: str) -> None:
    """Of several works they are the catalogue's; of one it is its maker's."""
    report = whimbrel.diagnose(*_songs(event))
    assert (report.verdict == "fault") == (event == "files"), report.sentence
    if event == "files":
        first = report.findings[0]
        assert (first.layer, first.component) == ("data", "inputs.title")
        assert "'file name'" in first.what


_SEEN = ("the wound is dry and clean", "she slept all night without pain", "his fever went down after lunch",
         "the drip was changed at noon", "he walked to the window and back", "no change since the morning round")  # fmt: skip
_WHEN = ("", "", "", " since noon")


def _dictations(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What nurses dictate, a line each, and the lines that a step counts; from the window's eighth hour on something befalls one ward's."""
    rng = np.random.default_rng(6)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    ward = rng.choice(["north", "south", "east"], n)
    hit = (hour >= began + 8) & (ward == "south")
    notes = []
    for i in range(n):
        lines = [
            f"{_SEEN[k]}, bed {rng.integers(1, 40)}{rng.choice(_WHEN)}"
            for k in rng.integers(0, len(_SEEN), rng.integers(2, 7))
        ]
        if event == "partial" and hit[i]:
            whole = [rng.random() < 0.4 for _ in lines]
            lines = [
                part
                for line, once in zip(lines, whole, strict=True)
                for part in ([line] if once else [line[: len(line) // 2], line])
            ]
        elif event == "more of it" and hit[i]:
            lines[-1] = f"{lines[-2]} since noon"
        notes.append("\n".join(lines))
    count = np.array([note.count("\n") + 1.0 for note in notes])
    score = np.round(count * 0.3 + rng.normal(0, 0.1, n), 2)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.ward": ward, "inputs.note": notes,
        "steps.lines.count": count, "outputs.effort": score, "decision": np.where(score > 1.5, "long", "short"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "partial", "more of it"])
def test_lines_that_come_twice_first_cut_short_are_the_datas(event: str) -> None:
    """One who says a line again and goes on does so once in a text, and has nothing stored twice."""
    report = whimbrel.diagnose(*_dictations(event))
    assert (report.verdict == "fault") == (event == "partial"), report.sentence
    if event == "partial":
        first = report.findings[0]
        found = (first.layer, first.component, [str(c) for c in first.where])
        assert found == ("data", "inputs.note", ["context.ward=south"]), report.sentence
        assert "'lines begun twice'" in first.what
