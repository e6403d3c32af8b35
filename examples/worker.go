// Go's own HTTP server as a worker: it asks for clients, and gives those that
// stay connected back, so that fdproxy routes their next request anew:
//
//	fdproxy -l 127.0.0.1:8080 -r /=workers:/tmp/app.workers,flusher=none
//	go run worker.go /tmp/app.workers [name]
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const clients = 64 // at once

var ending sync.WaitGroup // clients that are being closed

// A client.  net/http reads more than a request if there is more, and then it
// could not be given back: Read does not go beyond the request's end.
type client struct {
	socket
	channel *net.UnixConn // that it came by
	settled sync.Once     // given back or closed, and another one promised
	done    bool          // with its request
	head    []byte
	known   bool  // the head has ended
	rest    int64 // of the body; -1: its end is not known
}

type socket interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// How many of these bytes are of the request.
func (c *client) own(p []byte) int {
	if !c.known {
		all := append(c.head, p...)
		end := bytes.Index(all, []byte("\r\n\r\n"))
		if end == -1 {
			return len(p)
		}
		return end + 4 - len(c.head)
	}
	if c.rest >= 0 && c.rest < int64(len(p)) {
		return int(c.rest)
	}
	return len(p)
}

// These bytes of the request were read.
func (c *client) took(p []byte) {
	if c.known {
		if c.rest > 0 {
			c.rest -= int64(len(p))
		}
		return
	}
	c.head = append(c.head, p...)
	if bytes.HasSuffix(c.head, []byte("\r\n\r\n")) {
		c.known, c.rest = true, -1
		r, err := http.ReadRequest(bufio.NewReader(
			bytes.NewReader(c.head)))
		if err == nil {
			c.rest = r.ContentLength // -1 if it is chunked
		}
	}
}

// Behind the request this waits until it is interrupted, or the client leaves.
func (c *client) Read(p []byte) (n int, err error) {
	if c.done {
		return 0, io.EOF
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	failed := raw.Read(func(fd uintptr) bool {
		n, _, err = syscall.Recvfrom(int(fd), p, syscall.MSG_PEEK)
		if err == nil && n > 0 {
			if n = c.own(p[:n]); n == 0 {
				return false
			}
			n, _, err = syscall.Recvfrom(int(fd), p[:n], 0)
		}
		return err != syscall.EAGAIN && err != syscall.EINTR
	})
	if failed != nil {
		return 0, failed
	}
	if err != nil {
		return 0, os.NewSyscallError("recvfrom", err)
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	c.took(p[:n])
	return n, nil
}

// The end, in stages, so that the client sees it and no reset.
func (c *client) end() {
	c.CloseWrite()
	c.SetDeadline(time.Now().Add(3 * time.Second))
	ending.Add(1)
	go func() {
		io.Copy(io.Discard, c.socket)
		c.socket.Close()
		c.channel.Write([]byte{0})
		ending.Done()
	}()
}

func (c *client) Close() error {
	c.settled.Do(c.end)
	return nil
}

// The response is written, and net/http would wait for the next request.
func idle(conn net.Conn, state http.ConnState) {
	if state != http.StateIdle {
		return
	}
	c := conn.(*client)
	c.done = true
	c.settled.Do(func() {
		if c.known && c.rest == 0 && c.giveBack() {
			c.socket.Close()
		} else {
			c.end()
		}
	})
}

// The NUL behind it promises to take another one.
func (c *client) giveBack() bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	failed := raw.Control(func(fd uintptr) {
		_, _, err = c.channel.WriteMsgUnix([]byte{1, 0},
			syscall.UnixRights(int(fd)), nil)
	})
	return failed == nil && err == nil
}

// A listener whose Accept returns the clients that fdproxy sends.
type listener struct {
	path    string
	leaving chan struct{}
	lock    sync.Mutex // of these two
	channel *net.UnixConn
	left    bool
	delay   time.Duration
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		if l.channel == nil && !l.connect() {
			return nil, http.ErrServerClosed
		}
		conn, err := receive(l.channel)
		if conn != nil {
			l.delay = 0
			return &client{socket: conn, channel: l.channel}, nil
		}
		if err == nil { // another one in its place
			l.channel.Write([]byte{0})
			continue
		}
		l.channel.Close()
		l.set(nil)
	}
}

// False if we leave.
func (l *listener) connect() bool {
	for {
		wait := time.Duration(float64(l.delay) * (0.5 + rand.Float64()))
		select {
		case <-l.leaving:
			return false
		case <-time.After(wait):
		}
		l.delay = 2*l.delay + 100*time.Millisecond
		if l.delay > 5*time.Second {
			l.delay = 5 * time.Second
		}
		conn, err := net.Dial("unix", l.path)
		if err == nil {
			l.set(conn.(*net.UnixConn))
			conn.Write(make([]byte, clients))
			return true
		}
	}
}

func (l *listener) set(channel *net.UnixConn) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.channel = channel
	if l.left && channel != nil {
		channel.CloseWrite()
	}
}

// No more, but what was sent is served.
func (l *listener) leave() {
	close(l.leaving)
	l.lock.Lock()
	defer l.lock.Unlock()
	l.left = true
	if l.channel != nil {
		l.channel.CloseWrite()
	}
}

// A client, or nil if it was lost; or an error, if there are no more.
func receive(channel *net.UnixConn) (socket, error) {
	nul, control := make([]byte, 1), make([]byte, syscall.CmsgSpace(4))
	_, oobn, _, _, err := channel.ReadMsgUnix(nul, control)
	if err != nil {
		return nil, err
	}
	var fds []int
	messages, err := syscall.ParseSocketControlMessage(control[:oobn])
	if err == nil && len(messages) > 0 {
		fds, _ = syscall.ParseUnixRights(&messages[0])
	}
	if len(fds) == 0 {
		log.Print("a client was lost: no descriptor came")
		return nil, nil
	}
	file := os.NewFile(uintptr(fds[0]), "client")
	defer file.Close() // FileConn makes its own copy, close-on-exec
	conn, err := net.FileConn(file)
	if err != nil {
		log.Print("a client was lost: ", err)
		return nil, nil
	}
	if conn.RemoteAddr() == nil { // it has left; net/http would panic
		conn.Close()
		return nil, nil
	}
	return conn.(socket), nil
}

func (l *listener) Close() error   { return nil }
func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path} }

var name = filepath.Base(os.Args[0])

func answer(w http.ResponseWriter, r *http.Request) {
	hash := md5.New()
	length, err := io.Copy(hash, r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = "local"
	}
	fmt.Fprintf(w, "%s %s %s %s", name, r.Method, r.RequestURI, address)
	if r.Method == "POST" {
		fmt.Fprintf(w, " %d %x", length, hash.Sum(nil))
	}
	fmt.Fprintln(w)
}

var handler http.Handler = http.HandlerFunc(answer)

func main() {
	if len(os.Args) > 2 {
		name = os.Args[2]
	}
	rand.Seed(time.Now().UnixNano())
	l := &listener{path: os.Args[1], leaving: make(chan struct{})}
	server := &http.Server{Handler: handler, ConnState: idle,
		ReadTimeout: 30 * time.Second}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		server.SetKeepAlivesEnabled(false)
		l.leave()
	}()
	err := server.Serve(l)
	if !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	server.Shutdown(context.Background())
	ending.Wait()
}
