"""PostgreSQL in a guest: shell scripts that make its files, serve it, and ask whether it takes statements.

The one thing to know: the guest image is made with `PREPARE` done, since an emulated guest takes minutes for it; what
it says is part of the recipe that the image is cached by.
"""

from __future__ import annotations

from drivers import ledger as client

FOLDER = "/var/lib/postgresql/ledger"
_POSTGRES = """
PATH=$PATH:$(echo /usr/lib/postgresql/*/bin)
run() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
cd / && umask 077
"""
# $1 = folder. A new folder gets a database and its tables. The image has one; in an emulated guest it takes minutes.
PREPARE = _POSTGRES + f"""
[ ! -e "$1/ready" ] || exit 0
rm -rf "$1"
run initdb -D "$1" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >&2 || exit 1
echo 'host all all 0.0.0.0/0 trust' >>"$1/pg_hba.conf"
run postgres --single -D "$1" -j postgres >/dev/null <<'END' || exit 1
{client.SCHEMA.strip().replace(chr(10), chr(10) * 2)}

END
sync
: >"$1/ready"
sync
"""
# $1 = folder, $2 = port. The script stays until the server has ended: whoever may not look at processes of other users
# (in a container) finds the script, and SIGTERM makes it end the server, without waiting for its clients. After a crash
# the server's lock file names a process that is gone.
SERVE = f"""({PREPARE}) || exit 1
{_POSTGRES}
pgrep -x postgres >/dev/null || rm -f "$1/postmaster.pid"
setpriv --reuid=postgres --regid=postgres --init-groups postgres -D "$1" -p "$2" -c listen_addresses='*' \\
  -c unix_socket_directories= -c jit=off -c shared_buffers=32MB -c max_connections=30 -c fsync=on \\
  -c synchronous_commit=on -c full_page_writes=on -c deadlock_timeout=200ms &
server=$!
trap 'kill -INT $server 2>/dev/null' TERM INT
wait $server
code=$?
while kill -0 $server 2>/dev/null; do wait $server; code=$?; done
exit $code
"""
READY = 'exec $(echo /usr/lib/postgresql/*/bin/pg_isready) -h 127.0.0.1 -p "$1"'
