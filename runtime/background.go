//go:build linux

package loader

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// readyVar tells a process that it is the one in the background: the number of the
// file descriptor on which it says that it is ready.
const readyVar = "STAPKIT_READY_FD"

// A Background is the side of a daemon that goes on: see Daemon. Its files are open
// from the beginning, as the process may have given up its rights when it is ready.
type Background struct {
	ready, null, pid *os.File
}

// Daemon has this command go on in the background, in a session of its own. In the
// process that was called it starts another with the same arguments, waits until that
// one's probes are active, and returns how it went: its process id, or the status with
// which it ended before that. In the process in the background it returns nothing but
// b, whose Ready is to be called when the probes are active. The file of the process id,
// if there is to be one, is for the caller to remove.
//
// Go cannot fork, so the work is not begun before.
func Daemon(args []string, pidFile string) (b *Background, pid, status int, err error) {
	if v := os.Getenv(readyVar); v != "" {
		// Not for commands that this process runs.
		if err := os.Unsetenv(readyVar); err != nil {
			return nil, 0, 1, err
		}
		fd, err := strconv.Atoi(v)
		if err != nil || fd < 3 {
			return nil, 0, 1, fmt.Errorf("%s=%s is no file descriptor", readyVar, v)
		}
		unix.CloseOnExec(fd)
		// It was started as /proc/self/exe, by whose last part people would have to find
		// it. Without a name of its own all works.
		_ = os.WriteFile("/proc/self/comm", []byte(filepath.Base(os.Args[0])), 0)
		b := &Background{ready: os.NewFile(uintptr(fd), "ready")}
		if b.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
			return nil, 0, 1, err
		}
		if pidFile != "" {
			if b.pid, err = os.OpenFile(pidFile, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644); err != nil {
				return nil, 0, 1, fmt.Errorf("the file of the process id: %w", err)
			}
		}
		return b, 0, 0, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, 0, 1, err
	}
	defer r.Close()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), readyVar+"=3")
	// Standard input is /dev/null; errors are told here until it is ready.
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdout, os.Stderr, []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = w.Close() // the child's is another
	if err != nil {
		return nil, 0, 1, err
	}
	if line, rerr := bufio.NewReader(r).ReadString('\n'); rerr == nil && line == "ready\n" {
		return nil, cmd.Process.Pid, 0, nil
	}
	err = cmd.Wait()
	var ee *exec.ExitError
	if errors.As(err, &ee) {
		return nil, 0, max(ee.ExitCode(), 1), nil
	}
	// It came to its end before all probes were active, and in order.
	return nil, 0, 0, err
}

// Ready says that the probes are active. From then on the process has no terminal.
// What fails here nobody can be told: whoever waited may have been killed meanwhile.
// On nil it does nothing.
func (b *Background) Ready() {
	if b == nil {
		return
	}
	if b.pid != nil {
		_, _ = b.pid.WriteString(strconv.Itoa(os.Getpid()) + "\n")
		_ = b.pid.Close()
	}
	for fd := range 3 {
		_ = unix.Dup3(int(b.null.Fd()), fd, 0)
	}
	_ = b.null.Close()
	_, _ = b.ready.WriteString("ready\n")
	_ = b.ready.Close()
}

// A Service is the service manager that started this process (sd_notify(3)).
type Service struct{ conn net.Conn }

// OpenService connects to the service manager; nil: there is none.
func OpenService() (*Service, error) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil, nil
	}
	if strings.HasPrefix(name, "@") {
		name = "\x00" + name[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("the service manager: %w", err)
	}
	return &Service{conn}, nil
}

// Tell tells the service manager how this process is. One that does not listen any more
// is no reason to end.
func (s *Service) Tell(state string) {
	if s != nil {
		_, _ = s.conn.Write([]byte(state))
	}
}
