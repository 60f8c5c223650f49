//go:build !unix

package tcp

import (
	"errors"
	"net"
	"syscall"
)

var errNotShared = errors.New("this system cannot bind an address that overlaps with one in use")

// Share cannot be done here.
func Share(*net.TCPListener, bool) error { return errNotShared }

// Sharing cannot be done here.
func Sharing(string, string, syscall.RawConn) error { return errNotShared }
