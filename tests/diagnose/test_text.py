"""What is read off free text, the words that changed, and whole diagnoses of a help line whose answers are texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from tests.diagnose import helpline
from whimbrel.diagnose import contracts, diagnose_rows, rules
from whimbrel.diagnose.case import Variable, _is_text
from whimbrel.diagnose.contrast import contrast
from whimbrel.diagnose.language import declines, language
from whimbrel.diagnose.text import Mark, condition, ending, letters, marks, shape
from whimbrel.model.fields import Field, Kind, Schema

# ---------------------------------------------------------------- one text


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("en", "Your parcel is on its way and will be with you on Monday."),
        ("de", "Ihr Paket ist auf dem Weg und wird am Montag bei Ihnen sein."),
        ("fr", "Votre colis est en route et sera chez vous lundi, avec la facture."),
        ("es", "Su pedido está en camino y puede recibirlo el lunes por la mañana."),
        ("it", "Il pacco è in viaggio e può arrivare anche con la posta di lunedì."),
        ("da/no", "Pakken er på vei og kommer til deg på mandag, takk for at du venter."),
        ("ru", "Ваша посылка в пути и придёт в понедельник."),
        ("ja", "荷物は月曜日に届きます。お待ちください。"),
        ("zh", "您的包裹已经在路上，周一送达。"),
        ("unclear", "wug blick dax fep zorp toma kiki bouba gavagai snark"),
        (None, "48 213"),
    ],
)
def test_language_is_told_by_script_and_common_words(code: str | None, text: str) -> None:
    """One sentence is enough; what has no common word of any language is unclear, and what is too short is unknown."""
    assert language(text) == code


def test_refusals_are_told_from_apologies_in_several_languages() -> None:
    """An answer that apologises for a delay does not decline."""
    no = [
        "I’m sorry, but I can't help with that.",
        "Lo siento, pero no puedo ayudar con eso.",
        "申し訳ありませんが、お答えできません。",
    ]
    yes = ["I am sorry for the delay. Your parcel is on its way.", "Es tut mir leid, dass Sie warten mussten.", ""]
    assert [declines(text) for text in no + yes] == [True] * 3 + [False] * 3


def test_formats_and_endings() -> None:
    """JSON whole, broken and in fences; a text cut in mid-sentence is open, one cut by the reader is unknown."""
    texts = ['{"a": 1}', '{"a": ', 'Here:\n```json\n{"a": 1}\n```', "```\nls\n```", "So:\n- a\n- b", "<p>a</p>", "Yes."]
    assert [shape(text) for text in texts] == [
        "JSON",
        "broken JSON",
        "JSON in fences",
        "fenced",
        "list",
        "tagged",
        "plain",
    ]
    assert [ending(text) for text in ("Done.", "Is it? ", "and then you", "x" * 2_000)] == [
        "closed",
        "question",
        "open",
        None,
    ]


@pytest.mark.parametrize(("text", "made"), [
    ("[EXTERNAL] hello", "tagged"), ("[New request] Yes.", "tagged"), ("[1, 2", "broken JSON"), ("[1, 2]", "JSON"),
    ('["a", "b"', "broken JSON"), ("[[1], [2]", "broken JSON"), ("[1]", "JSON"),
])  # fmt: skip
def test_a_word_in_brackets_before_a_text_is_a_tag_and_no_list(text: str, made: str) -> None:
    assert shape(text) == made


@pytest.mark.parametrize(
    ("went_through", "text"),
    [
        ("whole", "Où est mon colis ? Il coûte 5 €."),
        ("whole", "https://example.org/a/very/long/path/without/blanks"),
        ("whole", "荷物は月曜日に届きますのでもう少しお待ちください。"),
        ("whole", "if a < b and c > d"),
        ("broken encoding", "Où est mon colis ?".encode().decode("latin-1")),
        ("broken encoding", "O\ufffd est mon colis ?"),
        ("markup", "<p>Where is my parcel?</p>"),
        ("escaped", "Where&nbsp;is my parcel?"),
        ("escaped", r"Where is\nmy parcel?"),
        ("escaped", "Wo sind die Schl=C3=BCssel?"),
        ("escaped", "Wo sind die Schl%C3%BCssel?"),
        ("whole", "Is a=C3 or b=CD, and 5%C3 of what?"),
        ("without blanks", "whereismyparcelplease"),
    ],
)
def test_what_a_text_went_through_is_told(went_through: str, text: str) -> None:
    """Addresses have no blanks to lose, nor have scripts that write without; a formula is no markup."""
    assert condition(text) == went_through


def test_small_letters_and_capitals() -> None:
    """A text without letters has neither."""
    assert [letters(text) for text in ("where is it?", "WHERE IS IT?", "Where is it?", "12 34")] == [
        "lower",
        "capitals",
        "both",
        None,
    ]


# ---------------------------------------------------------------- a field


def _marks(golden: list[str], window: list[str], *, received: bool = False) -> dict[str, Mark]:
    texts = [*golden, *window]
    known = list(dict.fromkeys(texts))
    codes = np.array([known.index(text) for text in texts], dtype=np.int64)
    return {m.name: m for m in marks(known, codes, np.arange(len(texts)) < len(golden), received=received)}


def test_a_template_is_what_prompts_share_and_a_changed_line_makes_another() -> None:
    """Questions differ in every prompt; only the wording around them says which template it was."""
    old = [f"You are kind.\nCite the manual.\nQuestion: where is {i} now?\nAnswer:" for i in range(100)]
    new = [text.replace("Cite the manual.", "Cite nothing.") for text in old[:50]]
    mark = _marks(old, [*old[50:], *new])["template"]
    assert mark.codes is not None
    assert len(set(mark.codes[:150])) == 1
    assert len(set(mark.codes[150:])) == 1
    assert mark.codes[0] != mark.codes[-1]


def test_texts_without_common_lines_have_no_template() -> None:
    """Questions are no renders of anything, even where some are asked twice."""
    texts = [f"where is my parcel {i % 97}? it is late" for i in range(300)]
    assert "template" not in _marks(texts[:200], texts[200:])


def test_looping_answers_repeat_their_lines() -> None:
    """A model that says one line again and again."""
    fair = [f"First open the lid of {i}.\nThen close it.\nThen wait." for i in range(60)]
    loops = [f"Open {i}.\nThen wait.\nThen wait.\nThen wait." for i in range(20)]
    repeated = _marks(fair, loops)["repeated"].numbers
    assert repeated is not None
    assert repeated[:60].max() == 0
    assert repeated[60:].min() == pytest.approx(0.5)


def test_what_says_the_same_of_every_row_is_left_out() -> None:
    """Nulls stay unknown, and a mark with one value is none."""
    texts = [f"all is well in room {'x' * (i % 7)}." for i in range(90)]
    made = {m.name: m for m in marks(texts, np.array([*range(90), -1]), np.arange(91) < 50)}
    assert "characters" in made
    assert {"refusal", "format", "language", "ascii", "ending"}.isdisjoint(made)
    characters = made["characters"].numbers
    assert characters is not None
    assert np.isnan(characters[-1])


# ---------------------------------------------------------------- words that changed


def _said(n: int, seed: int, *, often: float) -> list[str]:
    rng = np.random.default_rng(seed)
    filler = rng.choice([f"word{chr(97 + i)}" for i in range(26)], (n, 12))
    return [
        " ".join(row) + (" cannot help with this" if rng.random() < often else " according to page") for row in filler
    ]


def test_changed_words_are_named_and_chance_is_not() -> None:
    """What rose and what went are named by their runs; two draws of the same talk differ in nothing."""
    golden, same, other = _said(1_200, 0, often=0.02), _said(600, 1, often=0.02), _said(600, 2, often=0.31)
    texts = [*golden, *same, *other]
    halves = [np.arange(0, 600), np.arange(600, 1_200)]
    assert contrast(texts, halves, np.arange(1_200, 1_800)) == []
    moved = contrast(texts, halves, np.arange(1_800, 2_400))
    rose, fell = ([m for m in moved if (m.after > m.before) is up] for up in (True, False))
    assert any("cannot help" in m.words for m in rose)
    assert any("according to" in m.words for m in fell)
    assert rose[0].before == pytest.approx(0.02, abs=0.02)
    assert rose[0].after == pytest.approx(0.31, abs=0.06)
    assert not any("word" in m.words.split() for m in moved)


def test_topics_that_come_and_go_in_golden_are_no_change() -> None:
    """A word that is in one half of golden and not in the other says nothing where the window lacks it too."""
    first = [f"{text} storm" for text in _said(600, 0, often=0.02)]
    texts = [*first, *_said(600, 1, often=0.02), *_said(600, 2, often=0.02)]
    moved = contrast(texts, [np.arange(600), np.arange(600, 1_200)], np.arange(1_200, 1_800))
    assert not any("storm" in m.words for m in moved)


# ---------------------------------------------------------------- whole diagnoses


def _speak_english(c: helpline.Cells, hit: np.ndarray) -> None:
    c["spoken"][hit] = "en"


def _other_template(c: helpline.Cells, hit: np.ndarray) -> None:
    c["template"][hit] = helpline.TEMPLATE.replace("Answer from the manual only.", "Answer kindly, from all you know.")


def _fences(c: helpline.Cells, hit: np.ndarray) -> None:
    for i in np.flatnonzero(hit):
        c["outputs.answer"][i] = '```json\n{"answer": "' + c["outputs.answer"][i] + '"}\n```'


def _flatter(c: helpline.Cells, hit: np.ndarray) -> None:
    for i in np.flatnonzero(hit & (np.arange(len(hit)) % 2 == 0)):
        c["outputs.answer"][i] = "Great question! " + c["outputs.answer"][i]


def _questions(change: Callable[[str], str]) -> helpline.Break:
    """The questions arrive otherwise, and the prompts that hold them with them."""

    def broken(c: helpline.Cells, hit: np.ndarray) -> None:
        for i in np.flatnonzero(hit):
            was = c["inputs.question"][i]
            c["inputs.question"][i] = change(was)
            c["steps.render.prompt"][i] = c["steps.render.prompt"][i].replace(was, change(was))

    return broken


@pytest.mark.parametrize(
    ("share", "says", "change"),
    [
        (1.0, "'tagged'", lambda text: f"<p>{text}</p>"),
        (0.3, "one and the same text", lambda _: "Type your question here"),
        (1.0, "they are cut", lambda text: text[:24]),
    ],
)
def test_questions_that_arrive_damaged_are_the_datas(share: float, says: str, change: Callable[[str], str]) -> None:
    """Whatever the prompt and the answers make of it: what came in is what golden never had."""
    found = helpline.report(after=_questions(change), share=share).findings[0]
    assert (found.layer, found.component) == ("data", "inputs.question")
    assert says in found.what


@pytest.mark.parametrize(("says", "change"), [
    ("they are cut", lambda text: text[:24]),
    ("'escaped'", lambda text: text.replace("W", "=C3=9C").replace("I ", "=C3=8F ")),
    ("'tagged'", lambda text: f"[EXTERNAL] {text}"),
])  # fmt: skip
def test_questions_that_pass_another_gateway_are_the_datas(says: str, change: Callable[[str], str]) -> None:
    """Mail that nobody decoded, that somebody tagged, or that ends where a form has no more room, while others' goes on."""
    found = helpline.report(after=_questions(change), tenant="north").findings[0]
    assert (found.layer, found.component) == ("data", "inputs.question")
    assert says in found.what


