//go:build !linux

package syntax

import "time"

// taken is how long f takes.
func taken(f func()) time.Duration {
	from := time.Now()
	f()
	return time.Since(from)
}
