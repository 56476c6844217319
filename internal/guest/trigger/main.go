//go:build linux

// Command trigger makes a system call an exact number of times:
//
//	trigger read N SIZE     reads SIZE bytes of /dev/zero
//	trigger write N SIZE    writes SIZE bytes to /dev/null
//	trigger open N PATH     opens PATH, which need not be there
//	trigger getppid N
//	trigger chdir N PATH
//	trigger sleep N MS      sleeps so many milliseconds
//	trigger cpu N 0|1       takes processor N off line, or on again
//	trigger clock N SECONDS sets the clock forth by so much, or back, N times
//	trigger vsock N BYTES   sends BYTES to itself by a virtual socket, and reads them;
//	                        before, nobody listens once
//
// Several such may follow each other, and -threads T before them has T threads do
// all of it each. Sizes that nothing else uses tell the calls from those of others.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

func main() {
	args, threads := os.Args[1:], 1
	if len(args) > 1 && args[0] == "-threads" {
		var err error
		if threads, err = strconv.Atoi(args[1]); err != nil {
			fail(err)
		}
		args = args[2:]
	}
	var wg sync.WaitGroup
	for range threads {
		wg.Go(func() {
			runtime.LockOSThread()
			if err := run(args); err != nil {
				fail(err)
			}
		})
	}
	wg.Wait()
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "trigger:", err)
	os.Exit(2)
}

func run(args []string) error {
	for len(args) > 0 {
		call := args[0]
		if len(args) < 2 {
			return fmt.Errorf("%s how often?", call)
		}
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		args = args[2:]
		operand := ""
		if call != "getppid" {
			if len(args) == 0 {
				return fmt.Errorf("%s of what?", call)
			}
			operand, args = args[0], args[1:]
		}
		if err := repeat(call, n, operand); err != nil {
			return fmt.Errorf("%s: %w", call, err)
		}
	}
	return nil
}

func repeat(call string, n int, operand string) error {
	switch call {
	case "getppid":
		for range n {
			unix.Getppid()
		}
	case "open":
		for range n {
			if fd, err := unix.Open(operand, unix.O_RDONLY, 0); err == nil {
				if err := unix.Close(fd); err != nil {
					return err
				}
			}
		}
	case "chdir":
		for range n {
			if err := unix.Chdir(operand); err != nil {
				return err
			}
		}
	case "sleep":
		ms, err := strconv.Atoi(operand)
		if err != nil {
			return err
		}
		for range n {
			ts := unix.NsecToTimespec(int64(ms) * 1e6)
			if err := unix.Nanosleep(&ts, nil); err != nil {
				return err
			}
		}
	case "cpu":
		return os.WriteFile(fmt.Sprintf("/sys/devices/system/cpu/cpu%d/online", n), []byte(operand), 0)
	case "clock":
		seconds, err := strconv.ParseInt(operand, 10, 64)
		if err != nil {
			return err
		}
		for range n {
			var now unix.Timespec
			if err := unix.ClockGettime(unix.CLOCK_REALTIME, &now); err != nil {
				return err
			}
			now = unix.NsecToTimespec(now.Nano() + seconds*1e9)
			if err := unix.ClockSettime(unix.CLOCK_REALTIME, &now); err != nil {
				return err
			}
		}
	case "vsock":
		size, err := strconv.Atoi(operand)
		if err != nil {
			return err
		}
		return vsock(n, size)
	case "read", "write":
		size, err := strconv.Atoi(operand)
		if err != nil {
			return err
		}
		file, do := "/dev/zero", unix.Read
		mode := unix.O_RDONLY
		if call == "write" {
			file, do, mode = "/dev/null", unix.Write, unix.O_WRONLY
		}
		fd, err := unix.Open(file, mode|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		buf := make([]byte, size)
		for range n {
			if got, err := do(fd, buf); err != nil || got != size {
				return fmt.Errorf("%d bytes of %d: %w", got, size, err)
			}
		}
		return unix.Close(fd)
	default:
		return fmt.Errorf("unknown")
	}
	return nil
}

func vsock(n, size int) error {
	const port = 4711
	refused, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(refused, &unix.SockaddrVM{CID: unix.VMADDR_CID_LOCAL, Port: port}); err != unix.ECONNRESET {
		return fmt.Errorf("nobody listens and connect says: %w", err)
	}
	listener, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := unix.Bind(listener, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: port}); err != nil {
		return err
	}
	if err := unix.Listen(listener, 1); err != nil {
		return err
	}
	from, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(from, &unix.SockaddrVM{CID: unix.VMADDR_CID_LOCAL, Port: port}); err != nil {
		return err
	}
	to, _, err := unix.Accept(listener)
	if err != nil {
		return err
	}
	buf := make([]byte, size)
	for range n {
		if got, err := unix.Write(from, buf); err != nil || got != size {
			return fmt.Errorf("%d bytes of %d written: %w", got, size, err)
		}
		if got, err := unix.Read(to, buf); err != nil || got != size {
			return fmt.Errorf("%d bytes of %d read: %w", got, size, err)
		}
	}
	for _, fd := range []int{refused, from, to, listener} {
		if err := unix.Close(fd); err != nil {
			return err
		}
	}
	return nil
}
