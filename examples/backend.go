// A backend in Go.  It answers every client with one line:
//
//	go run backend.go /tmp/app.sock
//	fdproxy -l 127.0.0.1:8080 -r /=/tmp/app.sock
package main

import (
	"io"
	"log"
	"net"
	"os"
	"syscall"
	"time"
)

// The client that comes with the first byte, or nil.
func receive(conn *net.UnixConn) net.Conn {
	nul, control := make([]byte, 1), make([]byte, syscall.CmsgLen(4))
	n, oobn, _, _, err := conn.ReadMsgUnix(nul, control)
	if n < 1 || err != nil { // a probe: the end without a message
		return nil
	}
	messages, _ := syscall.ParseSocketControlMessage(control[:oobn])
	if len(messages) == 0 { // MSG_CTRUNC: no descriptor was free in here
		log.Print("a client was lost")
		return nil
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil {
		log.Print(err)
		return nil
	}
	file := os.NewFile(uintptr(fds[0]), "client")
	defer file.Close() // FileConn makes a copy
	client, err := net.FileConn(file)
	if err != nil {
		log.Print(err)
	}
	return client
}

func serve(conn *net.UnixConn) {
	client := receive(conn)
	conn.Close()
	if client == nil {
		return
	}
	defer client.Close()
	client.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(client, "Hello from Go.\n") // the body alone
	client.(interface{ CloseWrite() error }).CloseWrite()
	io.Copy(io.Discard, client) // what nobody has read
}

func main() {
	os.Remove(os.Args[1])
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for {
		conn, err := listener.(*net.UnixListener).AcceptUnix()
		if err != nil {
			log.Print(err)
			time.Sleep(time.Second / 10)
			continue
		}
		go serve(conn)
	}
}