def _dearer(c: helpline.Cells, hit: np.ndarray) -> None:
    c["bill"] = np.where(hit, 1.1, 1.0)


def test_a_bill_is_held_against_what_was_counted() -> None:
    """Tokens move with the answers; a price that rose by a tenth does not."""
    found = helpline.report(after=_dearer).findings[0]
    assert (found.layer, found.component) == ("serving", "usage.cost_eur")
    assert "1.1 times larger" in found.what


def test_answers_in_another_language_for_one_tenant() -> None:
    """The answer's language was the question's; for one tenant it no longer is, and the words say which came."""
    found = helpline.report(before=_speak_english, tenant="south").findings[0]
    assert (found.layer, found.component) == ("model", "outputs.answer")
    assert [(c.path, c.value) for c in found.where] == [("context.tenant", "south")]
    assert "language" in found.what
    assert any("words of outputs.answer" in e.says and "'the' in" in e.says for e in found.evidence)


def test_a_template_that_changed_without_its_version() -> None:
    """The step's code says it is what it was; the prompts do not, and the evidence has the new wording."""
    found = helpline.report(before=_other_template).findings[0]
    assert (found.layer, found.component) == ("features", "steps.render.prompt")
    assert any("kindly" in e.says for e in found.evidence)


def test_answers_that_come_in_fences() -> None:
    """Nothing else moved: the format is named."""
    found = helpline.report(after=_fences).findings[0]
    assert (found.layer, found.component) == ("model", "outputs.answer")
    assert any("JSON in fences" in e.says for e in found.evidence)


