package gateway

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/internal/decision"
	"sallyport/internal/expression"
	"sallyport/internal/judge"
)

// Bounds of what is kept of recent refusals: the newest, so many of them, and so many bytes of certificates and texts.
const (
	maxRefusals     = 1024
	maxRefusalBytes = 8 << 20
	maxRefusalText  = 4096 // of method, host and target
)

// Refusal is a request, or a handshake, that was refused a while ago, or would have been without observe_only, or a stream
// that was cut because it would be refused.
type Refusal struct {
	// RequestID is what the answer and the access record said.
	RequestID string `json:"request_id"`
	// Time is when it was decided.
	Time time.Time `json:"time"`
	// Generation is that of the snapshot that decided.
	Generation uint64 `json:"generation"`
	// Decision is deny, or allow where observe_only let the request through.
	Decision string `json:"decision"`
	// Reason and Detail are the record's; with observe_only they say why it would have been refused.
	Reason decision.Reason `json:"reason"`
	Detail string          `json:"detail,omitempty"`
	// Status is what the caller got; 0 for a handshake.
	Status int `json:"status,omitempty"`
	// Failure is what went wrong after the request had been let through; "" for nothing.
	Failure string `json:"failure,omitempty"`
	// Handshake says that the refusal was in the handshake.
	Handshake bool `json:"handshake_refused"`
	// After says that the request was judged and let through, and refused afterwards: its body, or the upstream.
	After bool `json:"refused_after_judging"`
	// Remote is the address of the peer.
	Remote string `json:"remote"`
	// Listener, Method, Host and Path are the request's; the last three are empty for a handshake. The query is not kept.
	Listener string `json:"listener"`
	Method   string `json:"method,omitempty"`
	Host     string `json:"host,omitempty"`
	Path     string `json:"path,omitempty"`

	request judge.Request // without listener and evidence
	kept    judge.Kept
	unkept  string // why it cannot be judged again; "" when it can
}

// Recollection is a refusal with its explanation by the rules of now.
type Recollection struct {
	Refusal

	// ExplainedBy is the generation of the rules that the explanation is by. Where it is not the refusal's own, the
	// document, or what it names, was changed in between.
	ExplainedBy uint64 `json:"explained_by_generation"`
	// Explanation decides again about what was presented, at the time of then; nil where that cannot be done.
	Explanation *judge.Explanation `json:"explanation,omitempty"`
	// Unexplained says why there is no explanation.
	Unexplained string `json:"unexplained,omitempty"`
	// Changes say what could be changed so that the request passes, where it was not the rules that refused it.
	Changes []string `json:"what_to_change,omitempty"`
}

// refusals is a ring of the newest. The zero value is empty and ready.
type refusals struct {
	mu    sync.Mutex
	kept  []*Refusal // oldest first, from first on
	first int
	bytes int
	byID  map[string]*Refusal
}

func (r *Refusal) size() int {
	const rest = 512
	n := rest + len(r.Method) + len(r.Host) + len(r.Path) + len(r.Detail) + len(r.Failure) +
		len(r.request.Method) + len(r.request.Authority) + len(r.request.Target) + len(r.request.ServerName)
	for i := range r.request.Fields {
		n += 64 + len(r.request.Fields[i].Value)
	}
	return n + r.kept.Bytes()
}

// add remembers a refusal and forgets the oldest as far as needed.
func (l *refusals) add(r *Refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byID == nil {
		l.byID = map[string]*Refusal{}
	}
	l.kept = append(l.kept, r)
	l.byID[r.RequestID] = r
	l.bytes += r.size()
	for len(l.kept)-l.first > maxRefusals || l.bytes > maxRefusalBytes && len(l.kept)-l.first > 1 {
		old := l.kept[l.first]
		l.kept[l.first] = nil
		l.first++
		l.bytes -= old.size()
		delete(l.byID, old.RequestID)
	}
	if l.first > maxRefusals { // the array is twice as long as it has to be
		l.kept = append(l.kept[:0:0], l.kept[l.first:]...)
		l.first = 0
	}
}

func (l *refusals) find(id string) *Refusal {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byID[id]
}

// newest returns so many of the newest, the newest first.
func (l *refusals) newest(most int) []*Refusal {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []*Refusal
	for i := len(l.kept) - 1; i >= l.first && len(list) < most; i-- {
		list = append(list, l.kept[i])
	}
	return list
}

