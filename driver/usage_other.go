//go:build !linux

package driver

import "time"

// times are not told apart here.
func times() (user, system time.Duration) { return 0, 0 }

func memoryUse() string { return "" }
