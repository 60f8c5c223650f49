//go:build unix

package tcp

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Share lets other sockets of this process bind an address that overlaps with that of a listener that is about to go, or
// ends that.
func Share(l *net.TCPListener, on bool) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	return setShared(raw, on)
}

// Sharing is a net.ListenConfig's Control for a socket that replaces such a listener.
func Sharing(_, _ string, raw syscall.RawConn) error { return setShared(raw, true) }

func setShared(raw syscall.RawConn, on bool) error {
	value := 0
	if on {
		value = 1
	}
	return control(raw, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, value) })
}

// control runs a function on the descriptor of a socket.
func control(raw syscall.RawConn, do func(fd int) error) error {
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil {
		return err
	}
	return failed
}
