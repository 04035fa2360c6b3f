"""How a bare machine gets an engine, a cluster and images. Knows nothing of the platform's components."""
