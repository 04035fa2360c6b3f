"""What must hold of a running platform, one file a subject."""
