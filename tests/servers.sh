#!/bin/sh
# See LICENSE for copyright and license details.
#
# fdaccept with servers as they are, none of them changed or patched, each
# listening on a unix socket behind one fdproxy; and the example for Go, which
# fdaccept cannot serve.  Those that are not installed
# are left out.  "part" are those that by themselves have no keep-alive, or ask
# no connection of a unix socket for its address.  Needs curl and ab.
#
#	servers.sh [how many at least must do everything]
set -eu
minimum=${1:-0}
top=$(pwd)
dir=$(mktemp -d)
pids=
trap 'kill $pids 2>/dev/null || :; wait; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
cd "$dir"

die() {
	echo "FAIL  $*"
	exit 1
}

# As a client that no server can have invented.
from=127.0.0.2
fetch() { curl -sS -m 60 --interface $from -H Expect: "$@"; }

# ---- the servers: GET answers the client's address, POST the body's MD5 ----

cat >app.py <<'S'
import hashlib

def app(environ, start):
    if environ['REQUEST_METHOD'] == 'POST':
        body = environ['wsgi.input'].read(int(environ['CONTENT_LENGTH']))
        answer = hashlib.md5(body).hexdigest()
    else:
        answer = environ['REMOTE_ADDR']
    start('200 OK', [('Content-Length', str(len(answer)))])
    return [answer.encode()]

async def asgi(scope, receive, send):
    if scope['type'] != 'http':
        return
    digest, more = hashlib.md5(), True
    while more:
        message = await receive()
        digest.update(message['body'])
        more = message['more_body']
    answer = (digest.hexdigest() if scope['method'] == 'POST'
              else scope['client'][0])
    await send({'type': 'http.response.start', 'status': 200, 'headers':
                [(b'content-length', b'%d' % len(answer))]})
    await send({'type': 'http.response.body', 'body': answer.encode()})
S
cat >aio.py <<'S'
import hashlib, sys
from aiohttp import web

async def answer(request):
    if request.method == 'POST':
        return web.Response(text=hashlib.md5(await request.read()).hexdigest())
    return web.Response(text=request.remote)

app = web.Application(client_max_size=2 ** 21)
app.router.add_route('*', '/{path:.*}', answer)
web.run_app(app, path=sys.argv[1], print=None)
S
cat >app.js <<'S'
const crypto = require('crypto'), http = require('http');
http.createServer((req, res) => {
  const hash = crypto.createHash('md5');
  req.on('data', (part) => hash.update(part));
  req.on('end', () => res.end(req.method === 'POST' ? hash.digest('hex')
    : String(req.socket.remoteAddress)));
}).listen(process.argv[2]);
S
cat >app.ru <<'S'
require 'digest'
run lambda { |env|
  answer = if env['REQUEST_METHOD'] == 'POST'
    Digest::MD5.hexdigest(env['rack.input'].read)
  else
    env['puma.socket'].remote_address.ip_address + ' ' + env['REMOTE_ADDR']
  end
  [200, { 'Content-Length' => answer.bytesize.to_s }, [answer]]
}
S
cat >nginx.conf <<S
daemon off;
pid $dir/nginx.pid;
error_log stderr;
worker_processes 2;
$(test "$(id -u)" -ne 0 || echo 'user root root;')
events { worker_connections 512; }
http {
	access_log off;
	client_max_body_size 2m;
	client_body_temp_path $dir/nginx.1;
	proxy_temp_path $dir/nginx.2;
	fastcgi_temp_path $dir/nginx.3;
	uwsgi_temp_path $dir/nginx.4;
	scgi_temp_path $dir/nginx.5;
	server {
		listen unix:$dir/nginx;
		location / {
			if (\$request_method = GET) {
				return 200 \$remote_addr;
			}
			rewrite ^ /nginx.body break;
			proxy_method PUT;
			proxy_pass http://unix:$dir/inner;
		}
	}
	server {
		listen unix:$dir/inner;
		location / {
			dav_methods PUT;
			root $dir;
		}
	}
}
S
cat >app.cgi <<'S'
#!/bin/sh
printf '\n'
if [ "$REQUEST_METHOD" = POST ]; then
	head -c "$CONTENT_LENGTH" | md5sum
else
	printf %s "$REMOTE_ADDR"
fi
S
chmod 755 app.cgi
cat >lighttpd.conf <<S
server.document-root = "$dir"
server.bind = "$dir/lighttpd"
server.modules = ("mod_alias", "mod_cgi")
server.upload-dirs = ("$dir")
alias.url = ("/lighttpd" => "$dir/app.cgi")
cgi.assign = ("app.cgi" => "")
S
cat >h2o.conf <<S
listen:
  type: unix
  port: $dir/h2o
num-threads: 2
hosts:
  default:
    paths:
      /:
        mruby.handler: |
          lambda { |env|
            answer = if env['REQUEST_METHOD'] == 'POST'
              env['rack.input'].read
            else
              env['REMOTE_ADDR']
            end
            [200, {}, [answer]]
          }
S

# launch NAME COMMAND ...: the command, with fdaccept.
launch() {
	name=$1
	shift
	"$top/fdaccept" "$@" >$name.err 2>&1 &
	pids="$pids $!"
}

# python NAME: whether Debian's Python has that module
python() { /usr/bin/python3 -c "import $1" 2>/dev/null; }

