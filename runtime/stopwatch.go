package loader

import (
	"fmt"
	"strings"
	"time"
)

// Stopwatch tells what the start of a run takes. A nil one measures nothing.
type Stopwatch struct {
	begun, last time.Time
	laps        []string
}

// NewStopwatch begins to measure at a time.
func NewStopwatch(begun time.Time) *Stopwatch { return &Stopwatch{begun: begun, last: begun} }

// Lap ends a part of the start, which is named after what it has done.
func (w *Stopwatch) Lap(name string) {
	if w == nil {
		return
	}
	now := time.Now()
	w.laps = append(w.laps, fmt.Sprintf("%s %.1f", name, now.Sub(w.last).Seconds()*1e3))
	w.last = now
}

// String is the list of all parts, in milliseconds.
func (w *Stopwatch) String() string {
	return fmt.Sprintf("%.1f ms: %s", w.last.Sub(w.begun).Seconds()*1e3, strings.Join(w.laps, ", "))
}
