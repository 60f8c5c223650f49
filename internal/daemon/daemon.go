// Package daemon is the composition root: it loads the document, compiles it, runs the gateway, and replaces the running
// snapshot when the document or one of the files that it names changes.
//
// It owns the order of starting, reloading and stopping and decides nothing about requests. It never changes a
// document, and a document that does not load or compile never replaces the one that runs. Run and Check may be called
// concurrently with themselves.
package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"sallyport/internal/admin"
	"sallyport/internal/config"
	"sallyport/internal/gateway"
	"sallyport/internal/metrics"
)

// Options are what Run needs.
type Options struct {
	// Config is the document: a file or a directory.
	Config string
	// ServePartial starts although references are broken; the APIs that need them refuse. A reload never does.
	ServePartial bool
	// Log takes log lines. It must not be nil.
	Log io.Writer
	// Reload makes Run load the document again. Nil means that only changed files do.
	Reload <-chan struct{}
	// Poll is how often the files are looked at; zero means every second.
	Poll time.Duration
	// Clock is what certificates are judged by; nil is the system's.
	Clock *gateway.Clock
	// Ready is called once the first snapshot serves. Nil is fine.
	Ready func(*gateway.Gateway)
	// Admin is the address of health checks and metrics; empty means none.
	Admin string
	// AdminHosts are names that requests to that address may be sent to; see admin.Options.
	AdminHosts []string
	// AdminToken is what whoever reads refusals there has to know; empty means that nobody does.
	AdminToken string
	// Logger is given the log of events before anything runs, for libraries that know no other than the process's
	// default. Nil is fine.
	Logger func(*slog.Logger)
	// Version is what the metrics say the program is.
	Version string
}

// Checked is a document that loaded and compiled.
type Checked struct {
	Document *config.Document
	Snapshot *gateway.Snapshot
	// Unbuilt is what the document says and this build does not do: reasons not to run it.
	Unbuilt []config.Error
}

// Check loads and compiles a document without running it. The error is a config.ErrorList when the document is wrong,
// and says why the path could not be read otherwise.
func Check(path string, options config.Options, previous *gateway.Snapshot, clock *gateway.Clock) (*Checked, error) {
	doc, err := config.Load(path, options)
	if err != nil {
		return nil, err
	}
	c := &Checked{Document: doc, Unbuilt: gateway.Unbuilt(doc)}
	c.Snapshot, err = gateway.Compile(doc, previous, clock)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Notes are the remarks about the document and about what was compiled from it, ordered by position.
func (c *Checked) Notes() []config.Note {
	notes := append(c.Document.Notes(), c.Snapshot.Notes()...)
	config.SortNotes(notes)
	return notes
}

// Runnable returns what keeps the document from being run by this build, nil when nothing does.
func (c *Checked) Runnable() error {
	if len(c.Unbuilt) > 0 {
		return config.ErrorList(c.Unbuilt)
	}
	if len(c.Document.Listeners) == 0 {
		return errors.New("the document has no listeners: there is nothing to run")
	}
	return nil
}

// Run serves until ctx ends and then stops in order: readiness, accepting, requests, the rest. An error before the first
// snapshot serves means that nothing was started; a wrong document is a config.ErrorList.
func Run(ctx context.Context, o Options) error {
	if o.Clock == nil {
		o.Clock = gateway.NewClock(nil)
	}
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	seen, began := newWatch(o.Config), time.Now()
	lists := &config.Lists{}
	checked, err := Check(o.Config, config.Options{ServePartial: o.ServePartial, Done: ctx.Done(), Lists: lists}, nil, o.Clock)
	if err != nil {
		return err
	}
	if err := checked.Runnable(); err != nil {
		return err
	}
	logs := newLogs(o.Log)
	logs.apply(checked.Document.Log)
	if o.Logger != nil {
		o.Logger(logs.events().With(slog.String("source", "library")))
	}
	counters := metrics.New(o.Version)
	g := gateway.New(gateway.Options{Log: logs.events(), Access: logs.access(), Clock: o.Clock, Metrics: counters})
	d := &daemon{options: o, log: logs.events(), logs: logs, gateway: g, metrics: counters, watch: seen, lists: lists}
	d.phase.Store(starting)
	closeAdmin, err := d.openAdmin(ctx)
	if err != nil {
		return err
	}
	defer closeAdmin()
	if err := g.Swap(checked.Snapshot); err != nil {
		return err
	}
	d.runs(checked)
	d.watch.follow(checked.Document.Files(), began)
	d.phase.Store(serving) // before the log says so: who reads that may ask at once
	d.log.LogAttrs(ctx, slog.LevelInfo, "serving", d.running(checked)...)
	d.remark(checked)
	if o.Ready != nil {
		o.Ready(g)
	}
	d.loop(ctx)
	return d.stop(context.WithoutCancel(ctx))
}

// The phases of the program, of which readiness tells.
const (
	starting int32 = iota
	serving
	stopping
)

// ready says why no new request should be sent here, nil when there is no reason.
func (d *daemon) ready() error {
	switch d.phase.Load() {
	case serving:
		return nil
	case stopping:
		return errors.New("the program is stopping")
	}
	return errors.New("the first configuration is not serving yet")
}

// openAdmin opens the address of health checks and metrics, where there is one. The returned function closes it.
func (d *daemon) openAdmin(ctx context.Context) (closing func(), err error) {
	if d.options.Admin == "" {
		return func() {}, nil
	}
	server, err := admin.Listen(ctx, admin.Options{
		Address: d.options.Admin, Hosts: d.options.AdminHosts, Ready: d.ready, Gatherer: d.metrics.Gatherer(), Refusals: d.gateway, Token: d.options.AdminToken, Log: d.log,
	})
	if err != nil {
		return nil, err
	}
	d.log.Info("admin", slog.String("address", server.Address()))
	open, cancel := context.WithCancel(context.WithoutCancel(ctx)) // it answers until the very end
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(open) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			d.log.Warn("admin", slog.Any("error", err))
		}
	}, nil
}

