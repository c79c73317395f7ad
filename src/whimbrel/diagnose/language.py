"""Which language a text is in, by its script and its commonest words; and whether it declines to answer.

In: the beginning of a text. Out: an ISO 639-1 code, None where the text is too short to say. Thirty words that every text of a
language is full of tell Latin-script languages apart within a sentence (Grefenstette 1995); scripts tell the rest.
Danish and Norwegian share most of theirs and are told together.
"""

from __future__ import annotations

from functools import lru_cache

UNCLEAR = "unclear"
"""What a long text is said to be in that has the common words of no language that is known here."""

_LONG = 8
"""Words from which on a text without any common word is unclear rather than too short."""

_SCRIPTS = (
    ("ru", 0x0400, 0x052F), ("el", 0x0370, 0x03FF), ("ar", 0x0600, 0x06FF), ("he", 0x0590, 0x05FF), ("hi", 0x0900, 0x097F),
    ("th", 0x0E00, 0x0E7F), ("ja", 0x3040, 0x30FF), ("ko", 0xAC00, 0xD7AF), ("zh", 0x4E00, 0x9FFF),
)  # fmt: skip

_COMMON = {
    "en": "the and is of to you your for with this that not are have it be can from we i my please was will on",
    "de": "der die das und ist nicht ich sie wir mit für auf ein eine den von zu wird bitte ihre haben es im werden auch",
    "fr": "le les des et est une pour vous nous votre pas que dans sur avec ce je qui du au cette sont être merci",
    "es": "el los las y es una para por usted que con su no se lo del en este puede gracias como pero más tiene",
    "it": "il di che è per una con non sono della gli nel questo può del si come la lei grazie anche più ma suo",
    "pt": "o os as e é uma para você que com não do da em seu por se um obrigado mais pode como foi ao são",
    "nl": "de het een en is van niet dat met voor op u wij zijn uw ik aan kan om te worden ook bij deze naar",
    "da/no": "og er ikke det som en på til av af med jeg du vi for den har kan din takk tak vil fra deg dig hvor",
    "sv": "och är inte det som en på till av med jag du vi för den har kan din tack vill från dig var ett att",
    "fi": "ja on ei se että en olen voi kun mutta tai ovat hän sinun kiitos tämä mitä myös jos niin oli minä",
    "pl": "i w nie się na jest to że z do jak dla przez ale czy proszę są od po co już tak za może pan",
    "cs": "a je se na že to v ne si s z jsem pro ale jako do by prosím jsou které nebo tak již můžete jak",
    "tr": "ve bir bu için ile değil da de ne çok mi var olarak daha gibi ama lütfen olan sizin ben nasıl kadar",
    "id": "yang dan di ini itu dengan untuk tidak dari pada anda saya ke akan dalam bisa ada atau kami juga",
    "vi": "và là của không có cho được bạn tôi này với các một trong để đã những từ khi xin",
}
_CODES = tuple(_COMMON)
_PLACES = {
    word: sum(1 << 8 * i for i, code in enumerate(_CODES) if word in _COMMON[code].split())
    for words in _COMMON.values()
    for word in words.split()
}
"""For each common word a one in the byte of each language that has it: sums of these count for all languages at once."""
_STRIPPED = ".,;:!?()\"'«»„“”¿¡"

_DECLINES = (
    "can't help", "cannot help", "can’t help", "can't assist", "cannot assist", "can’t assist", "unable to help",
    "unable to assist", "not able to help", "not able to assist", "i can't provide", "i cannot provide", "i can’t provide",
    "i can't answer", "i cannot answer", "i won't be able", "i must decline", "i'm sorry, but i", "i am sorry, but i",
    "i’m sorry, but i", "as an ai", "against my guidelines", "kann ich nicht helfen", "kann ihnen nicht helfen",
    "kann dir nicht helfen", "dabei nicht helfen", "nicht weiterhelfen", "nicht beantworten", "als ki",
    "ne peux pas vous aider", "ne peux pas t'aider", "ne peux pas aider", "ne peux pas répondre", "ne suis pas en mesure",
    "no puedo ayudar", "no puedo responder", "lo siento, pero no", "non posso aiutar", "non posso rispondere",
    "mi dispiace, ma non", "não posso ajudar", "não consigo ajudar", "não posso responder", "kan ik niet helpen",
    "kan u niet helpen", "niet mee helpen", "kan ikke hjelpe", "kan ikke hjælpe", "kan inte hjälpa", "en voi auttaa",
    "nie mogę pomóc", "nie mogę odpowiedzieć", "nemohu pomoci", "nemohu vám pomoci", "yardımcı olamam", "yardımcı olamıyorum",
    "tidak dapat membantu", "không thể giúp", "не могу помочь", "не могу ответить", "не можу допомогти", "لا أستطيع مساعد",
    "לא יכול לעזור", "मदद नहीं कर सकता", "お手伝いできません", "お答えできません", "도와드릴 수 없", "답변할 수 없", "无法帮助", "无法回答",
    "無法幫助", "不能回答",
)  # fmt: skip
_ASCII_DECLINES = tuple(phrase for phrase in _DECLINES if phrase.isascii())
_ANSWERED = 140
"""Characters within which a text that declines to answer says so."""


def language(beginning: str) -> str | None:
    """The language of a text from its first few hundred characters; None where they are too few to say.

    >>> language("Where is my parcel? It was sent on Monday."), language("Wo ist mein Paket? Ich habe es nicht bekommen.")
    ('en', 'de')
    >>> language("Где моя посылка?"), language("12 345") is None
    ('ru', True)
    """
    if not beginning.isascii():
        script = _script(beginning)
        if script is not None:
            return script
    words = beginning.lower().split()
    common = _PLACES.keys() & words
    if len(common) < 3:  # punctuation may hide some: look again, more slowly
        words = [word.strip(_STRIPPED) for word in words]
        common = _PLACES.keys() & words
    best, hits, tied = _most(sum(map(_PLACES.__getitem__, common)))
    if not hits or tied or (hits < 2 and len(words) >= _LONG):
        return UNCLEAR if len(words) >= (2 if hits else 1) * _LONG else None
    return best


def declines(beginning: str) -> bool:
    """Whether a text says at its beginning that it will not or cannot help, in one of twenty languages.

    >>> declines("I'm sorry, but I can't help with that."), declines("Dabei kann ich nicht helfen."), declines("Sorry for the delay!")
    (True, True, False)
    """
    lowered = beginning[:_ANSWERED].lower()
    phrases = _ASCII_DECLINES if lowered.isascii() else _DECLINES
    return any(phrase in lowered for phrase in phrases)


@lru_cache(maxsize=65_536)
def _most(places: int) -> tuple[str, int, bool]:
    """The language with most common words, how many, and whether another has as many."""
    counts = places.to_bytes(len(_CODES), "little")
    most = max(counts)
    return _CODES[counts.index(most)], most, counts.count(most) > 1


def _script(text: str) -> str | None:
    """The language of the script that most letters beyond Latin are in; None where Latin ones are the more."""
    counts: dict[str, int] = {}
    foreign = 0
    for letter in text[:120]:
        point = ord(letter)
        if point >= 0x0370:
            for code, low, high in _SCRIPTS:
                if low <= point <= high:
                    counts[code] = counts.get(code, 0) + 1
                    foreign += 1
                    break
    if foreign * 2 < sum(letter.isalpha() for letter in text[:120]) or not counts:
        return None
    # Japanese has Chinese characters between its own: a fifth of kana settle it.
    return "ja" if counts.get("ja", 0) >= 0.2 * foreign else max(counts, key=counts.__getitem__)
