#!/bin/sh
# See LICENSE for copyright and license details.
#
# fdaccept with servers as they are, none of them changed or patched, behind one
# fdproxy: on a unix socket of their own, or at a TCP port that fdaccept makes
# one (-p); and the example for Go, which fdaccept cannot serve.  Those that are
# not installed are left out.  Each is asked for the client's address, given 1
# MiB, asked by 32 at once, and tempted to answer a second request of a
# connection; its line says what it did.  Needs curl, ab and Python.
#
#	servers.sh [how many at least [how many of them by -p]]
set -eu
minimum=${1:-0}
minimum_port=${2:-0}
. tests/scratch.sh
cd "$dir"

# As a client that no server can have invented.
from=127.0.0.7
fetch() { curl -sS -m 400 --interface $from -H Expect: "$@"; }

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
    if scope['type'] == 'websocket':
        await receive()
        await send({'type': 'websocket.accept'})
        while True:
            message = await receive()
            if message['type'] == 'websocket.disconnect':
                return
            await send({'type': 'websocket.send', 'text': message['text']})
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

async def echo(request):
    ws = web.WebSocketResponse(max_msg_size=2 ** 21)
    await ws.prepare(request)
    async for message in ws:
        await ws.send_str(message.data)
    return ws

app = web.Application(client_max_size=2 ** 21)
app.router.add_route('GET', '/{path:.*}/echo', echo)
app.router.add_route('*', '/{path:.*}', answer)
if sys.argv[1].isdigit():
    web.run_app(app, host='127.0.0.1', port=int(sys.argv[1]), print=None)
else:
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
cat >cluster.js <<'S'
const cluster = require('cluster');
if (cluster.isMaster) { cluster.fork(); cluster.fork(); }
else require('./app.js');
S
cat >app.ru <<'S'
require 'digest'
run lambda { |env|
  answer = if env['REQUEST_METHOD'] == 'POST'
    Digest::MD5.hexdigest(env['rack.input'].read)
  else
    env['REMOTE_ADDR']
  end
  [200, { 'Content-Length' => answer.bytesize.to_s }, [answer]]
}
S
cat >webrick.rb <<'S'
require 'digest'
require 'webrick'
log = WEBrick::Log.new($stderr, WEBrick::Log::FATAL)
server = WEBrick::HTTPServer.new(BindAddress: '127.0.0.1', Port: 3000,
                                 Logger: log, AccessLog: [])
server.mount_proc '/' do |req, res|
  res.body = req.request_method == 'POST' ? Digest::MD5.hexdigest(req.body) :
    req.peeraddr[3]
end
trap('TERM') { server.shutdown }
server.start
S
cat >app.psgi <<'S'
use Digest::MD5;
sub {
    my ($env) = @_;
    my $answer = $env->{REMOTE_ADDR};
    if ($env->{REQUEST_METHOD} eq 'POST') {
        my $md5 = Digest::MD5->new;
        while ($env->{'psgi.input'}->read(my $part, 65536)) {
            $md5->add($part);
        }
        $answer = $md5->hexdigest;
    }
    [200, ['Content-Length' => length $answer], [$answer]];
};
S
cat >mojo.pl <<'S'
use Mojolicious::Lite -signatures;
use Digest::MD5 'md5_hex';
app->log->level('fatal');
any '/*rest' => { rest => '' } => sub ($c) {
    $c->render(text => $c->req->method eq 'POST' ? md5_hex($c->req->body)
        : $c->tx->remote_address);
};
app->start;
S
cat >app.php <<'S'
<?php
echo $_SERVER['REQUEST_METHOD'] === 'POST'
    ? md5(file_get_contents('php://input')) : $_SERVER['REMOTE_ADDR'];
S
cat >App.java <<'S'
import com.sun.net.httpserver.HttpServer;
import java.math.BigInteger;
import java.net.InetSocketAddress;
import java.security.MessageDigest;
import java.util.concurrent.Executors;

