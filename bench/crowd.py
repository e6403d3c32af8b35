# See LICENSE for copyright and license details.
"""Clients that begin a request and never end it, in a process of their own
(they take as many descriptors here as in the proxy): crowd.py PORT N"""
import resource
import socket
import sys

soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
clients = []
for _ in range(int(sys.argv[2])):
    client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    client.sendall(b"GET /flush HTTP/1.1\r\nHost: ")
    clients.append(client)
print(len(clients), flush=True)
sys.stdin.read()
