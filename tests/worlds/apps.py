"""All simulated apps by name."""

from __future__ import annotations

from functools import cache

from .app import App
from .apps_care import Triage, Turbine, Vision
from .apps_money import Bare, Fraud, Loans
from .apps_place import Bikes, Grid, Parcel
from .apps_real import CarLoan, Taxi, folder
from .apps_shop import Churn, Insurance, Wide
from .apps_sparse import Shelf, Water
from .apps_text import SupportBot
from .apps_web import Ads, ScoreOnly, Search

CLASSES: tuple[type[App], ...] = (
    Fraud,
    Loans,
    Bare,
    Grid,
    Bikes,
    Parcel,
    Ads,
    Churn,
    Search,
    Insurance,
    Wide,
    ScoreOnly,
    Triage,
    Turbine,
    Vision,
    SupportBot,
    Water,
    Shelf,
)
if folder() is not None:
    CLASSES += (Taxi, CarLoan)
NAMES: tuple[str, ...] = tuple(a.name for a in CLASSES)


@cache
def app(name: str) -> App:
    """The app of that name; its models are trained once a process."""
    return next(a for a in CLASSES if a.name == name)()