class App {
    public static void main(String[] args) throws Exception {
        HttpServer server = HttpServer.create(
            new InetSocketAddress("127.0.0.1", 3000), 0);
        server.createContext("/", exchange -> {
            String answer = exchange.getRemoteAddress().getAddress()
                .getHostAddress();
            try {
                byte[] body = exchange.getRequestBody().readAllBytes();
                if (exchange.getRequestMethod().equals("POST"))
                    answer = String.format("%032x", new BigInteger(1,
                        MessageDigest.getInstance("MD5").digest(body)));
            } catch (java.security.NoSuchAlgorithmException e) {
                answer = e.toString();
            }
            exchange.sendResponseHeaders(200, answer.length());
            exchange.getResponseBody().write(answer.getBytes());
            exchange.close();
        });
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.start();
    }
}
S
cat >app.erl <<'S'
-module(app).
-export([start/0, do/1]).
start() ->
    {ok, _} = application:ensure_all_started(inets),
    {ok, _} = inets:start(httpd, [{port, 3000}, {server_name, "app"},
        {server_root, "."}, {document_root, "."}, {modules, [app]},
        {bind_address, {127, 0, 0, 1}}]),
    receive stop -> ok end.
%% element 2: init_data, whose second is {port, address}; 7: method; 13: body
do(Mod) ->
    {_, Address} = element(2, element(2, Mod)),
    Answer = case element(7, Mod) of
        "POST" -> [io_lib:format("~2.16.0b", [B]) ||
            <<B>> <= erlang:md5(element(13, Mod))];
        _ -> Address
    end,
    {proceed, [{response, {200, lists:flatten(Answer)}}]}.
S
cat >twisted_app.py <<'S'
import hashlib
from twisted.internet import reactor
from twisted.web import resource, server

class App(resource.Resource):
    isLeaf = True

    def render_GET(self, request):
        return request.getClientAddress().host.encode()

    def render_POST(self, request):
        return hashlib.md5(request.content.read()).hexdigest().encode()

reactor.listenTCP(3000, server.Site(App()), interface='127.0.0.1')
reactor.run()
S
cat >tornado_app.py <<'S'
import asyncio, hashlib
from tornado import web, websocket

class Main(web.RequestHandler):
    def get(self, path):
        self.write(self.request.remote_ip)

    def post(self, path):
        self.write(hashlib.md5(self.request.body).hexdigest())

class Echo(websocket.WebSocketHandler):
    def on_message(self, message):
        self.write_message(message)

async def main():
    web.Application([('/.*/echo', Echo), ('/(.*)', Main)]).listen(
        3000, '127.0.0.1')
    await asyncio.Event().wait()

asyncio.run(main())
S
cat >cheroot_app.py <<'S'
from cheroot import wsgi
from app import app

wsgi.Server(('127.0.0.1', 3000), app).start()
S
cat >stdlib.py <<'S'
import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def answer(self, text):
        self.send_response(200)
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self):
        self.answer(self.client_address[0])

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        self.answer(hashlib.md5(body).hexdigest())

    def log_message(self, *args):
        pass

ThreadingHTTPServer(('127.0.0.1', 3000), Handler).serve_forever()
S
for mpm in event prefork; do
	cat >apache-$mpm.conf <<S
ServerRoot $dir
ServerName localhost
PidFile $dir/apache-$mpm.pid
DefaultRuntimeDir $dir
ErrorLog /dev/stderr
LogLevel crit
Listen 127.0.0.1:3000
LoadModule mpm_${mpm}_module /usr/lib/apache2/modules/mod_mpm_$mpm.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
LoadModule cgi_module /usr/lib/apache2/modules/mod_cgi.so
User $(test "$(id -u)" -ne 0 && id -un || echo nobody)
DocumentRoot $dir/www
Alias /apache-$mpm/static $dir/www/static
<Directory $dir/www>
	Require all granted
