#!/bin/sh
# Starts the image's own entry point, after putting aside a data folder whose making was cut off: the entry point
# takes any folder with a PG_VERSION for a whole one, and a killed first start leaves a half one.
# finished.sh, which the entry point runs last, leaves the mark.
set -eu
if [ -d "$PGDATA" ] && [ ! -e "$PGDATA.complete" ]; then
  mv "$PGDATA" "$PGDATA.incomplete.$(date +%s)"
fi
exec docker-entrypoint.sh "$@"