// Refusals returns the newest refusals that are still remembered, the newest first. What it yields must not be changed.
func (g *Gateway) Refusals() iter.Seq[*Refusal] {
	return func(yield func(*Refusal) bool) {
		for _, r := range g.refusals.newest(maxRefusals) {
			if !yield(r) {
				return
			}
		}
	}
}

// Recall explains a refusal by its request id, by the rules that are running now and at the time of then. It is nil when
// the id is unknown: never logged here, or too long ago.
func (g *Gateway) Recall(requestID string) *Recollection {
	r := g.refusals.find(requestID)
	s := g.snapshot.Load()
	if r == nil || s == nil {
		return nil
	}
	out := &Recollection{Refusal: *r, ExplainedBy: s.generation}
	var err error
	if r.unkept != "" {
		err = errors.New(r.unkept)
	} else {
		past := judge.Past{Request: r.request, Listener: r.Listener, Handshake: r.Handshake}
		past.Request.Evidence = r.kept.Evidence()
		out.Explanation, err = s.rules.ExplainPast(&past)
	}
	if err != nil {
		out.Unexplained = err.Error()
	}
	if r.unkept != "" || r.After {
		out.Changes = r.advice()
	}
	return out
}

// advice is for refusals that the rules have no part in.
func (r *Refusal) advice() []string {
	switch r.Reason { //nolint:exhaustive // the others are for explain
	case decision.RequestMalformed:
		return []string{"The client has to send the request otherwise; the detail says what is wrong with it."}
	case decision.RequestTooLarge:
		return []string{fmt.Sprintf("The client has to send less, or the limit that the detail names has to be raised, in the limits of the API or of the listener %q.", r.Listener)}
	case decision.RequestTimeout:
		return []string{fmt.Sprintf("The client has to send faster, or the limit that the detail names has to be changed, in the limits of the API or of the listener %q.", r.Listener)}
	case decision.MisdirectedRequest:
		return []string{"The client has to open a new connection; most do so by themselves after 421."}
	case decision.Overloaded, decision.UpstreamUnavailable:
		return []string{"The request may pass when it is sent again. If this happens often, look at the upstream and at what the detail names."}
	}
	return nil
}

// remember keeps what explain needs of a request that was refused.
func (x *exchange) remember() {
	o := &x.outcome
	v := x.view
	refused, word := o.Decision, "deny"
	if o.Allowed() {
		refused, word = o.WouldBe, "allow"
	}
	if refused.Allowed() {
		refused, v.Now = x.stream.refused()
	}
	if refused.Allowed() {
		return
	}
	path := pathForLog(&v, o)
	raw, query, _ := strings.Cut(v.Target, "?")
	r := &Refusal{
		RequestID: x.record.id, Time: v.Now, Generation: x.snapshot.generation, Decision: word, Reason: refused.Reason, Detail: boundedDetail(refused.Detail),
		Status: x.record.status, Failure: x.record.failure, Remote: x.record.remote, Listener: v.Listener.Name,
		Method: strings.Clone(bounded(v.Method)), Host: strings.Clone(bounded(v.Authority)), Path: strings.Clone(path), After: x.stage == afterJudging,
	}
	switch {
	case x.stage == beforeJudging:
		r.unkept = "it was refused before anything was judged"
	case strings.ContainsFunc(query, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '#' }):
		r.unkept = "it was refused for its query, which is not kept"
	case len(raw)+len(v.Authority)+len(v.Method) > maxRefusalText:
		r.unkept = "the request line is too long to be kept"
	default:
		r.kept = v.Evidence.Keep()
		v.Method, v.Authority, v.Target = strings.Clone(v.Method), strings.Clone(v.Authority), strings.Clone(raw) // without the rest of the head
		v.Listener, v.Evidence, v.Fields = nil, nil, keep(v.Fields)
		r.request = v
	}
	x.g.refusals.add(r)
}

// keep copies header fields for whoever keeps them longer than the head of the request; nobody is shown them. Of a value
// that is too long for an expression it keeps enough to be too long again.
func keep(fields []expression.Field) []expression.Field {
	kept := slices.Clone(fields)
	for i := range kept {
		value := kept[i].Value
		kept[i].Value = strings.Clone(value[:min(len(value), expression.MaxText+1)])
	}
	return kept
}
