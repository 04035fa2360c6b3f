"""The Prometheus Operator, Prometheus and Alertmanager."""
