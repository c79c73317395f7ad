"""Planted train/serve skews, and how many of them parity finds: the scoreboard of replay.

Three recorded apps (`loans`: a scikit-learn pipeline, `parcels`: hand-written steps, `tickets`: an ONNX model behind a
tokenizer) serve seeded data, each once as it was trained and once for each skew. `table` says what is changed and what
must be found, `heldout` holds skews that no one tuned for, `worlds` records and judges. `python -m tests.replay.skews` prints the score.
"""
