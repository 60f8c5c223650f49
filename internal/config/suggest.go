package config

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxSuggests bounds how often one Load looks for a word that was meant, and maxCandidates how many words it
	// compares each time: ten thousand dangling references to ten thousand names stay cheap.
	maxSuggests   = 200
	maxCandidates = 5000
	maxWord       = 64 // longer words are not compared
)

// nearest returns the candidate that was probably meant by word, or "" when none is near enough. A difference in case,
// blanks, hyphens and underscores counts for nothing.
func (l *loader) nearest(word string, candidates []string) string {
	if l.suggests++; l.suggests > maxSuggests || word == "" || len(word) > maxWord {
		return ""
	}
	folded := fold(word)
	limit := (utf8.RuneCountInString(word) + 2) / 4 // one in two to five characters, two in six to nine
	best, bestDistance := "", limit+1
	for _, c := range candidates[:min(len(candidates), maxCandidates)] {
		if len(c) > maxWord || c == word {
			continue
		}
		d := 0
		if f := fold(c); f != folded {
			d = distance(folded, f, bestDistance+1)
		}
		if d < bestDistance || d == bestDistance && best != "" && c < best {
			best, bestDistance = c, d
		}
	}
	return best
}

// fold makes spellings of one word equal.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == ' ' {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

// distance counts the insertions, deletions, replacements and swaps of neighbours that lead from a to b, or returns limit
// when it is at least that.
func distance(a, b string, limit int) int {
	x, y := []rune(a), []rune(b)
	if max(len(x)-len(y), len(y)-len(x)) >= limit {
		return limit
	}
	before, previous, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(previous[j]+1, row[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		if min(slices.Min(row), slices.Min(previous)) >= limit { // a swap reaches back two rows
			return limit
		}
		before, previous, row = previous, row, before
	}
	return min(previous[len(y)], limit)
}

// oneOf lists words as a sentence does: "a, b or c".
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
