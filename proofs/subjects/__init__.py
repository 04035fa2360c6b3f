"""The proofs, one file a subject."""
