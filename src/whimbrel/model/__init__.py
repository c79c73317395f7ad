"""The nouns: frozen values that every room speaks in. No file, clock, socket or randomness in here.

In: nothing. Out: `Field` and `Schema` (what a prediction is made of), `Window` and `Condition` (which predictions),
`Event` (what happened around them), `Rows` (predictions as columns), `Report` (what a diagnosis answers).
Anyone may import these; this room imports nothing but `errors`.
"""
