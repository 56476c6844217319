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
	// Go makes these by the call for all of sockets, with arguments in memory.
	for range 3 {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
		if err != nil {
			panic(err)
		}
		if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: 4711, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			panic(err)
		}
		if _, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE); err != nil {
			panic(err)
		}
	}
}
