package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/route"
)

// The bounds on clients of the address. Scrapes of large gateways are long to write, everything else is small.
const (
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	writeTimeout   = time.Minute
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 8 << 10
	stopTimeout    = 2 * time.Second
)

// loopback is where an address without a host is.
const loopback = "127.0.0.1"

// Options are what Listen needs.
type Options struct {
	// Address is host:port. Without a host, and for localhost, it is on 127.0.0.1. The port must be given; 0 stands for
	// one that is free. An address that other machines can reach is bound only when it is written out, such as 0.0.0.0,
	// and a warning says that it asks nobody who they are.
	Address string
	// Hosts are names, beside IP addresses, localhost and the host of Address, that requests may be sent to, such as that of a
	// service in a cluster. A name has no port and no wildcard.
	Hosts []string
	// Ready returns nil while the gateway serves, and otherwise why it does not: starting, stopping. Whoever asks can
	// read the text of the error. It may be called concurrently. When it is nil, the gateway is never ready.
	Ready func() error
	// Gatherer collects what /metrics shows. When it is nil, there is no /metrics.
	Gatherer prometheus.Gatherer
	// Refusals are what the gateway remembers of requests that it refused. When it is nil, they cannot be read.
	Refusals Refusals
	// Token is what whoever reads refusals has to know; see CheckToken. Without one nobody reads them.
	Token string
	// Log takes events. It must not be nil.
	Log *slog.Logger
}

// Server is the admin address, bound. It must be made with Listen.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// Listen binds the address; connections wait until Serve. Errors name the address. Only Serve gives the address up.
func Listen(ctx context.Context, o Options) (*Server, error) {
	host, port, err := split(o.Address)
	if err != nil {
		return nil, fmt.Errorf("admin address %q: %w", o.Address, err)
	}
	if o.Token != "" {
		if err := CheckToken(o.Token); err != nil {
			return nil, fmt.Errorf("admin address %q: %w", o.Address, err)
		}
	}
	hosts, err := names(host, o.Hosts)
	if err != nil {
		return nil, fmt.Errorf("admin address %q: %w", o.Address, err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("admin address %q: %w", o.Address, err)
	}
	if bound, ok := l.Addr().(*net.TCPAddr); !ok || !bound.IP.IsLoopback() {
		o.Log.LogAttrs(ctx, slog.LevelWarn, "other machines can reach the admin address, and for health and metrics it asks nobody who they are",
			slog.String("address", l.Addr().String()))
	}
	return newServer(l, newHandler(hosts, &o), o.Log), nil
}

// split takes an address apart into what is bound.
func split(address string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(address)
	if err != nil {
		return "", "", errors.New("want host:port or :port")
	}
	if port == "" {
		return "", "", errors.New("there is no port")
	}
	if host == "" || strings.EqualFold(host, "localhost") {
		host = loopback // whatever the system's resolver says about it (RFC 6761 §6.3)
	}
	return host, port, nil
}

// names returns the normal forms of what the address answers to: the host that is bound and those that were added.
func names(bound string, more []string) (map[string]bool, error) {
	hosts := map[string]bool{normal(bound): true}
	for _, name := range more {
		host, err := route.Host(name)
		if err == nil && (host == "" || strings.ContainsAny(name, ":[]")) {
			err = errors.New("want a name, without a port")
		}
		if err != nil {
			return nil, fmt.Errorf("host %q: %w", name, err)
		}
		hosts[host] = true
	}
	return hosts, nil
}

func newServer(l net.Listener, h http.Handler, log *slog.Logger) *Server {
	var p http.Protocols
	p.SetHTTP1(true)
	return &Server{listener: l, http: &http.Server{
		Handler:                      h,
		Protocols:                    &p,
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            headerTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
}

// Address returns the bound address: with port 0 the one that was chosen.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Serve answers until ctx ends, then lets requests end for two seconds, closes the rest and returns nil. An error says
// that the address could not be served any more. Either way the address is given up, so Serve must be called even when
// ctx has ended, and once.
func (s *Server) Serve(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- s.http.Serve(s.listener) }()
	select {
	case err := <-ended:
		return errors.Join(s.failed(err), s.http.Close())
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if s.http.Shutdown(stop) != nil {
		_ = s.http.Close() // what has not ended by now is cut
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return s.failed(err)
	}
	return nil
}

func (s *Server) failed(err error) error {
	return fmt.Errorf("serve the admin address %s: %w", s.Address(), err)
}
