"""Certificates: cert-manager, and the platform's own authority."""
