package trust

import (
	"crypto/tls"
	"time"

	"sallyport/internal/decision"
)

// ClientTLS returns the configuration for connecting to serverName, a host name or an IP address, and trusting what the
// set trusts. The path is validated by the set and the name by RFC 9525, against subject alternative names only, on
// every connection, resumed ones included. A nil set and an empty name refuse every connection. The caller may add to
// the configuration; it must leave VerifyConnection in place.
func (s *Set) ClientTLS(serverName string) *tls.Config {
	return &tls.Config{
		ServerName: serverName,
		MinVersion: tls.VersionTLS12,
		// Go's own verification knows neither pins nor the rules on top, and is not run on resumption;
		// VerifyConnection is.
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection verifies
		VerifyConnection: func(state tls.ConnectionState) error {
			return s.verifyServer(state, serverName)
		},
	}
}

func (s *Set) verifyServer(state tls.ConnectionState, serverName string) error {
	chain := NewChain(state.PeerCertificates)
	if err := s.Verify(chain, time.Now()).Err(); err != nil {
		return err
	}
	if serverName == "" {
		return &Error{Reason: decision.InternalError, Detail: "no server name to compare the certificate with"}
	}
	if err := chain.Leaf().VerifyHostname(serverName); err != nil {
		f := faultf(chain.Leaf(), decision.CertificateNotAllowed, "%s: %v", name(chain.Leaf()), err)
		return &Error{Reason: f.reason, Detail: f.detail}
	}
	return nil
}
