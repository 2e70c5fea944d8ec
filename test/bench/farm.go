package main

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// serverPort is where the servers that are checked listen, but for the victim, which has a
// port of its own so that it can be closed.
const (
	serverPort = 80
	victimPort = 81
)

// victim is the server that is taken away.
var victim = netip.AddrPortFrom(nth(113, 0), victimPort)

// farmThreads is how many connections the servers answer at a time.
const farmThreads = 2

// runFarm is the process that is thousands of servers: one listener for all the addresses
// that its namespace takes for local, and one for the victim.
func runFarm([]string) error {
	all, err := listenTCP(netip.AddrPortFrom(netip.IPv4Unspecified(), serverPort))
	if err != nil {
		return err
	}
	for range farmThreads {
		go answer(all) // ends with the process
	}
	one := -1
	return serve(func(line string) (any, error) {
		at := time.Now()
		switch line {
		case "open":
			if one, err = listenTCP(victim); err != nil {
				return nil, err
			}
			go answer(one) // ends with the listener
		case "close":
			// shutdown wakes the one that accepts, and close alone would not end the listening.
			if err := unix.Shutdown(one, unix.SHUT_RDWR); err != nil {
				return nil, err
			}
		}
		return at, nil
	})
}

func listenTCP(at netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}); err != nil {
		return -1, fmt.Errorf("bind to %v: %w", at, err)
	}
	return fd, unix.Listen(fd, 4096)
}

// page is what the servers answer whatever they are asked.
const page = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"

// answer accepts, answers who says something, and closes. A bare system call for each step
// leaves the processors to those who are measured.
func answer(fd int) {
	buf := make([]byte, 4096)
	for {
		conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		switch err {
		case nil:
		case unix.EINTR, unix.ECONNABORTED:
			continue
		default:
			_ = unix.Close(fd)
			return
		}
		_ = unix.SetsockoptTimeval(conn, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})
		if n, err := unix.Read(conn, buf); n > 0 && err == nil {
			_, _ = unix.Write(conn, []byte(page)) // who has gone meanwhile is not served
		}
		_ = unix.Close(conn)
	}
}
