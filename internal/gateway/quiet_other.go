//go:build !linux

package gateway

import (
	"errors"
	"net"
)

// quieten cannot be done here: a client that connects in the moment of closing may be reset.
func quieten(*net.TCPListener) error { return errors.ErrUnsupported }
