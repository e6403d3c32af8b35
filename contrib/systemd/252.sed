# fdproxy.service for systemd before 253; see there.
s|^Type=notify-reload$|Type=notify\
ExecReload=/bin/kill -HUP $MAINPID|
