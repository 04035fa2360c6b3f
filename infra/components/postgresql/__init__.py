"""PostgreSQL: the one database server of the platform."""
