#!/bin/sh
# See LICENSE for copyright and license details.
#
# Two unmodified servers, with their defaults, behind /one and /two of one
# fdproxy, in Chromium: no request is answered by the wrong one.  Then one
# server behind all routes, which keeps connections (fdaccept -k); and the
# example workers, which keep them and have routes.  Needs /usr/bin/chromium,
# Node with playwright-core (where NODE_PATH says), gunicorn, uvicorn, waitress,
# Go and curl.
#
#	browser.sh [rounds]
set -eu
rounds=${1:-6}
. tests/scratch.sh
cd "$dir"

# ---- the programs: every answer says whose it is ----

cat >app.py <<'S'
import asyncio, os

NAME = os.environ['NAME']
OTHER = {'one': 'two', 'two': 'one'}[NAME]
# 1 by 1 pixel
GIF = (b'GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\4\1\0\0\0\0,\0\0\0\0'
       b'\1\0\1\0\0\2\2D\1\0;')
PAGE = ('<!doctype html><title>' + NAME + '</title><link rel=icon href=data:,>'
        + ''.join('<img src="/%s/i%d.gif">' % (name, i)
                  for i in range(4) for name in ('one', 'two') if
                  not os.environ.get('ALONE') or name == NAME)
        + '<a id=other href="/%s/page">%s</a>' % (OTHER, OTHER)).encode()

def answer(path, length):
    if path.endswith('.gif'):
        return 'image/gif', GIF
    if path.endswith('/page'):
        return 'text/html', PAGE
    return 'text/plain', b'%s %d' % (NAME.encode(), length)

def app(environ, start):
    body = environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))
    kind, text = answer(environ['PATH_INFO'], len(body))
    start('200 OK', [('Content-Type', kind), ('X-Program', NAME),
                     ('Content-Length', str(len(text)))])
    return [text]

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
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message['body'])
        more = message['more_body']
    stream = scope['path'].endswith('/events')
    kind, text = answer(scope['path'], length)
    headers = [(b'x-program', NAME.encode()), (b'content-type',
               b'text/event-stream' if stream else kind.encode())]
    await send({'type': 'http.response.start', 'status': 200,
                'headers': headers})
    for i in range(3 if stream else 0):
        await send({'type': 'http.response.body', 'more_body': True,
                    'body': b'data: %d\n\n' % i})
        await asyncio.sleep(0.1)
    await send({'type': 'http.response.body', 'body': b'' if stream else text})
S
cat >app.js <<'S'
const name = process.env.NAME, other = name === 'one' ? 'two' : 'one';
const gif = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIC' +
  'RAEAOw==', 'base64');
const images = [0, 1, 2, 3].map((i) => `<img src="/one/i${i}.gif">` +
  `<img src="/two/i${i}.gif">`).join('');
module.exports = (req, res) => {
  let length = 0;
  req.on('data', (part) => { length += part.length; });
  req.on('end', () => {
    res.setHeader('X-Program', name);
    if (req.url.endsWith('.gif')) res.end(gif);
    else if (req.url.endsWith('/page')) {
      res.setHeader('Content-Type', 'text/html');
      res.end(`<!doctype html><link rel=icon href=data:,>${images}` +
        `<a id=other href="/${other}/page">${other}</a>`);
    } else res.end(`${name} ${length}`);
  });
};
if (require.main === module)
  require('http').createServer(module.exports).listen(3000);
S
cat >worker.py <<'S'
import app, worker_http

def respond(name, method, target, address, body):
    kind, text = app.answer(target, len(body))
    return {'Content-Type': kind, 'X-Program': app.NAME}, text

worker_http.respond = respond
worker_http.main()
S
cat >page.go <<'S'
package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func init() {
	name := os.Getenv("NAME")
	other := map[string]string{"one": "two", "two": "one"}[name]
	gif, _ := base64.StdEncoding.DecodeString(
		"R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")
	page := "<!doctype html><link rel=icon href=data:,>"
	for i := 0; i < 8; i++ {
		page += fmt.Sprintf("<img src=/%s/i%d.gif>",
			[]string{"one", "two"}[i%2], i/2)
	}
	page += fmt.Sprintf("<a id=other href=/%s/page>%[1]s</a>", other)
	handler = http.HandlerFunc(func(w http.ResponseWriter,
		r *http.Request) {
		length, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Program", name)
		switch {
		case strings.HasSuffix(r.URL.Path, ".gif"):
			w.Write(gif)
		case strings.HasSuffix(r.URL.Path, "/page"):
			io.WriteString(w, page)
		default:
			fmt.Fprintf(w, "%s %d", name, length)
		}
	})
}
S

