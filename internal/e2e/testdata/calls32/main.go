// Command calls32 makes a known number of system calls. It is built for 386: what
// it calls has other numbers and registers than in a program of 64 bits.
package main

import (
	"syscall"
	"unsafe"
)

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
	messages()
}

// messages makes a queue, sends two messages and receives them, as C libraries do: by one
// call for all of System V's.
func messages() {
	ipc := func(call, first, second, third, pointer, fifth uintptr) uintptr {
		r, _, err := syscall.Syscall6(syscall.SYS_IPC, call, first, second, third, pointer, fifth)
		if err != 0 {
			panic(err)
		}
		return r
	}
	const (
		send, receive, get, control = 11, 12, 13, 14
		private, create, remove     = 0, 0o1600, 0
	)
	queue := ipc(get, private, create, 0, 0, 0)
	message := struct{ kind, text int32 }{7, 'a'}
	at := uintptr(unsafe.Pointer(&message))
	ipc(send, queue, 4, 0, at, 0)
	ipc(send, queue, 4, 0, at, 0)
	// Where the message goes and its kind are behind the pointer, or not, as its upper half says.
	where := [2]uintptr{at, 7}
	ipc(receive, queue, 4, 0, uintptr(unsafe.Pointer(&where)), 0)
	ipc(receive|1<<16, queue, 4, 0, at, 7)
	ipc(control, queue, remove, 0, 0, 0)
}
