package tcp

import (
	"net"

	"golang.org/x/sys/unix"
)

// Quieten makes the system drop the first packet of every new connection to a listener, without a word: a client that begins
// to connect in this moment tries again after a second, and finds the socket that has the address then. Connections that
// have begun are completed and wait to be accepted, so that none is reset when the socket is closed.
func Quieten(l *net.TCPListener) error {
	const syn = 0x02 // RFC 9293, section 3.1
	drop := [4]unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13}, // the flags of the TCP header
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: syn, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1<<32 - 1},
	}
	program := unix.SockFprog{Len: 4, Filter: &drop[0]}
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	return control(raw, func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	})
}