</Directory>
ScriptAlias /apache-$mpm $dir/app.cgi
S
done
for nginx in unix port; do
cat >nginx-$nginx.conf <<S
daemon off;
pid $dir/nginx-$nginx.pid;
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
		listen $(test $nginx = unix && echo unix:$dir/nginx ||
		    echo "3000 reuseport; listen [::]:3000 reuseport");
		location / {
			if (\$request_method = GET) {
				return 200 \$remote_addr;
			}
			rewrite ^ /nginx-$nginx.body break;
			proxy_method PUT;
			proxy_pass http://unix:$dir/inner-$nginx;
		}
	}
	server {
		listen unix:$dir/inner-$nginx;
		location / {
			dav_methods PUT;
			root $dir;
		}
	}
}
S
done
cat >app.cgi <<'S'
#!/bin/sh
printf 'Content-Type: text/plain\n\n'
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

# The port is no other's: fdaccept makes a unix socket of each.
port=3000

# launch NAME COMMAND ...: the command, with fdaccept; in a group of its own,
# since Apache ends its whole group.
launch() {
	name=$1
	shift
	setsid "$top/fdaccept" "$@" >$name.err 2>&1 &
	pids="$pids $!"
	echo $! >$name.started
}

# at_port NAME COMMAND ...: with its port in place of the socket NAME
at_port() {
	name=$1
	shift
	echo "$name by -p" >>ports
	launch $name -p $port=$name "$@"
}

# python NAME ...: whether Debian's Python has these modules
python() {
	for module; do
		/usr/bin/python3 -c "import $module" 2>/dev/null || return
	done
}
mpm() { test -f /usr/lib/apache2/modules/mod_mpm_$1.so; }

