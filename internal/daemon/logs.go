package daemon

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"sallyport/internal/config"
)

// logs makes loggers whose format and level follow the document over reloads.
type logs struct {
	level      slog.LevelVar
	text       atomic.Bool
	json, line slog.Handler
}

func newLogs(w io.Writer) *logs {
	l := &logs{}
	shared := &serialized{w: w}
	options := &slog.HandlerOptions{Level: slog.LevelDebug} // levels are decided in logHandler.Enabled
	l.json, l.line = slog.NewJSONHandler(shared, options), slog.NewTextHandler(shared, options)
	return l
}

// apply makes the loggers follow what the document says.
func (l *logs) apply(c config.Log) {
	level := slog.LevelInfo
	if c.Level != "" {
		_ = level.UnmarshalText([]byte(c.Level)) // config has checked the word
	}
	l.level.Set(level)
	l.text.Store(c.Format == "text")
}

// events is the log of what the program does; the document's level applies.
func (l *logs) events() *slog.Logger { return slog.New(logHandler{l, l.json, l.line, false}) }

// access is the log of requests. No level silences it: a refusal is never left out.
func (l *logs) access() *slog.Logger { return slog.New(logHandler{l, l.json, l.line, true}) }

// logHandler sends records to one of two handlers, by the format of the moment.
type logHandler struct {
	logs       *logs
	json, line slog.Handler
	always     bool
}

func (h logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return h.always || level >= h.logs.level.Level()
}

func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	if h.logs.text.Load() {
		return h.line.Handle(ctx, r)
	}
	return h.json.Handle(ctx, r)
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.logs, h.json.WithAttrs(attrs), h.line.WithAttrs(attrs), h.always}
}

func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.logs, h.json.WithGroup(name), h.line.WithGroup(name), h.always}
}

// serialized keeps the lines of the two handlers, each of which has a lock of its own, from mixing.
type serialized struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *serialized) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(line)
}
