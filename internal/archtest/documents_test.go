package archtest_test

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	architecture = "docs/architecture.md"
	decisions    = "docs/decisions"

	maxReadmeLines   = 150
	maxDecisionLines = 60 // one page
)

var (
	// layerRow is a row of the layer table in docs/architecture.md: level, package, sentence.
	layerRow = regexp.MustCompile("^\\| *([0-9]+|–) *\\| *`([a-z/*]+)` *\\| *([^|]*?) *\\|$")

	decisionFile   = regexp.MustCompile(`^([0-9]{4})-[a-z0-9]+(-[a-z0-9]+)*\.md$`)
	decisionStatus = regexp.MustCompile(`(?m)^Status: (accepted|proposed|superseded by ([0-9]{4}))$`)

	// machinePath is an absolute path that only means something on the machine of whoever wrote it.
	machinePath = regexp.MustCompile(`(^|[^A-Za-z0-9_.~/-])/(work|root)/[^\s"'` + "`" + `]*`)
)

// checkArchitecture complains when the layer table in the documents and the packages differ.
func checkArchitecture(m *module) (found complaints) {
	text, ok := m.documents[architecture]
	if !ok {
		return complaints{architecture + " is missing"}
	}
	rows := map[string]int{}
	for line := range strings.Lines(text) {
		row := layerRow.FindStringSubmatch(strings.TrimSpace(line))
		if row == nil {
			continue
		}
		if _, twice := rows[row[2]]; twice {
			found.addf("%s: two rows for %s", architecture, row[2])
		}
		if row[3] == "" {
			found.addf("%s: the row of %s has no sentence", architecture, row[2])
		}
		rows[row[2]] = apart
		if n, err := strconv.Atoi(row[1]); err == nil {
			rows[row[2]] = n
		}
	}
	for _, p := range m.sorted() {
		if harness(p.dir) {
			continue
		}
		written, ok := rows[name(p.dir)]
		delete(rows, name(p.dir))
		want, _ := level(name(p.dir)) // checkPlaces complains about packages without one
		switch {
		case !ok:
			found.addf("%s: no row for %s", architecture, p.dir)
		case written != want:
			found.addf("%s: %s has another level than in the layer table", architecture, p.dir)
		}
	}
	for _, ghost := range slices.Sorted(maps.Keys(rows)) {
		found.addf("%s: a row for %s, which does not exist", architecture, ghost)
	}
	return found
}

// checkDecisions complains about gaps in the numbers of the decision records and about records without a status.
func checkDecisions(m *module) (found complaints) {
	numbers := map[string]bool{}
	for _, file := range slices.Sorted(maps.Keys(m.documents)) {
		if path.Dir(file) != decisions {
			continue
		}
		match := decisionFile.FindStringSubmatch(path.Base(file))
		if match == nil {
			found.addf("%s is not named NNNN-title.md", file)
			continue
		}
		number, text := match[1], m.documents[file]
		if numbers[number] {
			found.addf("%s: the number is taken", file)
		}
		numbers[number] = true
		checkRecord(file, number, text, &found)
	}
	for n := range len(numbers) {
		if number := fmt.Sprintf("%04d", n+1); !numbers[number] {
			found.addf("%s: there is no record %s", decisions, number)
		}
	}
	if len(numbers) == 0 {
		found.addf("%s has no records", decisions)
	}
	for file, text := range m.documents {
		status := decisionStatus.FindStringSubmatch(text)
		if path.Dir(file) == decisions && status != nil && status[2] != "" && !numbers[status[2]] {
			found.addf("%s: superseded by %s, which does not exist", file, status[2])
		}
	}
	return found
}

// checkRecord complains about the form of one decision record.
func checkRecord(file, number, text string, found *complaints) {
	if !strings.HasPrefix(text, "# "+number+": ") {
		found.addf("%s: the first line is not %q and a title", file, "# "+number+": ")
	}
	if len(decisionStatus.FindAllString(text, -1)) != 1 {
		found.addf("%s: no line such as %q", file, "Status: accepted")
	}
	for _, heading := range []string{"Context", "Options", "Decision", "Consequences"} {
		if !strings.Contains(text, "\n## "+heading+"\n") {
			found.addf("%s: no section %q", file, heading)
		}
	}
	if n := strings.Count(text, "\n"); n > maxDecisionLines {
		found.addf("%s has %d lines, at most %d are allowed", file, n, maxDecisionLines)
	}
}

// checkReadme complains about a README that nobody reads to the end.
func checkReadme(m *module) (found complaints) {
	text, ok := m.documents["README.md"]
	if !ok {
		return complaints{"README.md is missing"}
	}
	if n := strings.Count(text, "\n"); n > maxReadmeLines {
		found.addf("README.md has %d lines, at most %d are allowed", n, maxReadmeLines)
	}
	return found
}

// checkPaths complains about paths of somebody's machine, in whatever text file.
func checkPaths(m *module) (found complaints) {
	for _, file := range slices.Sorted(maps.Keys(m.documents)) {
		n := 0
		for line := range strings.Lines(m.documents[file]) {
			n++
			if machinePath.MatchString(strings.TrimSpace(line)) {
				found.addf("%s:%d: a path of one machine", file, n)
			}
		}
	}
	return found
}
