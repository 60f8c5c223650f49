package config

import (
	"errors"
	"fmt"
	"time"
)

// Moment is a day or a time of RFC 3339 (section 5.6). A day means its end in UTC, so that "until" a day includes it; the
// zero value is absent. It is a point in time that does not belong to what comes before it.
type Moment struct{ at time.Time }

// Time returns the moment; the zero time for nil and for the zero value.
func (m *Moment) Time() time.Time {
	if m == nil {
		return time.Time{}
	}
	return m.at
}

var errLongOver = errors.New("the year 1 is over")

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *Moment) UnmarshalText(text []byte) error {
	written := string(text)
	if day, err := time.Parse(time.DateOnly, written); err == nil {
		if m.at = day.AddDate(0, 0, 1); m.at.Year() <= 1 { // the zero time would be no end at all
			return errLongOver
		}
		return nil
	}
	at, err := time.Parse(time.RFC3339, written)
	switch {
	case err == nil && at.UTC().Year() <= 1:
		return errLongOver
	case err == nil:
		m.at = at.UTC()
		return nil
	}
	if _, err := time.Parse("2006-01-02T15:04:05", written); err == nil {
		return fmt.Errorf("a time needs its offset from UTC, as in %sZ", written)
	}
	return errors.New("a day is written 2027-03-14 and a time 2027-03-14T18:00:00Z (RFC 3339)")
}
