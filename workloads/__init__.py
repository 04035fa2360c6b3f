"""Reference workloads: plain programs that run in pods."""
