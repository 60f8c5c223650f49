package tcp

import (
	"net"

	"golang.org/x/sys/unix"
)

// unsent is how much of what was written may wait in a socket that the other end has no room for yet. By itself Linux lets four
// megabytes wait, and a writer learns that there is room again only when a third of them has gone: to a slow client that is a
// minute without a sign of life, and with HTTP/2 a minute in which one answer stands before all others. Less than this costs
// fast connections time: 128 KiB cost HTTP/2 a sixth of its time for large answers.
const unsent = 1 << 20

// LimitUnsent makes a write to a connection wait before much of it is unsent, and return soon after there is room again.
func LimitUnsent(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return control(raw, func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent) })
}

// Acknowledged returns how many octets the other end's system has acknowledged since the connection began (RFC 4898,
// tcpEStatsAppHCThruOctetsAcked). It acknowledges no more than its buffer holds until the program reads.
func Acknowledged(c *net.TCPConn) (octets uint64, err error) {
	info, err := state(c)
	if err != nil {
		return 0, err
	}
	return info.Bytes_acked, nil
}

// Reset reports whether the other end has reset the connection (RFC 9293, section 3.5.3), which nobody learns who neither reads
// nor writes. What cannot be asked was not.
func Reset(c *net.TCPConn) bool {
	info, err := state(c)
	return err == nil && info.State == unix.BPF_TCP_CLOSE
}

func state(c *net.TCPConn) (info *unix.TCPInfo, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	err = control(raw, func(fd int) (err error) {
		info, err = unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		return err
	})
	return info, err
}