# How each is started; what follows the name must be there for it.  A server of
# a socket says so by "launch", one of a port by "at_port".
start() {
	case $1 in
	aiohttp)
		python aiohttp && launch $1 /usr/bin/python3 aio.py $1 ;;
	aiohttp-port)
		python aiohttp && at_port $1 /usr/bin/python3 aio.py $port ;;
	apache-event | apache-prefork)
		mpm ${1#apache-} && at_port $1 \
		    apache2 -DFOREGROUND -f $dir/$1.conf ;;
	cheroot)
		python cheroot && at_port $1 /usr/bin/python3 cheroot_app.py ;;
	daphne)
		have daphne && at_port $1 daphne -p $port app:asgi ;;
	go)
		have go || return
		GO111MODULE=off go build -o go.server \
		    "$top/examples/http_server.go" || die "go build"
		./go.server $1 >$1.err 2>&1 &
		pids="$pids $!" ;;
	gunicorn)
		have gunicorn && launch $1 gunicorn -w 2 --bind unix:$1 \
		    app:app ;;
	gunicorn-gthread)
		have gunicorn && launch $1 gunicorn -k gthread --threads 4 \
		    -w 2 --bind unix:$1 app:app ;;
	gunicorn-port)
		have gunicorn && at_port $1 gunicorn -k gthread --threads 4 \
		    -w 4 --reuse-port -b 127.0.0.1:$port -b "[::1]:$port" \
		    app:app ;;
	h2o)
		have h2o && launch $1 h2o -c h2o.conf ;;
	hypercorn)
		have hypercorn && at_port $1 hypercorn -b 127.0.0.1:$port \
		    app:asgi ;;
	inets)
		have erl && test -d /usr/lib/erlang/lib/inets-* || return
		erlc app.erl && at_port $1 erl -noshell -s app ;;
	java)
		have javac && javac App.java && at_port $1 java -Xmx128m App ;;
	lighttpd)
		have lighttpd && launch $1 lighttpd -D -f lighttpd.conf ;;
	mojolicious)
		perl -MMojolicious -e 1 2>/dev/null && at_port $1 perl \
		    mojo.pl daemon -m production -l http://127.0.0.1:$port ;;
	nginx-unix)
		have nginx || return
		FDACCEPT=$dir/nginx launch $1 nginx -c "$dir/nginx-unix.conf" ;;
	nginx-port)
		have nginx && at_port $1 nginx -c "$dir/nginx-port.conf" ;;
	node)
		have node && at_port $1 node app.js $port ;;
	node-cluster)
		have node && at_port $1 node cluster.js $port ;;
	php)
		have php && at_port $1 php -S 127.0.0.1:$port app.php ;;
	puma)
		have puma && at_port $1 puma -q -b tcp://127.0.0.1:$port \
		    app.ru ;;
	puma-workers)
		have puma && at_port $1 puma -q -w 2 -b \
		    tcp://127.0.0.1:$port app.ru ;;
	starman)
		have starman && at_port $1 starman --listen 127.0.0.1:$port \
		    --workers 4 app.psgi ;;
	stdlib)
		at_port $1 /usr/bin/python3 stdlib.py ;;
	thin)
		have thin && at_port $1 thin -a 127.0.0.1 -p $port -q \
		    -R app.ru start ;;
	tornado)
		python tornado && at_port $1 /usr/bin/python3 tornado_app.py ;;
	twisted)
		python twisted.web && at_port $1 \
		    /usr/bin/python3 twisted_app.py ;;
	unicorn)
		# Without a file, it reads that again as another process.
		: >unicorn.conf
		have unicorn && at_port $1 unicorn -c unicorn.conf \
		    -E production -l 127.0.0.1:$port app.ru ;;
	uvicorn)
		have uvicorn && launch $1 uvicorn --no-access-log \
		    --loop asyncio --uds $1 app:asgi ;;
	uvicorn-uvloop)
		have uvicorn && python uvloop && at_port $1 uvicorn \
		    --no-access-log --loop uvloop --port $port app:asgi ;;
	uvicorn-workers)
		have uvicorn && at_port $1 uvicorn --no-access-log \
		    --workers 2 --port $port app:asgi ;;
	uwsgi)
		test -f /usr/lib/uwsgi/plugins/python3_plugin.so &&
		    launch $1 uwsgi --plugin python3 --http-socket $1 \
		    --master --processes 2 --die-on-term --module app:app ;;
	waitress)
		have waitress-serve && at_port $1 waitress-serve \
		    --listen=127.0.0.1:$port app:app ;;
	webrick)
		ruby -rwebrick -e 1 2>/dev/null && at_port $1 ruby webrick.rb ;;
	esac
}

# ---- the checks ----

# The MD5 of the body as it has arrived.  nginx can but store it, Go's example
# sends it back, and this h2o's digests are wrong for "abc", on a port as well.
posted() {
	case $1 in
	nginx-*)
		fetch --data-binary @body $url/$1/ && md5sum <$1.body ;;
	go | h2o)
		fetch --data-binary @body $url/$1/ | md5sum ;;
	*)
		fetch --data-binary @body $url/$1/ ;;
	esac | cut -c1-32
}

# by_ab NAME N CLIENTS [PATH]: N requests, none of which fails
by_ab() {
	ab -q -n $2 -c $3 $url/$1/${4-} >$1.ab 2>&1 || die "$1: $(cat $1.ab)"
	grep -q '^Failed requests: *0$' $1.ab || die "$1: $(cat $1.ab)"
	! grep '^Non-2xx' $1.ab || die "$1: $(cat $1.ab)"
}

