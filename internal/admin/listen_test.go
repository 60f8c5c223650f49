package admin_test

import (
	"log/slog"
	"net"
	"strings"
	"testing"

	"sallyport/internal/admin"
)

func TestTheAddressIsLoopbackUnlessWrittenOut(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		address string
		host    string // that is bound
		warns   bool
	}{
		{"no host", ":0", "127.0.0.1", false},
		{"localhost", "localhost:0", "127.0.0.1", false},
		{"localhost in capitals", "LocalHost:0", "127.0.0.1", false},
		{"the loopback address", "127.0.0.1:0", "127.0.0.1", false},
		{"another loopback address", "127.0.0.2:0", "127.0.0.2", false},
		{"every IPv4 address", "0.0.0.0:0", "0.0.0.0", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, admin.Options{Address: test.address})
			host, _, err := net.SplitHostPort(s.server.Address())
			if err != nil {
				t.Fatal(err)
			}
			if want := net.ParseIP(test.host); !net.ParseIP(host).Equal(want) && !(want.IsUnspecified() && net.ParseIP(host).IsUnspecified()) {
				t.Errorf("bound to %s, want %s", host, test.host)
			}
			if warned := strings.Contains(s.log.String(), "level=WARN"); warned != test.warns {
				t.Errorf("warned: %v, want %v; log %q", warned, test.warns, s.log)
			}
			if test.warns && !strings.Contains(s.log.String(), "the admin address, and for health and metrics it asks nobody who they are") {
				t.Errorf("log %q", s.log)
			}
		})
	}
}

func TestAnAddressThatCannotBeBoundIsNamed(t *testing.T) {
	t.Parallel()
	taken := open(t, admin.Options{}).server.Address()
	for name, test := range map[string]struct{ address, says string }{
		"nothing":              {"", "host:port"},
		"a port alone":         {"9901", "host:port"},
		"a host alone":         {"127.0.0.1", "host:port"},
		"no port":              {"127.0.0.1:", "no port"},
		"a colon":              {":", "no port"},
		"IPv6 without braces":  {"::1:9901", "host:port"},
		"a port that is none":  {"127.0.0.1:99999", "port"},
		"an address in use":    {taken, "in use"},
		"an address elsewhere": {"192.0.2.1:9901", "192.0.2.1"},
	} {
		_, err := admin.Listen(t.Context(), admin.Options{Address: test.address, Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), `admin address "`+test.address+`"`) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
