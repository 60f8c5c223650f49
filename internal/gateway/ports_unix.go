//go:build unix

package gateway

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// share lets other sockets of this process bind an address that overlaps with that of a listener that is about to go, or
// ends that.
func share(l *net.TCPListener, on bool) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	return setShared(raw, on)
}

// sharing is a net.ListenConfig's Control for a socket that replaces such a listener.
func sharing(_, _ string, raw syscall.RawConn) error { return setShared(raw, true) }

func setShared(raw syscall.RawConn, on bool) error {
	value := 0
	if on {
		value = 1
	}
	var failed error
	err := raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, value) })
	if err != nil {
		return err
	}
	return failed
}
