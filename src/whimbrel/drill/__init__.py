"""Break something tiny on purpose, and score how well it is found: in six apps of our own, or in the user's.

    apps ─▶ world: requests, an app, hosts, luck ─┐
    values ─▶ kinds ─▶ faults ─▶ plant ───────────┼─▶ case (golden, window, events, truth) ─▶ run ─▶ grade ─▶ score ─▶ board
    natural ──────────────────────────────────────┘      │ └── declared: its code again          ├── floors: simple rules beside it
    own ─▶ userapp: the user's recorded app ──────▶ run   └─▶ live: one by one, recorded ─▶ demo   └── kept: a killed drill goes on

In: an app's name (`apps.NAMES`), a fault's name, a seed. Out: `case.case` gives two tables and the truth about them,
`run.run` a `Score`, `userapp.drill_log` a `UserDrill`, `demo.run` a story with a page. `cli/` and tests may call; nothing below
this floor does. A new app is a `world.Subject`: requests, steps, a model, and a list of what can break in it.
"""
