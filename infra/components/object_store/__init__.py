"""The object store: buckets behind the S3 protocol."""
