package gateway

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A client that reads is seen reading by the connection, however long the write of the moment has to wait.
func TestAWatchedWriteEndsWhenTheClientTakesNothing(t *testing.T) {
	t.Parallel()
	const limit = 8 * time.Second
	for _, c := range []struct {
		name        string
		takes       int           // octets
		every       time.Duration // apart
		until       time.Duration // it stops taking; 0 for never
		least, most time.Duration
	}{
		{"nothing at all", 0, time.Second, 0, limit, limit + limit/looks},
		{"nothing after a while", leastTaken, time.Second, 3*limit + 1, 4 * limit, 4*limit + 2*limit/looks},
		{"enough, seldom", leastTaken, limit - limit/looks, 0, longestPiece * limit, longestPiece*limit + limit/looks},
		{"enough, by little", leastTaken / 8, limit / 10, 0, longestPiece * limit, longestPiece*limit + limit/looks},
		{"too little", leastTaken / 10, time.Second, 0, limit, limit + limit/looks},
		{"too seldom", leastTaken, 2 * limit, 0, limit, limit + limit/looks},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var taken atomic.Uint64
				taken.Store(1 << 30) // of earlier answers
				over := make(chan time.Duration, 1)
				began := time.Now()
				w := &watchdog{taken: taken.Load, end: func() { over <- time.Since(began) }}
				w.start(limit)
				tick := time.NewTicker(c.every)
				defer tick.Stop()
				for {
					select {
					case <-tick.C:
						if c.until == 0 || time.Since(began) <= c.until {
							taken.Add(uint64(c.takes))
						}
						continue
					case took := <-over:
						if took < c.least || took > c.most {
							t.Errorf("it ends after %v, want %v to %v", took, c.least, c.most)
						}
					}
					break
				}
				if !w.expired() {
					t.Error("it says that it did not end the write")
				}
			})
		})
	}
}

func TestAWriteThatEndsInTimeIsNotEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &watchdog{taken: func() uint64 { return 0 }, end: func() { t.Error("it was ended") }}
		for range 5 { // what the one before waited does not count
			w.start(8 * time.Second)
			<-time.After(7 * time.Second)
			w.stop()
		}
		<-time.After(time.Hour)
		w.start(8 * time.Second)
		w.close()
		<-time.After(time.Hour)
	})
}

// A look that comes late, because the machine is busy, is not taken for a client that was slow all the time before.
func TestAFirstLookThatComesLateCutsNobody(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := progress{began: now}
	if p.stuck(now.Add(3*time.Second), time.Second, 1000) {
		t.Error("the first look knows nothing of before")
	}
	if p.stuck(now.Add(6*time.Second), time.Second, 1000+leastTaken) {
		t.Error("it took enough since")
	}
	if !p.stuck(now.Add(7*time.Second), time.Second, 1000+leastTaken) {
		t.Error("it took nothing since")
	}
}
