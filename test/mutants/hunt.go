package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// hunt is one target and what became of its mutants.
type hunt struct {
	root, folder string
	target       target
	equivalents  []equivalent
	workers      int
	pattern      *regexp.Regexp // of the places of the mutants to try
	out          io.Writer

	unit     *unit
	overlay  string
	excluded map[*mutant]string // equivalent mutants, with the reason

	mu       sync.Mutex // held while reporting
	killed   map[*mutant]string
	problems []error
}

// place is where a mutant is, for people and patterns.
func (m *mutant) place() string { return fmt.Sprintf("%s:%d %s", m.file.path, m.line(), m.function) }

// prepare finds the mutants and writes the overlay with all of them.
func (h *hunt) prepare(ctx context.Context) ([]*mutant, error) {
	u, err := load(ctx, h.root, h.target.dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", h.target.dir, err)
	}
	all, wraps, err := find(u, h.target)
	if err != nil {
		return nil, err
	}
	h.unit = u
	if h.excluded, err = exclude(all, h.equivalents); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(h.folder, "")
	if err != nil {
		return nil, err
	}
	h.overlay, err = writeOverlay(h.root, folder, u, wraps)
	return slices.DeleteFunc(all, func(m *mutant) bool { return !h.pattern.MatchString(m.place()) }), err
}

func (h *hunt) list(ctx context.Context) error {
	all, err := h.prepare(ctx)
	for _, m := range all {
		before, after := m.lines()
		fmt.Fprintf(h.out, "%s\n%s", m.place(), diff(before, after))
	}
	fmt.Fprintf(h.out, "%s: %d mutants\n", h.target.dir, len(all))
	return err
}

// hunt tries every mutant. The error names the survivors.
func (h *hunt) hunt(ctx context.Context) error {
	begin := time.Now()
	all, err := h.prepare(ctx)
	if err != nil {
		return err
	}
	h.killed = map[*mutant]string{}
	alive := all
	for i, dir := range h.target.tests {
		if len(alive) == 0 {
			break
		}
		s, err := compile(ctx, h.root, dir, h.overlay, filepath.Dir(h.overlay))
		if err != nil {
			return err
		}
		fmt.Fprintf(h.out, "%s: %d mutants against the tests of %s\n", h.target.dir, len(alive), dir)
		h.parallel(alive, func(m *mutant) {
			failed, output := s.run(ctx, m.id)
			h.report(ctx, m, failed, output, dir)
		})
		if i == 0 { // what cannot be told apart is tried by the package's own tests, to see that this is so
			alive = slices.DeleteFunc(alive, func(m *mutant) bool { return h.excluded[m] != "" })
		}
		alive = slices.DeleteFunc(alive, func(m *mutant) bool { return h.killed[m] != "" })
	}
	for _, dir := range h.target.whole {
		if _, err := os.Stat(filepath.Join(h.root, dir)); err != nil || len(alive) == 0 {
			continue
		}
		if failed, output := runAll(ctx, h.root, dir, h.overlay, 0); failed {
			return fmt.Errorf("the tests of %s fail without a mutant, at %s:\n%s", dir, blame(output), tail(output))
		}
		for _, m := range alive {
			failed, output := runAll(ctx, h.root, dir, h.overlay, m.id)
			h.report(ctx, m, failed, output, dir)
		}
		alive = slices.DeleteFunc(alive, func(m *mutant) bool { return h.killed[m] != "" })
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	h.summary(all, alive, time.Since(begin))
	if len(alive) > 0 {
		h.problems = append(h.problems, fmt.Errorf("%s: %d of %d mutants survived", h.target.dir, len(alive), len(all)))
	}
	return errors.Join(h.problems...)
}

// parallel calls try for each mutant, several at a time.
func (h *hunt) parallel(all []*mutant, try func(*mutant)) {
	queue := make(chan *mutant)
	var workers sync.WaitGroup
	for range h.workers {
		workers.Go(func() {
			for m := range queue {
				try(m)
			}
		})
	}
	for _, m := range all {
		queue <- m
	}
	close(queue)
	workers.Wait()
}

// report takes the result of the tests of a package with a mutant.
func (h *hunt) report(ctx context.Context, m *mutant, failed bool, output, dir string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !failed || ctx.Err() != nil {
		return
	}
	test := blame(output)
	if test == "" {
		h.problems = append(h.problems, fmt.Errorf("%s: the tests of %s fail, and none of them is named:\n%s", m.place(), dir, tail(output)))
		test = "no named test"
	}
	if why := h.excluded[m]; why != "" {
		h.problems = append(h.problems, fmt.Errorf("%s is said to be equivalent (%s), but %s fails", m.place(), why, test))
	}
	h.killed[m] = test
	_, after := m.lines()
	fmt.Fprintf(h.out, "killed  %s: %s\n        by %s in %s\n", m.place(), brief(after), test, dir)
}

func (h *hunt) summary(all, alive []*mutant, took time.Duration) {
	for _, m := range alive {
		before, after := m.lines()
		fmt.Fprintf(h.out, "SURVIVED %s\n%s", m.place(), diff(before, after))
	}
	by := map[string]int{}
	for _, test := range h.killed {
		name, _, _ := strings.Cut(test, "/")
		name, _, _ = strings.Cut(name, " ")
		by[name]++
	}
	for _, name := range slices.SortedFunc(maps.Keys(by), func(a, b string) int { return by[b] - by[a] }) {
		fmt.Fprintf(h.out, "%6d %s\n", by[name], name)
	}
	fmt.Fprintf(h.out, "%s: %d mutants, %d killed, %d equivalent, %d survived, in %s\n", h.target.dir, len(all), len(h.killed),
		len(all)-len(h.killed)-len(alive), len(alive), took.Round(time.Second))
}

func brief(lines string) string { return strings.Join(strings.Fields(lines), " ") }

func diff(before, after string) string {
	var text strings.Builder
	for _, side := range []struct{ sign, lines string }{{"-", before}, {"+", after}} {
		for line := range strings.Lines(side.lines) {
			text.WriteString(side.sign + strings.TrimSuffix(line, "\n") + "\n")
		}
	}
	return text.String()
}
