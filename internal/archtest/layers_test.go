package archtest_test

import (
	"path"
	"slices"
	"strings"
)

// apart is the level of the packages that are no part of the program.
const apart = -1

// layer is one level and its packages.
type layer struct {
	level    int
	packages []string
}

// layers is the layer table: a package imports only packages of lower levels. A name that ends in /* stands for every
// package directly below. A package may have its level here before it has code.
var layers = []layer{
	{6, []string{"cmd/sallyport"}},
	{5, []string{"daemon"}},
	{4, []string{"admin"}},
	{3, []string{"gateway"}},
	{2, []string{"judge", "policy", "upstream", "directory", "quota", "certstore", "inspect", "schema", "importer/*"}},
	{1, []string{"config", "trust", "store"}},
	{0, []string{"decision", "identity", "expression", "route", "certheader", "keystore", "seal", "wire", "tcp", "metrics", "demo"}},
	{apart, []string{"testpki", "archtest"}},
}

// dataPlane serves requests, controlPlane manages what is served. The first never imports the second, so that it keeps
// serving when the second is gone.
var (
	dataPlane = []string{
		"decision", "identity", "expression", "route", "certheader", "keystore", "wire", "tcp", "metrics", "config", "trust",
		"judge", "policy", "directory", "quota", "upstream", "gateway",
	}
	controlPlane = []string{"store", "certstore", "seal", "inspect", "admin", "importer/*", "daemon"}
)

// bannedImports are the packages that nobody imports, with what to use instead.
var bannedImports = map[string]string{
	"log":                         "log through the *slog.Logger that you were given",
	"math/rand":                   "use crypto/rand, or math/rand/v2 where nobody gains by guessing",
	"github.com/stretchr/testify": "use the standard testing package and go-cmp",
	"github.com/pkg/errors":       "use errors and fmt with %w",
}

// adapters are the packages in which net/http stays behind the files that begin with a word.
var adapters = map[string]string{"gateway": "nethttp", "upstream": "nethttp"}

// name returns what the layer table calls a directory.
func name(dir string) string { return strings.TrimPrefix(dir, "internal/") }

// listed reports whether list names the package, which may be by a pattern.
func listed(list []string, name string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		return entry == name || strings.HasSuffix(entry, "/*") && path.Dir(entry) == path.Dir(name)
	})
}

func level(name string) (int, bool) {
	for _, row := range layers {
		if listed(row.packages, name) {
			return row.level, true
		}
	}
	return 0, false
}

// harness reports whether a directory belongs to the tests and benchmarks of the program as a whole. They stand outside
// the layers: they may import everything, and nothing imports them.
func harness(dir string) bool {
	top, _, _ := strings.Cut(dir, "/")
	return top == "test" || top == "bench"
}

func under(imported, prefix string) bool {
	return imported == prefix || strings.HasPrefix(imported, prefix+"/")
}

// checkPlaces complains about packages that have no level.
func checkPlaces(m *module) (found complaints) {
	for _, p := range m.sorted() {
		inside := strings.HasPrefix(p.dir, "internal/") || strings.HasPrefix(p.dir, "cmd/")
		_, known := level(name(p.dir))
		if !harness(p.dir) && (!inside || !known) {
			found.addf("%s is not in the layer table", p.dir)
		}
	}
	return found
}

// checkLevels complains about imports that do not point down. Tests may also reach sideways and use testpki.
func checkLevels(m *module) (found complaints) {
	for _, p := range m.sorted() {
		if harness(p.dir) {
			continue
		}
		for _, f := range p.files {
			for _, imported := range f.imports {
				target, ok := m.own(imported)
				if !ok || target == p.dir {
					continue
				}
				if why := arrow(name(p.dir), name(target), f.test); why != "" {
					found.addf("%s/%s imports %s: %s", p.dir, f.name, target, why)
				}
			}
		}
	}
	return found
}

// arrow says why the package from may not import the package to; "" when it may.
func arrow(from, to string, test bool) string {
	upper, knownFrom := level(from)
	lower, knownTo := level(to)
	switch {
	case harness(to):
		return "the harness is imported by nobody"
	case !knownFrom || !knownTo:
		return "not in the layer table"
	case to == "archtest" || from == "archtest":
		return "archtest stands alone"
	case to == "testpki" && !test:
		return "testpki is for tests only"
	case to == "testpki":
		return ""
	case from == "testpki" && lower == 0:
		return ""
	case from == "testpki":
		return "testpki imports level 0 only"
	case lower < upper, test && lower == upper:
		return ""
	case lower == upper:
		return "packages of one level do not import each other"
	}
	return "arrows point down only"
}

// checkWall complains when the data plane reaches the control plane or etcd, directly or through other packages.
func checkWall(m *module) (found complaints) {
	for _, p := range m.sorted() {
		if listed(dataPlane, name(p.dir)) {
			m.climb(p, []string{name(p.dir)}, map[string]bool{}, &found)
		}
	}
	return found
}

// climb follows the imports of p and complains about those beyond the wall. The tests of the package where the way
// begins are looked at as well.
func (m *module) climb(p *pkg, way []string, seen map[string]bool, found *complaints) {
	files := p.files
	if len(way) > 1 {
		files = p.code()
	}
	for _, f := range files {
		for _, imported := range f.imports {
			target, own := m.own(imported)
			beyond := under(imported, "go.etcd.io") || own && listed(controlPlane, name(target))
			switch next := m.packages[target]; {
			case seen[imported]:
			case beyond:
				found.addf("%s: the data plane reaches %s", strings.Join(way, " → "), strings.TrimPrefix(imported, m.path+"/"))
			case own && next != nil:
				m.climb(next, append(slices.Clone(way), name(target)), seen, found)
			}
			seen[imported] = true
		}
	}
}

// checkBanned complains about packages that nobody imports, and about net/http outside its adapters.
func checkBanned(m *module) (found complaints) {
	for _, p := range m.sorted() {
		adapter, confined := adapters[name(p.dir)]
		for _, f := range p.files {
			for _, imported := range f.imports {
				for banned, instead := range bannedImports {
					// The standard packages are meant exactly: log/slog and math/rand/v2 are fine.
					if imported == banned || strings.Contains(banned, ".") && under(imported, banned) {
						found.addf("%s/%s imports %s: %s", p.dir, f.name, imported, instead)
					}
				}
				http := under(imported, "net/http") || under(imported, "golang.org/x/net/http2")
				if http && confined && !f.test && !strings.HasPrefix(f.name, adapter) {
					found.addf("%s/%s imports %s: only files %s*.go do", p.dir, f.name, imported, adapter)
				}
			}
		}
	}
	return found
}

// checkPlanes complains about planes that name packages without a level or share one.
func checkPlanes(data, control []string) (found complaints) {
	for _, name := range slices.Concat(data, control) {
		if !slices.ContainsFunc(layers, func(row layer) bool { return slices.Contains(row.packages, name) }) {
			found.addf("%s is in a plane and not in the layer table", name)
		}
	}
	for _, name := range data {
		if slices.Contains(control, name) {
			found.addf("%s is in both planes", name)
		}
	}
	return found
}
