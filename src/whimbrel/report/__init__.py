"""Pure renderers: a result goes in, text, JSON, HTML or SVG comes out. No file, clock, socket or randomness.

In: `model.report.Report`, and the `to_dict()` form of other results (a comparison, an import, a status, a drill).
Out: strings. `text` and `answers` draw for a terminal, `json` for programs, `html` for a browser (`page`) or a notebook
(`fragment`), `svg` the charts of a page. Recorded text is hostile everywhere: `words.visible` makes
control and bidi characters readable, templates escape the rest. `cli/`, `drill/` and `server/` may call, and results
for their `_repr_html_`.
"""
