package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"sallyport/internal/tcp"
)

// bind opens the sockets that next needs and the gateway does not have. Addresses that overlap with those of a listener that goes
// come last: from then on its clients wait at the new one.
func (g *Gateway) bind(next *Snapshot) (map[string]*socket, error) {
	fresh := map[string]*socket{}
	var errs []error
	var overlapping []string
	for address, l := range next.listeners {
		if g.sockets[address] != nil {
			continue
		}
		bound, err := listenTCP(address, nil)
		switch {
		case err == nil:
			fresh[address] = newSocket(g, address, bound)
		case errors.Is(err, syscall.EADDRINUSE) && len(g.going(address, next)) > 0:
			overlapping = append(overlapping, address)
		default:
			errs = append(errs, fmt.Errorf("listener %q: %w", l.Name, err))
		}
	}
	if len(errs) == 0 {
		shared, err := g.bindOverlapping(overlapping, next)
		if err == nil {
			maps.Copy(fresh, shared)
			return fresh, nil
		}
		errs = append(errs, err)
	}
	for _, s := range fresh {
		errs = append(errs, s.abandon())
	}
	return nil, errors.Join(errs...)
}

// bindOverlapping binds addresses that overlap with ones that go in the same moment, such as 127.0.0.1:8443 with :8443: the two
// share the port until the old one is closed, so that no client finds it closed. When one cannot be bound all is as it was.
func (g *Gateway) bindOverlapping(addresses []string, next *Snapshot) (map[string]*socket, error) {
	slices.SortFunc(addresses, func(a, b string) int { // clients go to the most specific address, so that one comes last
		return strings.Compare(specific(a)+a, specific(b)+b)
	})
	fresh := map[string]*socket{}
	var shared []*socket
	var failed error
	for _, address := range addresses {
		for _, s := range g.going(address, next) {
			if tcp.Share(s.listener, true) == nil {
				shared = append(shared, s)
			}
		}
		l, err := listenTCP(address, tcp.Sharing)
		if err != nil {
			failed = fmt.Errorf("listener %q: %w", next.listeners[address].Name, err)
			break
		}
		_ = tcp.Share(l, false) // no other program is to bind it
		fresh[address] = newSocket(g, address, l)
	}
	if failed == nil {
		return fresh, nil
	}
	errs := []error{failed}
	for address, s := range fresh {
		errs = append(errs, s.giveBack(g.going(address, next)))
	}
	for _, s := range shared {
		_ = tcp.Share(s.listener, false) // it stays as it was
	}
	return nil, errors.Join(errs...)
}

// specific sorts addresses without a host before those with one.
func specific(address string) string {
	host, _, _ := net.SplitHostPort(address)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return "0"
	}
	return "1"
}

// going returns the sockets that next does not have, or that are about to be closed, and that may overlap with an address.
func (g *Gateway) going(address string, next *Snapshot) []*socket {
	var list []*socket
	for old, s := range g.sockets {
		if next.listeners[old] == nil && samePort(old, address) {
			list = append(list, s)
		}
	}
	g.leaving.Range(func(key, _ any) bool {
		if s, ok := key.(*socket); ok && samePort(s.address, address) {
			list = append(list, s)
		}
		return true
	})
	return list
}

// giveBack closes a socket that was bound for nothing. Clients that have connected to it meanwhile are served by the one that
// had their address before.
func (s *socket) giveBack(to []*socket) error {
	_ = tcp.Quieten(s.listener) // where that cannot be had, a client that connects in the last moment is reset
	err := s.listener.SetDeadline(time.Now().Add(lateGrace))
	for err == nil {
		var raw *net.TCPConn
		if raw, err = s.listener.AcceptTCP(); err != nil {
			break
		}
		if i := slices.IndexFunc(to, func(s *socket) bool { return !s.closing.Load() }); i >= 0 {
			to[i].admit(raw)
			continue
		}
		_ = raw.Close()
	}
	return s.abandon()
}

func listenTCP(address string, control func(network, address string, c syscall.RawConn) error) (*net.TCPListener, error) {
	config := &net.ListenConfig{Control: control}
	config.SetMultipathTCP(false) // its sockets cannot be quietened
	l, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	listener, ok := l.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("listen on %s: it is a %T", address, l), l.Close())
	}
	return listener, nil
}

func samePort(a, b string) bool {
	_, p, errP := net.SplitHostPort(a)
	_, q, errQ := net.SplitHostPort(b)
	return errP == nil && errQ == nil && p == q
}

// retire closes the sockets that next does not have. When it returns they accept nobody who begins to connect; their requests go
// on.
func (g *Gateway) retire(next *Snapshot) {
	var closing sync.WaitGroup
	for _, address := range slices.Sorted(maps.Keys(g.sockets)) {
		if next.listeners[address] != nil {
			continue
		}
		s := g.sockets[address]
		delete(g.sockets, address)
		grace := time.Duration(0)
		if next.overlaps(address) {
			grace = lateGrace // clients of the new address may be on their way through this one
			_ = tcp.Quieten(s.listener)
			g.leaving.Store(s, nil)
		}
		closed := make(chan struct{})
		end := func() {
			defer close(closed)
			defer g.leaving.Delete(s)
			if err := s.close(grace); err != nil {
				g.log.Warn("close listener", slog.String("address", address), slog.Any("error", err))
			}
		}
		if grace == 0 {
			closing.Go(end)
		} else {
			go end() // the drain below waits for it
		}
		g.drains.Go(func() {
			<-closed
			ctx, cancel := context.WithTimeout(g.cutting, next.drain)
			defer cancel()
			if err := s.drain(ctx); err != nil {
				g.log.Warn("listener retired before its requests ended", slog.String("address", address), slog.Any("error", err))
			}
		})
	}
	closing.Wait()
}

// overlaps reports whether a listener has an address that includes this one, or is included in it.
func (s *Snapshot) overlaps(address string) bool {
	for other := range s.listeners {
		if samePort(other, address) && (specific(other) == "0" || specific(address) == "0") {
			return true
		}
	}
	return false
}
