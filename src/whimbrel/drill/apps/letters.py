"""What people write to a shop about their parcels, and what the shop's rules say: three languages, all of it made up here.

Pure: no chance, no files.
"""

from __future__ import annotations

from typing import NamedTuple

LANGUAGES = ("en", "fr", "nl")
INTENTS = ("where", "refund", "cancel", "address", "damaged", "invoice")
ASKED = {
    "en": {
        "where": ("my parcel {o} has not arrived yet, can you tell me where it is?", "where is order {o}?"),
        "refund": ("I sent back order {o} and would like my money back.", "please refund {o}, it was returned last week."),
        "cancel": ("I want to cancel {o} before it is sent.", "please stop order {o}, I ordered it twice."),
        "address": ("I have moved, please send {o} to my new address.", "the address of {o} is wrong, can it be changed?"),
        "damaged": ("the box of {o} was open and the lamp in it is broken.", "{o} arrived in pieces, what now?"),
        "invoice": ("I need the invoice of {o} for my taxes.", "can you send me the bill of {o} again?"),
    },
    "fr": {
        "where": ("mon colis {o} n'est pas encore arrivé, pouvez-vous me dire où il est ?", "où est la commande {o} ?"),
        "refund": ("j'ai renvoyé la commande {o} et je voudrais être remboursé.", "merci de rembourser {o}, le retour est fait."),
        "cancel": ("je veux annuler {o} avant son envoi.", "merci d'arrêter la commande {o}, elle est en double."),
        "address": ("j'ai déménagé, merci d'envoyer {o} à ma nouvelle adresse.", "l'adresse de {o} est fausse, que faire ?"),
        "damaged": ("le carton de {o} était ouvert et la lampe est cassée.", "{o} est arrivé en morceaux, que faire ?"),
        "invoice": ("il me faut la facture de {o} pour mes impôts.", "pouvez-vous renvoyer la facture de {o} ?"),
    },
    "nl": {
        "where": ("mijn pakket {o} is er nog niet, kunt u zeggen waar het is?", "waar is bestelling {o}?"),
        "refund": ("ik heb {o} teruggestuurd en wil graag mijn geld terug.", "graag {o} terugbetalen, het is al retour."),
        "cancel": ("ik wil {o} annuleren voordat het wordt verstuurd.", "graag bestelling {o} stoppen, die is dubbel."),
        "address": ("ik ben verhuisd, stuur {o} naar mijn nieuwe adres.", "het adres van {o} klopt niet, kan dat anders?"),
        "damaged": ("de doos van {o} was open en de lamp is kapot.", "{o} kwam in stukken aan, wat nu?"),
        "invoice": ("ik heb de factuur van {o} nodig voor de belasting.", "kunt u de factuur van {o} nog eens sturen?"),
    },
}  # fmt: skip
CUES = {
    "where": ("arrived", "where is", "arrivé", "où est", "waar", "er nog niet"),
    "refund": ("refund", "money back", "rembours", "terugbetalen", "geld terug"),
    "cancel": ("cancel", "stop order", "annuler", "arrêter", "annuleren", "stoppen"),
    "address": ("address", "moved", "adresse", "déménagé", "adres", "verhuisd"),
    "damaged": ("broken", "in pieces", "cassée", "morceaux", "kapot", "stukken"),
    "invoice": ("invoice", "the bill", "facture", "factuur"),
}
"""By what a letter's wish is known."""
GREETINGS = {
    "en": ("", "Hello, ", "Dear team, ", "Second time I write: "),
    "fr": ("", "Bonjour, ", "Chère équipe, ", "Je vous écris à nouveau : "),
    "nl": ("", "Hallo, ", "Beste team, ", "Ik schrijf nog eens: "),
}
CLOSINGS = {
    "en": ("", " Thanks, {n}", " Kind regards, {n}"),
    "fr": ("", " Merci, {n}", " Cordialement, {n}"),
    "nl": ("", " Dank u, {n}", " Groeten, {n}"),
}
NAMES = ("Amir", "Bente", "Chloé", "Daan", "Emma", "Farid", "Greta", "Hugo", "Inès", "Joris")
RULES = {
    "where": "A parcel that is {days} days late is traced by the carrier within two working days.",
    "refund": "Money goes back to the same card within five working days after the return is scanned.",
    "cancel": "An order can be cancelled until it leaves the warehouse; after that it has to be returned.",
    "address": "The address can be changed until the parcel has the status shipped.",
    "damaged": "Damage is replaced or paid back when it is told within fourteen days, with a photograph.",
    "invoice": "Invoices are in the account under orders and are sent again by mail on demand.",
}
REPLIES = {
    "en": {
        "where": "Your order {o} is {status}. It is {days} days late; we have asked the carrier to trace it.",
        "refund": "We have received your return of {o}. {amount} euro will be back on your card within five working days.",
        "cancel": "Order {o} is {status}. We have stopped it where that was still possible.",
        "address": "We have noted your new address for {o}, which is {status}.",
        "damaged": "We are sorry that {o} was damaged. You get {amount} euro back, or a new lamp if you prefer.",
        "invoice": "The invoice of {o} over {amount} euro is on its way to your mailbox.",
    },
    "fr": {
        "where": "Votre commande {o} est {status}. Elle a {days} jours de retard ; le transporteur la cherche pour vous.",
        "refund": "Nous avons reçu le retour de {o}. Les {amount} euros seront sur votre carte dans cinq jours.",
        "cancel": "La commande {o} est {status}. Nous l'avons arrêtée si c'était encore possible.",
        "address": "Nous avons noté votre nouvelle adresse pour {o}, qui est {status}.",
        "damaged": "Nous sommes désolés pour {o}. Vous recevez {amount} euros, ou une lampe neuve si vous préférez.",
        "invoice": "La facture de {o} de {amount} euros est en route vers votre boîte.",
    },
    "nl": {
        "where": "Uw bestelling {o} is {status}. Het is {days} dagen te laat; wij hebben de vervoerder gevraagd te zoeken.",
        "refund": "Wij hebben uw retour van {o} ontvangen. U krijgt {amount} euro terug op uw kaart.",
        "cancel": "Bestelling {o} is {status}. Wij hebben die gestopt als dat nog kon.",
        "address": "Wij hebben uw nieuwe adres voor {o} genoteerd, die is {status}.",
        "damaged": "Het spijt ons van {o}. U krijgt {amount} euro terug, of een nieuwe lamp als u wilt.",
        "invoice": "De factuur van {o} over {amount} euro is naar u onderweg.",
    },
}  # fmt: skip
MORE = {
    "en": ("Is there anything else that we can do for you?", "You can answer to this mail at any time."),
    "fr": ("Pouvons-nous faire autre chose pour vous ?", "Vous pouvez répondre à ce message."),
    "nl": ("Kunnen wij nog iets voor u doen?", "U kunt altijd op dit bericht antwoorden."),
}
UNKNOWN = {
    "en": "Could you tell us the number of your order, please?",
    "fr": "Pouvez-vous nous donner le numéro de votre commande ?",
    "nl": "Kunt u ons het nummer van uw bestelling geven?",
}
DECLINED = {
    "en": "I cannot help with this request; a colleague will answer you.",
    "fr": "Je ne peux pas vous aider sur ce point ; un collègue va vous répondre.",
    "nl": "Ik kan u hier niet mee helpen; een collega antwoordt u.",
}
PREAMBLE = (
    "You are the shop's assistant.",
    "Answer in the language of the letter.",
    "Promise nothing that the rules do not allow.",
)


class Letter(NamedTuple):
    """Who writes what."""

    intent: str
    language: str
    order: str
    form: int
    greeting: int
    closing: int
    name: str

    def text(self, numbered: bool) -> str:
        """The letter; whoever forgets the number of the order says "my order"."""
        mine = {"en": "my order", "fr": "ma commande", "nl": "mijn bestelling"}[self.language]
        body = ASKED[self.language][self.intent][self.form].format(o=self.order if numbered else mine)
        greeting = GREETINGS[self.language][self.greeting]
        closing = CLOSINGS[self.language][self.closing].format(n=self.name)
        return (greeting + body if greeting else body[0].upper() + body[1:]) + closing
