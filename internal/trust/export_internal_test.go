package trust

// Remembered returns how many verdicts the cache of a set holds.
func Remembered(s *Set) int {
	n := 0
	for _, t := range []*table{&s.cache.accepted, &s.cache.refused} {
		if t.slots.Load() != nil {
			n += entriesIn(t)
		}
	}
	return n
}

// Calculated returns how many signatures were checked to find out where a chain leads, besides those that x509 checks.
func Calculated(c *Chain) int { return len(c.outline().signed) }
