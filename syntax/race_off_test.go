//go:build !race

package syntax

// raceEnabled tells that the race detector slows everything down.
const raceEnabled = false