def test_answers_that_begin_otherwise_in_words_alone() -> None:
    """Half of the answers begin with a compliment: too short to move their length, and no decision is blamed for it."""
    found = helpline.report(after=_flatter).findings[0]
    assert (found.layer, found.component) == ("model", "outputs.answer")
    assert any("'great question'" in e.says for e in found.evidence)


def _shuffled(c: helpline.Cells, hit: np.ndarray) -> None:
    """Questions of one caller are put down as another's, prompt and answer with them."""
    rows = np.flatnonzero(hit)
    c["asked in"][rows] = c["spoken"][rows] = np.random.default_rng(5).permutation(c["asked in"][rows])


def _all_in_english(c: helpline.Cells, hit: np.ndarray) -> None:
    c["asked in"][hit] = c["spoken"][hit] = "en"


def test_a_question_that_came_for_another_is_told_by_whom_its_words_go_with() -> None:
    """Everything after goes with the question; that tenants' languages are exchanged shows whose they are."""
    found = helpline.report(before=_shuffled, share=0.5).findings[0]
    assert (found.layer, found.component) == ("data", "inputs.question")
    assert "another context.tenant than its words go with" in found.what


def test_tenants_who_now_write_in_another_language_are_the_world() -> None:
    """All write in English: nobody's question went astray, for none came the other way."""
    found = helpline.report(before=_all_in_english, share=0.5).findings
    assert not [one for one in found if one.component == "inputs.question" and one.harmful]


