"""What must hold of a running platform, one file a subject.

A proof is a function `(platform, check)` with `@proof(...)`; it asserts with `check(...)`. A proof that
asserts nothing fails, one that skips says why. `proofs.run.prove` runs them, `proofs.report` writes what came
out.
"""
