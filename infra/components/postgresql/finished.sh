#!/bin/sh
# Sourced or run by the image's entry point after the first start has made the data folder.
touch "$PGDATA.complete"