# check NAME: all of it, and the line.
check() {
	# inets answers 500 until it has read its own configuration.
	test $1 != inets || fetch -f --retry 5 -o a $url/$1/
	address=$(fetch -f $url/$1/) || die "$1: GET: $(cat $1.err)"
	test "$(posted $1)" = "$digest" || die "$1: POST of 1 MiB"
	address=${address%%:*}		# Go's example says more
	by_ab $1 300 32
	test $1 = go || once=$(/usr/bin/python3 "$top/tests/second.py" \
	    ${url#http://} /$1) || die "$1: a second request"
	how="a unix socket"
	grep -q "^$1 " ports && how="-p"
	if [ "$address" != $from ]; then
		echo "part  $1: $how, \"$address\""
	elif [ $1 = go ]; then
		echo "ok    $1: $address"
	else
		passed=$((passed + 1))
		test "$how" != -p || passed_port=$((passed_port + 1))
		echo "ok    $1: $how, $address, 0 of $once answered twice"
	fi
}

# A WebSocket by each server that has them: 200 kB there and back.
cat >echo.py <<'S'
import asyncio, sys
import websockets

async def main():
    text = 'x' * 200000
    for deflate in 'deflate', None:
        async with websockets.connect(sys.argv[1], max_size=None,
                                      compression=deflate) as ws:
            for _ in range(5):
                await ws.send(text)
                assert await ws.recv() == text

asyncio.run(asyncio.wait_for(main(), 120))
S

all="aiohttp aiohttp-port apache-event apache-prefork cheroot daphne go
gunicorn gunicorn-gthread gunicorn-port h2o hypercorn inets java lighttpd
mojolicious nginx-port nginx-unix node node-cluster php puma puma-workers
starman stdlib thin tornado twisted unicorn uvicorn uvicorn-uvloop
uvicorn-workers uwsgi waitress webrick"
all=${SERVERS:-$all}
for name in $all; do
	file=$name
	test $name != nginx-unix || file=nginx
	echo "ProxyPass /$name fd://$file flusher=none $waits"
done >conf
mkdir www
head -c 20000 /dev/urandom >www/static
head -c 1048576 /dev/urandom >body
digest=$(md5sum <body | cut -c1-32)
"$top/fdproxy" -1 -l 127.0.0.1:0 -f conf >port 2>fdproxy.err &
pids="$pids $!"
until [ -s port ]; do
	kill -0 $! || die "fdproxy: $(cat fdproxy.err)"
done
url=http://127.0.0.1:$(sed 's/.*://' port)
port=3000
: >ports

passed=0
passed_port=0
running=" "
for name in $all; do
	if start $name; then
		running="$running$name "
		check $name
	else
		echo "(no $name: left out)"
	fi
done

running() { case $running in *" $1 "*) true ;; *) false ;; esac; }

# ---- WebSockets ----

echoes=0
if python websockets; then
	for name in aiohttp aiohttp-port daphne hypercorn tornado uvicorn \
	    uvicorn-uvloop; do
		running $name || continue
		/usr/bin/python3 echo.py ws${url#http}/$name/echo ||
		    die "$name: WebSocket: $(cat $name.err)"
		echoes=$((echoes + 1))
	done
fi
echo "ok    WebSockets: 200 kB echoed by $echoes"

# ---- reloads, with three clients in a loop ----

# reload NAME SIGNAL PATH: none is lost
reload() {
	running $1 || return 0
	test $1 != nginx-port || echo $(cat nginx-port.pid) >$1.started
	by_ab $1 6000 3 $3 &
	loop=$!
	pids="$pids $loop"
	for n in 1 2 3; do
		kill -$2 $(cat $1.started)
		sleep 0.5
	done
	wait $loop || die "$1: requests were lost in a reload"
	echo "ok    $1: 3 reloads, 6000 requests, none lost"
}
reload nginx-port HUP ""
reload gunicorn-port HUP ""
reload apache-prefork USR1 static
reload unicorn HUP ""

# ---- what is no client ----

# A program's own sockets are its own: its children's, and administrators'.
if running gunicorn; then
	test "$(curl -sS --unix-socket gunicorn http://x/)" != $from ||
	    die "gunicorn: its own socket"
	curl -sS -f -o own --unix-socket gunicorn http://x/ ||
	    die "gunicorn: its own socket"
	echo "ok    gunicorn: asked at its own socket as well"
fi
if grep -v '; clients wait$' fdproxy.err; then die "fdproxy says that"; fi

# Before a server that never waits: 20 who leave, 100 who say nothing.
cat >hostile.py <<'S'
import socket, struct, sys, time
host, port = sys.argv[1].split(':')
for _ in range(20):
    with socket.create_connection((host, int(port))) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                     struct.pack('ii', 1, 0))
        s.sendall(b'GET %s/ HTTP/1.1\r\nHost: a\r\n\r\n' %
                  sys.argv[2].encode())
