#!/bin/sh
# See LICENSE for copyright and license details.
#
# The page of "make demo": who asks, for what, and where else to go.
text() {
	printf %s "$1" | sed -e 's/&/\&amp;/g' -e 's/</\&lt;/g'
}
cat <<EOF
<!doctype html>
<title>fdproxy</title>
<style>
body { font: 16px/1.5 sans-serif; max-width: 42em; margin: 2em auto;
    padding: 0 1em }
</style>
<h1>fdproxy works</h1>
<p>$(text "$TCPREMOTEIP"), port $(text "$TCPREMOTEPORT"), has asked for
<code>$(text "$REQUEST_METHOD $REQUEST_URI")</code>.
fdproxy has read that, sent the response head, and given the connection to a
shell script, process $$, which writes this page into it.</p>
<p>Other programs behind the same port:</p>
<ul>
<li><a href="/hello">/hello</a>: another script, which says what it was asked.</li>
<li><a href="/events">/events</a>: a stream of events, one a second:
<output>none yet</output>. It goes from its script to your browser, and not
through fdproxy.</li>
<li><a href="/files/">/files/</a>: Python&rsquo;s http.server as it is, which
believes that it listens on port 3000 (where Python is installed).</li>
<li><a href="/nothing">/nothing</a>: nobody; fdproxy answers 404 itself.</li>
</ul>
<script>
new EventSource("/events").onmessage = e =>
	document.querySelector("output").textContent = e.data;
</script>
EOF