// stop ends everything in order: first nobody new is sent here, then nobody is accepted, then requests end.
func (d *daemon) stop(ctx context.Context) error {
	d.phase.Store(stopping)
	limits := d.shutdown
	d.log.Info("stopping", slog.String("delay", limits.Delay.String()), slog.String("drain", limits.Drain.String()))
	if limits.Delay > 0 {
		work, cancel := context.WithTimeout(ctx, limits.Delay)
		_ = d.gateway.Run(work) // streams are judged to the end
		cancel()
	}
	drain, cancel := context.WithTimeout(ctx, limits.Drain)
	defer cancel()
	work, end := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = d.gateway.Run(work)
	}()
	err := d.gateway.Shutdown(drain)
	end()
	<-ended
	if err != nil {
		d.log.Warn("stopped before every request had ended", slog.Any("error", err))
	}
	d.log.Info("stopped")
	return nil
}

type daemon struct {
	options Options
	log     *slog.Logger
	logs    *logs
	gateway *gateway.Gateway
	metrics *metrics.Set
	watch   *watch
	lists   *config.Lists

	shutdown config.Shutdown // of the running document
	phase    atomic.Int32    // one of the phases
}

// runs remembers what of a document the daemon itself needs.
func (d *daemon) runs(c *Checked) {
	d.shutdown = c.Document.Shutdown.Bounds()
	d.metrics.Reloaded(true, c.Snapshot.Generation())
}

// loop reloads when it is told to or when a file has changed, until ctx ends.
func (d *daemon) loop(ctx context.Context) {
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = d.gateway.Run(work) // it ends with work and has no other error
	}()
	defer func() { cancel(); <-ended }()

	tick := time.NewTicker(d.options.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.options.Reload:
			d.reload(ctx, "signal")
		case <-tick.C:
			if d.watch.changed() {
				d.reload(ctx, "file change")
			}
		}
	}
}

// reload puts the document to work as it is now, or says why the running one stays.
func (d *daemon) reload(ctx context.Context, trigger string) {
	began := time.Now()
	d.watch.settle() // before reading: what changes while it is read is seen at the next tick
	var files []string
	seen := func(path string) { files = append(files, path) }
	checked, err := Check(d.options.Config, config.Options{Seen: seen, Done: ctx.Done(), Lists: d.lists}, d.gateway.Snapshot(), d.options.Clock)
	d.watch.follow(files, began) // those of a refused document, too: a missing file may come
	if err == nil {
		err = checked.Runnable()
	}
	if err == nil {
		err = d.gateway.Swap(checked.Snapshot)
	}
	if err != nil {
		d.refused(trigger, err)
		return
	}
	d.logs.apply(checked.Document.Log)
	d.runs(checked)
	d.log.LogAttrs(ctx, slog.LevelInfo, "reloaded", append(d.running(checked), slog.String("trigger", trigger))...)
	d.remark(checked)
}

// refused says why a document does not replace the running one, a line for each error.
func (d *daemon) refused(trigger string, err error) {
	running := d.gateway.Snapshot().Generation()
	d.metrics.Reloaded(false, running)
	generation := slog.Uint64("generation", running)
	list, ok := errors.AsType[config.ErrorList](err)
	if !ok {
		d.log.Error("reload refused; the running configuration stays", slog.String("trigger", trigger), slog.Any("error", err), generation)
		return
	}
	for i := range list {
		d.log.Error("configuration", slog.String("error", list[i].Error()))
	}
	d.log.Error("reload refused; the running configuration stays",
		slog.String("trigger", trigger), slog.Int("errors", len(list)), generation)
}

// running says what is running.
func (d *daemon) running(c *Checked) []slog.Attr {
	return []slog.Attr{
		slog.Uint64("generation", c.Snapshot.Generation()),
		slog.Int("apis", len(c.Document.APIs)),
		slog.Any("listeners", d.gateway.Addresses()),
	}
}

// remark says everything about what is running that deserves a look.
func (d *daemon) remark(c *Checked) {
	for _, n := range c.Notes() {
		d.log.Warn("configuration", slog.String("note", n.String()))
	}
	if broken := c.Snapshot.Broken(); len(broken) > 0 {
		d.log.Warn("serving partially: these APIs refuse every request", slog.Any("broken", broken))
	}
}
