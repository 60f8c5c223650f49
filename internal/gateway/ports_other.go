//go:build !unix

package gateway

import (
	"errors"
	"net"
	"syscall"
)

var errNotShared = errors.New("this system cannot bind an address that overlaps with one in use")

func share(*net.TCPListener, bool) error { return errNotShared }

func sharing(string, string, syscall.RawConn) error { return errNotShared }
