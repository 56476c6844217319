package driver

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// times are the processor times of this process and its children.
func times() (user, system time.Duration) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		if syscall.Getrusage(who, &r) == nil {
			user += time.Duration(r.Utime.Nano())
			system += time.Duration(r.Stime.Nano())
		}
	}
	return user, system
}

// memory is how much memory the process has, as SystemTap's pass lines show it.
func memoryUse() string {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return ""
	}
	var virt, res, shared, text, lib, data int
	if _, err := fmt.Sscan(string(b), &virt, &res, &shared, &text, &lib, &data); err != nil {
		return ""
	}
	kb := os.Getpagesize() / 1024
	return fmt.Sprintf(" using %dvirt/%dres/%dshr/%ddata kb,", virt*kb, res*kb, shared*kb, data*kb)
}
