// Go's own HTTP server as a backend, keep-alive and client addresses included:
//
//	go run http_server.go /tmp/http.sock
//	fdproxy -l 127.0.0.1:8080 -r /=/tmp/http.sock,flusher=none
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// A listener whose Accept returns clients, each of which comes as a descriptor
// over a connection of its own.
type fdListener struct{ *net.UnixListener }

func (l fdListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		conn.SetReadDeadline(time.Now().Add(time.Second))
		client, err := receive(conn)
		conn.Close()
		if client != nil {
			return client, nil
		}
		if !errors.Is(err, io.EOF) { // the end without a message is a probe
			log.Print("a client was lost: ", err)
		}
	}
}

func receive(conn *net.UnixConn) (net.Conn, error) {
	nul, control := make([]byte, 1), make([]byte, syscall.CmsgSpace(4))
	_, oobn, _, _, err := conn.ReadMsgUnix(nul, control)
	if err != nil {
		return nil, err
	}
	messages, err := syscall.ParseSocketControlMessage(control[:oobn])
	if err != nil || len(messages) == 0 {
		return nil, errors.New("no descriptor came")
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	for _, fd := range fds[1:] { // padding may have room for another
		syscall.Close(fd)
	}
	file := os.NewFile(uintptr(fds[0]), "client")
	defer file.Close() // FileConn makes its own copy, close-on-exec
	client, err := net.FileConn(file)
	if err == nil && client.RemoteAddr() == nil { // net/http would panic
		client.Close()
		return nil, errors.New("it has left")
	}
	return client, err
}

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			io.Copy(w, r.Body)
		} else {
			fmt.Fprintf(w, "%s asks for %s\n", r.RemoteAddr, r.URL)
		}
	})
	os.Remove(os.Args[1])
	l, err := net.Listen("unix", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(fdListener{l.(*net.UnixListener)}, nil))
}
