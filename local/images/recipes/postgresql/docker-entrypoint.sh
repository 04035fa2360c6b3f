#!/bin/bash
# Makes the data folder on the first start, then runs the command: what docker.io/library/postgres promises of its
# entry point, in short. Variables: POSTGRES_PASSWORD, POSTGRES_USER, POSTGRES_DB, POSTGRES_INITDB_ARGS (each also
# as NAME_FILE), POSTGRES_HOST_AUTH_METHOD, PGDATA. Files in /docker-entrypoint-initdb.d run once, in order.
set -eo pipefail
shopt -s nullglob

from_file() { # NAME DEFAULT: $NAME, else the content of the file $NAME_FILE, else DEFAULT
  local file="${1}_FILE"
  if [ -n "${!1:-}" ] && [ -n "${!file:-}" ]; then
    echo "error: both $1 and $file are set; set one" >&2
    exit 1
  fi
  local value="${!1:-$2}"
  if [ -n "${!file:-}" ]; then value="$(<"${!file}")"; fi
  export "$1=$value"
  unset "$file"
}

read_settings() {
  from_file POSTGRES_PASSWORD ""
  from_file POSTGRES_USER postgres
  from_file POSTGRES_DB "$POSTGRES_USER"
  from_file POSTGRES_INITDB_ARGS ""
  : "${POSTGRES_HOST_AUTH_METHOD:=}"
}

make_folders() {
  mkdir -p "$PGDATA" /var/run/postgresql
  chmod 00700 "$PGDATA" || :
  chmod 03775 /var/run/postgresql || :
  if [ "$(id -u)" = 0 ]; then
    find "$PGDATA" /var/run/postgresql \! -user postgres -exec chown postgres '{}' +
  fi
}

require_password() {
  if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
    echo "error: the database is new and has no superuser password: set POSTGRES_PASSWORD to a non-empty value" >&2
    exit 1
  fi
}

make_database() {
  eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") '"$POSTGRES_INITDB_ARGS"
  local method="$POSTGRES_HOST_AUTH_METHOD"
  if [ -z "$method" ]; then method="$(postgres -C password_encryption "${@:2}")"; fi
  printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"
}

sql() { psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" --no-password --dbname "$@"; }

run_init_files() {
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    echo "$0: $file"
    case "$file" in
      *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
      *.sql) sql "$POSTGRES_DB" -f "$file" ;;
      *.sql.gz) gunzip -c "$file" | sql "$POSTGRES_DB" ;;
      *) echo "$0: ignored" ;;
    esac
  done
}

first_start() {
  require_password
  make_database "$@"
  export PGPASSWORD="$POSTGRES_PASSWORD"
  pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -p 5432" -w start
  if [ "$POSTGRES_DB" != postgres ]; then
    sql postgres -v name="$POSTGRES_DB" <<< 'CREATE DATABASE :"name";'
  fi
  run_init_files
  pg_ctl -D "$PGDATA" -m fast -w stop
  unset PGPASSWORD
}

if [ "${1:0:1}" = - ]; then set -- postgres "$@"; fi
if [ "$1" = postgres ]; then
  read_settings
  make_folders
  if [ "$(id -u)" = 0 ]; then
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
  fi
  if [ ! -s "$PGDATA/PG_VERSION" ]; then first_start "$@"; fi
fi
exec "$@"