def test_other_topics_are_the_world() -> None:
    """News of the day in the questions, and so in the answers: nothing broke."""
    report = helpline.report(things=helpline.THINGS[:3] + helpline.NEWS)
    assert report.verdict == "healthy", report.sentence


SIGNED = Schema.from_pairs([
    ("inputs.letter", Kind.TEXT), ("steps.redact.names", Kind.NUMBER), ("decision", Kind.TEXT),
])  # fmt: skip


def _letters(
    n: int, seed: int, *, start_hour: float, hours: float, strike: bool = False, lost: bool = False
) -> helpline.Cells:
    """Letters to a shop, every second one signed; in a strike some ask about it below their names, and `lost` names are not redacted."""
    rng = np.random.default_rng(seed)
    signed = rng.random(n) < 0.5
    asks = strike & (rng.random(n) < 0.4)
    things, names = rng.choice(helpline.THINGS, n), rng.choice(["Emma", "Noor", "Ravi", "Ines", "Hugo"], n)
    texts = [
        "Please, " * more + helpline.ASKED["en"][i % 2].format(f"{thing} {number}") + "?"
        + (f" Kind regards, {name}" if sign else "") + (" Is it because of the strike?" if ask else "")
        for i, more, thing, number, name, sign, ask in zip(
            rng.integers(0, 9, n), rng.integers(0, 9, n), things, rng.integers(100, 9_999, n), names, signed, asks, strict=True
        )
    ]  # fmt: skip
    found = signed & ~(lost & (rng.random(n) < 0.3))
    return {
        "ts": np.sort(helpline.START + ((start_hour + rng.random(n) * hours) * helpline.HOUR_US).astype(np.int64)),
        "inputs.letter": np.array(texts, dtype=object),
        "steps.redact.names": found.astype(float),
        "decision": np.where(found, "hide", "show").astype(object),
    }


