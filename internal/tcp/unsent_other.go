//go:build !linux

package tcp

import (
	"errors"
	"net"
)

// LimitUnsent cannot be done here: what waits in a socket is for the system to say.
func LimitUnsent(*net.TCPConn) error { return errors.ErrUnsupported }

// Acknowledged cannot be asked here.
func Acknowledged(*net.TCPConn) (octets uint64, err error) { return 0, errors.ErrUnsupported }

// Reset cannot be asked here.
func Reset(*net.TCPConn) bool { return false }
