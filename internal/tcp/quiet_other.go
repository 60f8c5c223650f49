//go:build !linux

package tcp

import (
	"errors"
	"net"
)

// Quieten cannot be done here: a client that connects in the moment of closing may be reset.
func Quieten(*net.TCPListener) error { return errors.ErrUnsupported }