@pytest.mark.parametrize("lost", [False, True])
def test_what_golden_told_by_the_end_of_a_letter_holds_for_letters_like_golden_only(lost: bool) -> None:
    """In golden who signs does not end in a question; in a strike they do, and the redaction is not blamed. Names it loses are."""
    golden = helpline.rows(_letters(4_000, 1, start_hour=0, hours=240), "g", SIGNED)
    window = helpline.rows(_letters(1_500, 2, start_hour=240, hours=24, strike=not lost, lost=lost), "w", SIGNED)
    report = diagnose_rows(golden, window, SIGNED, app="letters")
    blamed = [finding.component for finding in report.findings if finding.harmful]
    assert ("steps.redact.names" in blamed) == lost, report.sentence


@pytest.mark.parametrize(("values", "text"), [
    ([f"Please restart device number {i} and wait until it is green." for i in range(90)], True),
    ([f"Blue shirt {i}" for i in range(90)], False),
    ([f"Please restart device number {i} and wait until it is green." for i in range(20)], False),
])  # fmt: skip
def test_sentences_are_text_however_often_each_comes(values: list[str], text: bool) -> None:
    codes = np.arange(9_000) % len(values)
    field = Field("outputs.text", Kind.TEXT)
    assert _is_text(Variable("outputs.text", field, codes=codes, vocabulary=tuple(values))) is text


@pytest.mark.parametrize(("different", "channels"), [(2_000, 1), (90, 0)])
def test_the_same_text_again_says_something_where_golden_s_are_all_different(different: int, channels: int) -> None:
    """A new product has its own answers in a list; a canned answer where there was no list is another matter."""
    golden = np.arange(3_000) < 2_000
    codes = np.where(golden | (np.arange(3_000) % 5 > 0), np.arange(3_000) % different, different)
    names = tuple(f"Please restart device number {i} and wait until it is green." for i in range(different + 1))
    answers = Variable("outputs.text", Field("outputs.text", Kind.TEXT), codes=codes, vocabulary=names)
    case = SimpleNamespace(
        golden=golden, window=~golden, blocks=np.arange(3_000) // 500, block_count=4, ts=np.arange(3_000),
        variables={"outputs.text": answers, "outputs.text#characters": answers}, of=lambda *_: [],
    )  # fmt: skip
    found = contracts._texts(cast("Any", case), answers)
    assert [(c.signature, c.detail["text"]) for c in found] == [("repeated", names[-1])] * channels


def test_a_rule_is_silent_where_no_language_is_told() -> None:
    """Golden's letters of no language that is known were answered in English; the next may be short and French."""
    letters, answers = (
        Variable(f"{path}#language", Field(path, Kind.TEXT), codes=np.array([0, 1, 1]), vocabulary=("fr", last))
        for path, last in (("inputs.letter", "unclear"), ("outputs.body", "en"))
    )
    case = cast("Any", SimpleNamespace(ts=np.arange(3), variables={letters.name: letters}))
    assert rules._in_no_language(case, answers, (letters.name,)).tolist() == [False, True, True]
    signed = replace(answers, name="outputs.body#ending")
    assert not rules._in_no_language(case, signed, (letters.name,)).any()
