"""Worlds: simulated apps, what nature and faults do to them, and the exam that a diagnosis sits on them.

In: an app's name, the name of a fault or of a natural change, a seed. Out: a golden table, a window, events, the
truth.
Nothing in here knows how a diagnosis is made, and nothing in `src/` may import it.
"""
