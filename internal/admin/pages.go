package admin

import (
	"crypto/sha256"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

// maxScrapes is how many scrapes are answered at once: each holds a copy of every series.
const maxScrapes = 4

// handler answers every request.
type handler struct {
	hosts map[string]bool // that the address answers to, beside IP addresses and localhost: what it is bound to, and names
	log   *slog.Logger
	ready func() error
	pages map[string]http.HandlerFunc

	gatherer prometheus.Gatherer
	refusals Refusals
	token    *[sha256.Size]byte // the hash of the token; nil when there is none
	scrapes  chan struct{}      // a place for each
}

func newHandler(hosts map[string]bool, o *Options) *handler {
	h := &handler{hosts: hosts, log: o.Log, ready: o.Ready, gatherer: o.Gatherer, scrapes: make(chan struct{}, maxScrapes)}
	h.pages = map[string]http.HandlerFunc{"/livez": h.livez, "/readyz": h.readyz}
	if o.Gatherer != nil {
		h.pages["/metrics"] = h.metrics
	}
	if o.Refusals != nil {
		h.pages[refusalsPath], h.refusals = h.recentRefusals, o.Refusals
	}
	if o.Token != "" {
		sum := sha256.Sum256([]byte(o.Token))
		h.token = &sum
	}
	return h
}

// page returns what is at a path.
func (h *handler) page(path string) (http.HandlerFunc, bool) {
	if id, ok := strings.CutPrefix(path, refusalsPath+"/"); ok && h.refusals != nil && id != "" && !strings.Contains(id, "/") {
		return h.oneRefusal, true
	}
	page, known := h.pages[path]
	return page, known
}

// ServeHTTP implements http.Handler. Which names the address answers to comes first: to anybody else it says nothing.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	page, known := h.page(r.URL.Path)
	switch {
	case !h.answersTo(r.Host) && !h.unnamed(r):
		problem(w, http.StatusMisdirectedRequest, "Ask for an IP address, for localhost, or for a host that the address was told to answer to.")
	case !known:
		problem(w, http.StatusNotFound, "There is nothing here.")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		head.Set("Allow", "GET, HEAD")
		problem(w, http.StatusMethodNotAllowed, "This can only be read.")
	default:
		page(w, r)
	}
}

// answersTo reports whether the authority that a request was sent to is one of the address's own. A page that a browser
// loaded from a stranger's host is of the same origin as this address once the stranger's DNS says so (DNS rebinding),
// but its requests still name the stranger's host. No DNS is asked about an IP address.
func (h *handler) answersTo(authority string) bool {
	host := authority
	if name, port, err := net.SplitHostPort(authority); err == nil {
		if strings.Trim(port, "0123456789") != "" {
			return false
		}
		host = name
	} else if inner, ok := strings.CutPrefix(authority, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	host = normal(host)
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host == "localhost" || h.hosts[host]
}

// unnamed reports whether a request of HTTP/1.0 names no host at all, as simple probes do, at an address that is bound by its IP
// address. No browser sends one.
func (h *handler) unnamed(r *http.Request) bool {
	if r.ProtoAtLeast(1, 1) || r.Host != "" {
		return false
	}
	for host := range h.hosts {
		if _, err := netip.ParseAddr(host); err == nil {
			return true
		}
	}
	return false
}

// normal is the form in which host names are compared.
func normal(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

// livez says that the process serves.
func (h *handler) livez(w http.ResponseWriter, _ *http.Request) { ok(w) }

// readyz says whether the gateway should be sent requests.
func (h *handler) readyz(w http.ResponseWriter, _ *http.Request) {
	if h.ready == nil {
		problem(w, http.StatusServiceUnavailable, "Nothing says that the gateway is ready.")
		return
	}
	if err := h.ready(); err != nil {
		problem(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	ok(w)
}

// metrics collects first and answers then, so that a scrape that fails is seen to fail.
func (h *handler) metrics(w http.ResponseWriter, r *http.Request) {
	select {
	case h.scrapes <- struct{}{}:
		defer func() { <-h.scrapes }()
	default:
		problem(w, http.StatusServiceUnavailable, "Too many scrapes at once.")
		return
	}
	families, err := h.gatherer.Gather()
	if err != nil {
		h.log.LogAttrs(r.Context(), slog.LevelError, "collect metrics", slog.Any("error", err))
		problem(w, http.StatusInternalServerError, "The metrics cannot be collected; the log says why.")
		return
	}
	collected := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil })
	promhttp.HandlerFor(collected, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}

func ok(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n") // a client that is gone needs no answer
}

// details is a problem of RFC 9457 without a type of its own (§4.2.1).
type details struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// problem answers with an error.
func problem(w http.ResponseWriter, status int, detail string) {
	body, err := json.Marshal(details{Title: http.StatusText(status), Status: status, Detail: detail})
	if err != nil {
		body = []byte(`{}`) // strings and a number always marshal
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that is gone needs no answer
}
