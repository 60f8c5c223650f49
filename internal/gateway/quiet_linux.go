package gateway

import (
	"net"

	"golang.org/x/sys/unix"
)

// quieten makes the system drop what arrives for a listener, without a word: a client that begins to connect in this moment
// tries again after a second, and finds the socket that has the address then. Connections that are waiting to be accepted
// stay, so that none is reset when the socket is closed.
func quieten(l *net.TCPListener) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	drop := [1]unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}} // accept nothing of any packet
	program := unix.SockFprog{Len: 1, Filter: &drop[0]}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	})
	if err != nil {
		return err
	}
	return failed
}