silent = []
if len(sys.argv) > 3:
    for _ in range(100):
        silent.append(socket.socket(socket.AF_UNIX))
        silent[-1].connect(sys.argv[3])
with socket.create_connection((host, int(port)), 120) as s:
    before = time.monotonic()
    s.sendall(b'GET %s/ HTTP/1.1\r\nHost: a\r\n\r\n' %
              sys.argv[2].encode())
    assert b' 200 ' in s.recv(4096)
    print('%.2f s' % (time.monotonic() - before))
S
for name in starman stdlib nginx-unix nginx-port; do
	running $name || continue
	silent=$name
	case $name in
	starman | stdlib) silent= ;;
	nginx-unix) silent=nginx ;;
	esac
	took=$(/usr/bin/python3 hostile.py ${url#http://} /$name $silent) ||
	    die "$name: behind 20 resets${silent:+ and 100 silent ones}"
	echo "ok    $name: behind 20 resets${silent:+ and 100 silent ones}" \
	    "(after $took)"
done

# ---- Go's example, and a client that is reset before it comes ----

if running go; then
	"$top/fdfault" reset@1 go.fault go >go.fault.err 2>&1 &
	pids="$pids $!"
	echo "ProxyPass / fd://go.fault flusher=none $waits" >go.conf
	"$top/fdproxy" -1 -l 127.0.0.1:0 -f go.conf >port.go 2>go.fdproxy.err &
	pids="$pids $!"
	until [ -s port.go ]; do
		kill -0 $! || die "fdproxy: $(cat go.fdproxy.err)"
	done
	! fetch http://$(cat port.go)/ 2>/dev/null || die "go: no reset"
	fetch -f -o a http://$(cat port.go)/ || die "go: $(cat go.err)"
	echo "ok    go: behind a client that was reset before it came"
fi

# ---- plain loops around accept, which end at any error of it ----

# (That a client has left is an error of reading or writing, on any system.)

cat >loop.pl <<'S'
use IO::Socket::UNIX;
$SIG{PIPE} = 'IGNORE';
my $l = IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 128) or die;
while (my $c = $l->accept) {
    sysread $c, my $head, 4096;
    syswrite $c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nserved";
    close $c;
}
die "accept: $!";
S
cat >loop.php <<'S'
<?php
$l = stream_socket_server("unix://$argv[1]");
while ($c = stream_socket_accept($l, -1)) {
    fread($c, 4096);
    fwrite($c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nserved");
    fclose($c);
}
S
cat >loop.rb <<'S'
require 'socket'
l = UNIXServer.new(ARGV[0])
loop do
  c = l.accept
  begin
    c.readpartial(4096)
    c.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nserved")
    c.close
  rescue SystemCallError, EOFError
  end
end
S
cat >loop.py <<'S'
import socket, sys
l = socket.socket(socket.AF_UNIX)
l.bind(sys.argv[1])
l.listen(128)
while True:
    c, _ = l.accept()
    try:
        c.recv(4096)
        c.sendall(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nserved')
        c.close()
    except OSError:
        pass
S
cat >probes.py <<'S'
import socket, sys
for _ in range(50):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(sys.argv[1])
S
for loop in perl:loop.pl php:loop.php ruby:loop.rb /usr/bin/python3:loop.py; do
	program=${loop%:*} name=${loop#*:}
	have $program || continue
	launch $name $program $name $name.sock
	echo "ProxyPass / fd://$name.sock flusher=none $waits" >loop.conf
	rm -f port.loop
	"$top/fdproxy" -1 -l 127.0.0.1:0 -f loop.conf >port.loop 2>loop.err &
	pids="$pids $!"
	until [ -s port.loop ]; do
		kill -0 $! || die "fdproxy: $(cat loop.err)"
	done
	test "$(fetch http://$(cat port.loop)/)" = served || die "$name"
	for n in 1 2 3; do
		/usr/bin/python3 probes.py $name.sock
		/usr/bin/python3 hostile.py $(cat port.loop) "" >/dev/null ||
		    die "$name: behind probes and resets: $(cat $name.err)"
	done
	ab -q -n 200 -c 16 http://$(cat port.loop)/ >loop.ab 2>&1 ||
	    die "$name: $(cat loop.ab)"
	kill -0 $(cat $name.started) || die "$name: $(cat $name.err)"
	echo "ok    $name: through 150 probes and 60 resets"
done

# ---- a container's entry point: one command, with the port aside ----

# Its own processes talk over unix sockets of their own.
cat >pool.py <<'S'
import multiprocessing
from app import app as inner

context = multiprocessing.get_context('forkserver')
manager = pool = shared = None

def app(environ, start):
    global manager, pool, shared
    if manager is None:
        manager = multiprocessing.Manager()
        shared = manager.dict()
        pool = context.Pool(2)
    shared['seen'] = sum(pool.map(abs, [-1, -2]))
    assert shared['seen'] == 3
    return inner(environ, start)
S

# entry NAME OPTIONS ...: fdproxy with a command; it answers, and ends with 0
# or by the signal that it was ended with.
entry() {
	name=$1
	shift
	rm -f port.entry
	"$top/fdproxy" -1 -l 127.0.0.1:0 "$@" >port.entry 2>entry.err &
	entry_pid=$!
	pids="$pids $entry_pid"
	until [ -s port.entry ]; do
		kill -0 $entry_pid || die "$name: $(cat entry.err)"
	done
	at=http://127.0.0.1:$(sed -n 's/^127.*://p' port.entry | head -n 1)
	test "$(fetch $at/)" = $from || die "$name: $(cat entry.err)"
	kill $entry_pid
	wait $entry_pid && status=0 || status=$?
	case $status in
	0 | 143) ;;
	137) test "$name" = "$stubborn" || die "$name: killed" ;;
	*) die "$name: status $status: $(cat entry.err)" ;;
	esac
	echo "ok    fdproxy ... fdaccept $name"
}
accept=$top/fdaccept
# This one hangs by itself when the signal comes to its whole group.
stubborn="gunicorn with a Manager and a pool"
child="-r /=:child,flusher=none"
if have gunicorn; then
	entry "gunicorn, by a path" -r /=$dir/app.sock,flusher=none \
	    $accept gunicorn --bind unix:$dir/app.sock app:app
	entry "gunicorn, as :child" $child $accept gunicorn app:app
	entry "$stubborn" -c "StopTimeout 1s" $child $accept \
	    gunicorn --timeout 90 pool:app
	# A worker that is just starting may miss the signal.
	entry "gunicorn, :child and -p" -c "StopTimeout 30s" $child $accept \
	    -p 3000 gunicorn --graceful-timeout 2 -w 2 --reuse-port \
	    -b 127.0.0.1:3000 -b '[::1]:3000' app:app
fi
if have node; then
	entry "node, :child and -p" $child $accept -p 3000 node app.js 3000
fi
if have npm; then
	echo '{ "scripts": { "start": "node app.js 3000" } }' >package.json
	entry "npm start, by a path and -p" \
	    -r /=$dir/npm.sock,flusher=none,wait=5min \
	    $accept -p 3000=$dir/npm.sock npm start
fi

echo "$passed unmodified servers with everything, $passed_port of them by -p;" \
    "$minimum and $minimum_port were wanted; $echoes with WebSockets"
test $passed -ge $minimum && test $passed_port -ge $minimum_port
test $minimum -eq 0 || test $echoes -ge 4
