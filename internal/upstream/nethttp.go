package upstream

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"sallyport/internal/identity"
)

// maxResponseHeader bounds what a target can make the gateway hold before the first byte of a body.
const maxResponseHeader = 256 << 10

// transport is the pool of connections to one target.
type transport struct {
	http *http.Transport
}

func newTransport(host string, config *Config) transport {
	dialer := &net.Dialer{Timeout: or(config.ConnectTimeout, DefaultConnectTimeout), KeepAlive: 30 * time.Second}
	return transport{http: &http.Transport{
		Proxy:                  nil, // the environment must not redirect the traffic of a gateway
		DialContext:            dialer.DialContext,
		TLSClientConfig:        tlsConfig(host, config),
		TLSHandshakeTimeout:    or(config.ConnectTimeout, DefaultConnectTimeout),
		ResponseHeaderTimeout:  or(config.ResponseTimeout, DefaultResponseTimeout),
		IdleConnTimeout:        or(config.IdleTimeout, DefaultIdleTimeout),
		ExpectContinueTimeout:  time.Second,
		MaxIdleConnsPerHost:    or(config.MaxIdle, DefaultMaxIdle),
		MaxConnsPerHost:        config.Max,
		MaxResponseHeaderBytes: maxResponseHeader,
		DisableCompression:     true, // bodies pass as the two ends agreed
		WriteBufferSize:        16 << 10,
		ReadBufferSize:         16 << 10,
	}}
}

func or[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// tlsConfig returns how a target is checked. Without trust stores the operating system's roots decide, which in
// crypto/tls is a nil pool: that is meant here, and only here.
func tlsConfig(host string, config *Config) *tls.Config {
	name := or(config.ServerName, host)
	c := &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12}
	if config.Trust != nil {
		c = config.Trust.ClientTLS(name)
	}
	if len(config.PinSPKI) == 0 {
		return c
	}
	pins, verify := slices.Clone(config.PinSPKI), c.VerifyConnection
	c.VerifyConnection = func(state tls.ConnectionState) error {
		if verify != nil {
			if err := verify(state); err != nil {
				return err
			}
		}
		if len(state.PeerCertificates) == 0 {
			return errors.New("the target presented no certificate")
		}
		if got := identity.SHA256(sha256.Sum256(state.PeerCertificates[0].RawSubjectPublicKeyInfo)); !slices.Contains(pins, got) {
			return fmt.Errorf("the target's public key %s is not one of the pinned ones", got)
		}
		return nil
	}
	return c
}

func (t transport) closeIdle() { t.http.CloseIdleConnections() }

// RoundTrip sends one request to the target and returns its response, as http.RoundTripper does. The caller has set
// the request's URL from the target.
func (t *Target) RoundTrip(r *http.Request) (*http.Response, error) {
	return t.transport.http.RoundTrip(r)
}

// TimedOut reports whether err says that a target took too long rather than that it could not be reached.
func TimedOut(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
