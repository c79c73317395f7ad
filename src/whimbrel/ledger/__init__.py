"""The ledger: evidence that a stranger can check, in the public C2SP formats.

In: what the log took in. Out: a signed, append-only Merkle log of salted commitments, evidence of one prediction, and verdicts.
`merkle/` has trees, tiles, notes and proofs, pure. `disk`, `keys`, `writer` and `reader` are the ledger on the disk; `entries` says what
an entry is, `forms` how a prediction's is spelt, `sequencer` makes them of the log's rows, `follow` goes on; `prove` makes evidence, `bundle`, `verdicts`,
`audit` and `values` check, `alone` puts the checker into one file; `witness` and `witnessed`, `stamps` and `stamped` are what others say; `lifecycle`
begins, renames, changes keys; `erase`, `export`, `retention`, `risk` and `energy` answer. `cli/` calls. docs/ledger.md specifies all of it.
"""
