package syntax

import (
	"runtime"
	"syscall"
	"time"
)

// taken is how much of a processor f takes, however busy the machine is.
func taken(f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	from := threadTime()
	f()
	return threadTime() - from
}

func threadTime() time.Duration {
	const thread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		panic(err) // there is such a thread: this one
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