# start NAME: false if it is not installed
start() {
	case $1 in
	aiohttp)
		python aiohttp || return
		launch $1 /usr/bin/python3 aio.py $1 ;;
	go)
		command -v go >/dev/null || return
		GO111MODULE=off go build -o go.server \
		    "$top/examples/http_server.go" || die "go build"
		./go.server $1 >$1.err 2>&1 &
		pids="$pids $!" ;;
	gunicorn)
		command -v gunicorn >/dev/null || return
		launch $1 gunicorn -k gthread --threads 4 -w 2 \
		    --bind unix:$1 app:app ;;
	gunicorn-sync)
		command -v gunicorn >/dev/null || return
		launch $1 gunicorn -w 2 --bind unix:$1 app:app ;;
	h2o)
		command -v h2o >/dev/null || return
		launch $1 h2o -c h2o.conf ;;
	lighttpd)
		command -v lighttpd >/dev/null || return
		launch $1 lighttpd -D -f lighttpd.conf ;;
	nginx)
		command -v nginx >/dev/null || return
		FDACCEPT=$dir/nginx launch $1 nginx -c "$dir/nginx.conf" ;;
	node)
		command -v node >/dev/null || return
		launch $1 node app.js $1 ;;
	puma)
		command -v puma >/dev/null || return
		launch $1 puma -q -b "unix://$dir/$1" app.ru ;;
	uvicorn)
		command -v uvicorn >/dev/null || return
		launch $1 uvicorn --no-access-log --loop asyncio --uds $1 \
		    app:asgi ;;
	uvicorn-uvloop)
		command -v uvicorn >/dev/null && python uvloop || return
		launch $1 uvicorn --no-access-log --loop uvloop --uds $1 \
		    app:asgi ;;
	uwsgi)
		test -f /usr/lib/uwsgi/plugins/python3_plugin.so || return
		launch $1 uwsgi --plugin python3 --http11-socket $1 --master \
		    --processes 2 --die-on-term --module app:app ;;
	waitress)
		command -v waitress-serve >/dev/null || return
		launch $1 waitress-serve --unix-socket=$1 app:app ;;
	esac
}

# ---- the checks ----

# The MD5 of the body as it has arrived.  nginx can but store it, Go's example
# sends it back, and this h2o's digests are wrong for "abc", on a port as well.
posted() {
	case $1 in
	nginx)
		fetch --data-binary @body $url/$1/ && md5sum <nginx.body ;;
	go | h2o)
		fetch --data-binary @body $url/$1/ | md5sum ;;
	*)
		fetch --data-binary @body $url/$1/ ;;
	esac | cut -c1-32
}

# check NAME: GET, POST, what is no hand-off, a crowd; what it says is told of
# keep-alive and of the address.
check() {
	address=$(fetch -f $url/$1/) || die "$1: GET: $(cat $1.err)"
	test "$(posted $1)" = "$digest" || die "$1: POST of 1 MiB"
	address=${address%%:*}		# Go's example says more
	keep=$(fetch -w '%{num_connects}%{http_code} ' -o a $url/$1/a \
	    -o b $url/$1/b)
	case $keep in
	'1200 0200 ') keep=keep-alive ;;
	'1200 1200 ') keep="no keep-alive" ;;
	*) die "$1: keep-alive: $keep" ;;
	esac
	i=0
	while [ $((i += 1)) -le 20 ]; do
		curl -s -m 10 --unix-socket $1 http://x/ >/dev/null &&
		    die "$1: served what is no client of fdproxy"
	done
	ab -q -n 1000 -c 32 $url/$1/ >ab.out 2>&1 || die "$1: $(cat ab.out)"
	grep -q '^Failed requests: *0$' ab.out || die "$1: $(cat ab.out)"
	grep -q '^Non-2xx' ab.out && die "$1: $(cat ab.out)"
	rate=$(sed -n 's/^Requests per second: *\([0-9]*\).*/\1/p' ab.out)
	if [ "$address" = $from ] && [ "$keep" = keep-alive ]; then
		test $1 = go || passed=$((passed + 1))
		echo "ok    $1: $address, $keep, $rate/s"
	else
		echo "part  $1: \"$address\", $keep, $rate/s"
	fi
}

all="aiohttp go gunicorn gunicorn-sync h2o lighttpd nginx node puma uvicorn
uvicorn-uvloop uwsgi waitress"
for name in $all; do
	echo "ProxyPass /$name fd://$name flusher=none wait=10s"
done >conf
head -c 1048576 /dev/urandom >body
digest=$(md5sum <body | cut -c1-32)
"$top/fdproxy" -1 -l 127.0.0.1:0 -f conf >port 2>fdproxy.err &
pids="$pids $!"
until [ -s port ]; do
	kill -0 $! || die "fdproxy: $(cat fdproxy.err)"
done
url=http://127.0.0.1:$(sed 's/.*://' port)

passed=0
for name in $all; do
	if start $name; then
		check $name
	else
		echo "(no $name: left out)"
	fi
done
test -s fdproxy.err && die "fdproxy says: $(cat fdproxy.err)"

# A container's entry point: all of it is one command, with the port aside.
if command -v gunicorn >/dev/null; then
	for entry in "-r /=$dir/app.sock,flusher=none -- $top/fdaccept \
	    gunicorn --bind unix:$dir/app.sock app:app" \
	    "-r /=:child,flusher=none -- $top/fdaccept gunicorn app:app"; do
		rm -f port
		"$top/fdproxy" -1 -l 127.0.0.1:0 $entry >port 2>entry.err &
		entry_pid=$!
		pids="$pids $entry_pid"
		until [ -s port ]; do
			kill -0 $entry_pid || die "entry: $(cat entry.err)"
		done
		url=http://127.0.0.1:$(sed -n 's/^127.*://p' port | head -n 1)
		test "$(curl -sS --interface $from $url/)" = $from ||
		    die "entry: $(cat entry.err)"
		kill $entry_pid
		wait $entry_pid || die "entry: status $?: $(cat entry.err)"
	done
	echo "ok    fdproxy ... fdaccept gunicorn, by a path and as :child"
fi
echo "$passed unmodified servers with everything; $minimum were wanted"
test $passed -ge $minimum
