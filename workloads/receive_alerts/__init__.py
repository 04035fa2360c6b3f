"""Receives what Alertmanager sends, keeps it, and notices when nothing comes any more."""
