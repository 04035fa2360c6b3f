"""Training on several nodes at once: Kubeflow Trainer, JobSet and the MPI Operator."""
