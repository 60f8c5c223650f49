package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// variable is what picks a mutant of a test binary, by its number.
const variable = "SALLYPORT_MUTANT"

// mutant is a part of a file and what the mutant has in its place.
type mutant struct {
	id          int // from 1, in its unit
	file        *source
	function    string // with its receiver's type; "" outside functions
	start, end  int    // offsets
	replacement string // for people: what stands behind the number says the same
}

// line is the line on which the mutant begins.
func (m *mutant) line() int { return 1 + strings.Count(string(m.file.text[:m.start]), "\n") }

// lines are the whole lines that the mutant touches, before and after.
func (m *mutant) lines() (before, after string) {
	text := string(m.file.text)
	first := strings.LastIndexByte(text[:m.start], '\n') + 1
	last := m.end + strings.IndexByte(text[m.end:]+"\n", '\n')
	return text[first:last], text[first:m.start] + m.replacement + text[m.end:last]
}

// wrap is text around a part of a file.
type wrap struct {
	start, end     int
	prefix, suffix string
}

// apply returns text with the wraps. Of two around the same part the first is the outer one.
func apply(text []byte, wraps []wrap) []byte {
	type insertion struct {
		at, order int
		text      string
	}
	// Outer wraps open first and close last; what closes at an offset stands before what opens there.
	wraps = slices.Clone(wraps)
	slices.SortStableFunc(wraps, func(a, b wrap) int { return cmp.Or(a.start-b.start, b.end-a.end) })
	var all []insertion
	for i, w := range wraps {
		if w.start == w.end { // text that wraps nothing
			all = append(all, insertion{w.start, i + 1, w.prefix + w.suffix})
			continue
		}
		all = append(all, insertion{w.start, i + 1, w.prefix}, insertion{w.end, -i - 1, w.suffix})
	}
	slices.SortStableFunc(all, func(a, b insertion) int { return cmp.Or(a.at-b.at, a.order-b.order) })
	var out []byte
	done := 0
	for _, in := range all {
		out = append(append(out, text[done:in.at]...), in.text...)
		done = in.at
	}
	return append(out, text[done:]...)
}

// switchboard is the file that a mutated package has besides its own.
const switchboard = `package %s

import (
	"os"
	"slices"
	"strconv"
)

var mutantOn = func() int { n, _ := strconv.Atoi(os.Getenv(%q)); return n }()

func mutant(n int) bool { return n == mutantOn }

func mutantWithout[T any](first int, list []T) []T {
	if i := mutantOn - first; i >= 0 && i < len(list) {
		return slices.Delete(slices.Clone(list), i, i+1)
	}
	return list
}

func mutantShorter(n int, text string) string {
	if mutant(n) {
		return text[:len(text)-1]
	}
	return text
}

var (
	_ = mutantWithout[int]
	_ = mutantShorter
)
`

// writeOverlay writes the files of a mutated package into a folder and returns the name of the overlay, for go build.
func writeOverlay(root, folder string, u *unit, wraps map[*source][]wrap) (string, error) {
	replace := map[string]string{}
	put := func(name string, text []byte) error {
		file := filepath.Join(folder, strings.ReplaceAll(name, "/", "_"))
		replace[filepath.Join(root, name)] = file
		return os.WriteFile(file, text, 0o600)
	}
	if err := put(u.dir+"/mutants_on.go", fmt.Appendf(nil, switchboard, u.name, variable)); err != nil {
		return "", err
	}
	for f := range wraps {
		if err := put(f.path, apply(f.text, wraps[f])); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(folder, "overlay.json")
	return name, os.WriteFile(name, text, 0o600)
}
