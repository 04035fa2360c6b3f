"""Trino: SQL over Iceberg tables in the object store, over PostgreSQL, and over generated TPC-H data."""
