// Command calls32 makes a known number of system calls. It is built for 386: what
// it calls has other numbers and registers than in a program of 64 bits.
package main

import "syscall"

func main() {
	for range 5 {
		syscall.Getppid()
	}
	for range 2 {
		// The file need not be there.
		_, _ = syscall.Openat(-100, "/no/such/file", syscall.O_RDONLY, 0)
	}
}