# launch SOCKET NAME COMMAND ...
launch() {
	socket=$1 NAME=$2
	shift 2
	export NAME
	"$@" >$socket.err 2>&1 &
	pids="$pids $!"
	started=$!
}

# proxy ARGUMENTS ...: sets $url
proxy() {
	rm -f port
	"$top/fdproxy" -1 -l 127.0.0.1:0 -c 'CustomLog access' \
	    -c 'KeepAliveTimeout 5min' "$@" >port 2>fdproxy.err &
	pids="$pids $!"
	proxy=$!
	until [ -s port ]; do
		kill -0 $proxy || die "fdproxy: $(cat fdproxy.err)"
	done
	url=http://$(cat port)
}

# browser ARGUMENTS ...: what it says
browser() {
	node "$top/tests/browser.js" "$@" >said || {
		cat said >&2
		die "$name: $(cat ./*.err)"
	}
	cat said
}

accept=$top/fdaccept
raw=flusher=none,$(echo $waits | tr " " ,)
launch gthread one $accept gunicorn -k gthread --threads 8 \
    --bind unix:gthread app:app
launch uvicorn two $accept uvicorn --no-access-log --uds uvicorn app:asgi
launch node one $accept -p 3000=node node app.js
launch waitress two $accept -p 3000=waitress waitress-serve \
    --listen=127.0.0.1:3000 app:app

name="gunicorn gthread and uvicorn"
proxy -r /one/admin=! -r /one=gthread,$raw -r /two=uvicorn,$raw
said=$(browser $url $rounds /two/echo /two/events)
echo "ok    $name: $said wrong, a WebSocket and events"
kill $proxy

name="Node and waitress"
proxy -r /one/admin=! -r /one=node,$raw -r /two=waitress,$raw
said=$(browser $url $rounds)
echo "ok    $name: $said wrong"
kill $proxy

name="gunicorn gthread, -k"
ALONE=1
export ALONE
launch keep one $accept -k gunicorn -k gthread --threads 8 \
    --bind unix:keep app:app
rm -f access
proxy -r /=keep,$raw
said=$(browser -k $url)
# The last one's hand-off was before its answer.
given=$(wc -l <access)
test $given -lt $((said / 2)) ||
    die "$name: $given connections for $said requests"
echo "ok    $name: $given connections for $said requests"
kill $proxy
unset ALONE

# worker SOCKET NAME PROGRAM: one of the examples, with the pages above
worker() {
	case $3 in
	http.server)
		PYTHONPATH=$top/examples launch $1 $2 /usr/bin/python3 \
		    worker.py $1 ;;
	Node)
		launch $1 $2 node --no-deprecation -e "require(
		    '$top/examples/worker.js')(process.argv[1],
		    require('./app.js'))" $1 ;;
	Go)
		launch $1 $2 ./go.worker $1 ;;
	esac
}
# count NAME: a counter of fdproxy's
count() { curl -sS $url/status | sed -n "s/^fdproxy_$1_total //p"; }

cp "$top/examples/worker.go" .
GO111MODULE=off go build -o go.worker worker.go page.go
for pair in "http.server Node" "Node Go" "Go http.server"; do
	one=${pair% *} two=${pair#* }
	name="$one and $two, as workers"
	proxy -r /status=status: -r /one/admin=! \
	    -r "/one=workers:one-$one,$raw" -r "/two=workers:two-$two,$raw"
	worker "one-$one" one "$one"
	worker "two-$two" two "$two"
	said=$(browser $url $rounds)
	returned=$(count returned)
	share=$((100 * returned / (returned + $(count accepted))))
	test $share -ge 80 || die "$name: $share % of requests on kept ones"
	echo "ok    $name: $said wrong, $share % on kept connections"
	kill $proxy
done
