//go:build linux

package loader

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// child is the process of -c. It is created stopped, let go when the probes are
// armed, and its end ends the run.
type child struct {
	atExit  func(pid int)
	pid     int
	process *os.Process
	release chan bool            // true: go; false: die
	done    chan unix.WaitStatus // its end
	gone    chan struct{}        // closed at its end
}

// shellChars make a command one for the shell.
const shellChars = "|&;<>(){}"

// commandLine turns the argument of -c into the words of the command, as a
// shell would split them. What needs a shell is given to one.
func commandLine(cmd string) []string {
	if strings.ContainsAny(cmd, shellChars) {
		return []string{"/bin/sh", "-c", cmd}
	}
	var words []string
	var word strings.Builder
	in, quote := false, byte(0)
	for i := 0; i < len(cmd); i++ {
		c := cmd[i]
		switch {
		case quote == '\'':
			if c == '\'' {
				quote = 0
			} else {
				word.WriteByte(c)
			}
		case c == '\\' && i+1 < len(cmd):
			i++
			in = true
			if quote == '"' && !strings.ContainsRune("$`\"\\\n", rune(cmd[i])) {
				word.WriteByte('\\')
			}
			word.WriteByte(cmd[i])
		case c == '$' || c == '`' || quote == 0 && strings.IndexByte("*?[~", c) >= 0:
			// A simple command with expansions: the shell makes it and
			// becomes it.
			return []string{"/bin/sh", "-c", "exec " + cmd}
		case quote == '"':
			if c == '"' {
				quote = 0
			} else {
				word.WriteByte(c)
			}
		case c == '\'' || c == '"':
			quote, in = c, true
		case c == ' ' || c == '\t' || c == '\n':
			if in {
				words = append(words, word.String())
				word.Reset()
				in = false
			}
		default:
			word.WriteByte(c)
			in = true
		}
	}
	if in || quote != 0 {
		words = append(words, word.String())
	}
	return words
}

// startChild creates the process and stops it before its first instruction. With
// atExit, the process stops once more when it is about to end, while its mappings
// can still be seen, and atExit is called with its number.
func startChild(command string, stdin, stdout, stderr *os.File, atExit func(pid int)) (*child, error) {
	words := commandLine(command)
	if len(words) == 0 {
		return nil, errors.New("the command of -c is empty")
	}
	path, failure := words[0], ""
	if found, err := exec.LookPath(words[0]); err == nil || errors.Is(err, exec.ErrDot) {
		if path, err = filepath.Abs(found); err != nil {
			return nil, fmt.Errorf("-c %s: %w", words[0], err)
		}
		failure = words[0] + ": cannot be executed\n"
	} else if errors.Is(err, fs.ErrPermission) {
		failure = words[0] + ": Permission denied\n"
	} else {
		failure = words[0] + ": No such file or directory\n"
	}
	machine := elf.EM_X86_64
	if runtime.GOARCH == "arm64" {
		machine = elf.EM_AARCH64
	}
	stub, err := startStub(machine, path, failure)
	if err != nil {
		return nil, fmt.Errorf("-c %s: %w", words[0], err)
	}
	// Until it becomes the command, lists of processes show it by this name.
	name := filepath.Base(words[0])
	fd, err := unix.MemfdCreate(name[:min(len(name), 200)], unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("-c %s: %w", words[0], os.NewSyscallError("memfd_create", err))
	}
	file := os.NewFile(uintptr(fd), "start")
	defer file.Close()
	if _, err := file.Write(stub); err != nil {
		return nil, fmt.Errorf("-c %s: %w", words[0], err)
	}
	c := &child{atExit: atExit, release: make(chan bool, 1), done: make(chan unix.WaitStatus, 1), gone: make(chan struct{})}
	started := make(chan error)
	go c.run(fd, words, &os.ProcAttr{
		Files: []*os.File{stdin, stdout, stderr},
		Sys:   &unix.SysProcAttr{Ptrace: true},
	}, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("-c %s: %w", words[0], err)
	}
	return c, nil
}

// run is the life of the child as seen from the one thread that may trace it.
func (c *child) run(fd int, argv []string, attr *os.ProcAttr, started chan<- error) {
	runtime.LockOSThread()
	// The thread ends with the goroutine: nothing else should run on a tracer.
	p, err := os.StartProcess(fmt.Sprintf("/proc/self/fd/%d", fd), argv, attr)
	if err != nil {
		started <- err
		return
	}
	c.pid, c.process = p.Pid, p
	var status unix.WaitStatus
	if _, err := wait4(c.pid, &status); err != nil || !status.Stopped() {
		started <- fmt.Errorf("the child did not stop (status %#x, %v)", int(status), err)
		return
	}
	// Should the loader die before the child runs, so must the child.
	if err := unix.PtraceSetOptions(c.pid, unix.PTRACE_O_EXITKILL); err != nil {
		started <- os.NewSyscallError("ptrace", errors.Join(err, p.Kill()))
		return
	}
	if c.atExit != nil {
		if err := c.seize(); err != nil {
			started <- errors.Join(err, p.Kill())
			return
		}
	}
	started <- nil
	switch run := <-c.release; {
	case !run:
		// It cannot have ended by itself.
		_ = p.Kill()
	case c.atExit != nil:
		if err := c.resume(); err != nil {
			_ = p.Kill()
		}
	default:
		if err := unix.PtraceDetach(c.pid); err != nil {
			_ = p.Kill()
		}
	}
	for {
		if _, err := wait4(c.pid, &status); err != nil || status.Exited() || status.Signaled() {
			c.done <- status
			close(c.gone)
			return
		}
		if status.Stopped() {
			c.stopped(status)
		}
	}
}

// Requests and events of ptrace(2) that x/sys has no calls for.
const (
	ptraceEventExit = 6
	ptraceEventStop = 128
)

func (c *child) ptrace(request int, data uintptr) error {
	_, _, e := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(c.pid), 0, data, 0, 0)
	if e != 0 {
		return os.NewSyscallError("ptrace", e)
	}
	return nil
}

// seize exchanges the tracing that the start left for the kind that does not
// change how the process sees signals and job control. In between, a stop signal
// keeps it from running.
func (c *child) seize() error {
	if err := c.ptrace(unix.PTRACE_DETACH, uintptr(unix.SIGSTOP)); err != nil {
		return err
	}
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(c.pid, &status, unix.WUNTRACED, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || !status.Stopped() {
			return fmt.Errorf("the child did not stop (status %#x, %v)", int(status), err)
		}
		break
	}
	return c.ptrace(unix.PTRACE_SEIZE, unix.PTRACE_O_EXITKILL|unix.PTRACE_O_TRACEEXIT)
}

// resume lets a seized child run. From now on it outlives the loader.
func (c *child) resume() error {
	var status unix.WaitStatus
	if _, err := wait4(c.pid, &status); err != nil || !status.Stopped() {
		return fmt.Errorf("the child is not stopped (status %#x, %v)", int(status), err)
	}
	if err := unix.PtraceSetOptions(c.pid, unix.PTRACE_O_TRACEEXIT); err != nil {
		return os.NewSyscallError("ptrace", err)
	}
	c.stopped(status)
	return unix.Kill(c.pid, unix.SIGCONT)
}

// stopped goes on after a stop of a seized child.
func (c *child) stopped(status unix.WaitStatus) {
	sig := status.StopSignal()
	// An error means that the child has been killed meanwhile, which wait4 tells.
	switch int(status) >> 16 {
	case ptraceEventExit:
		c.atExit(c.pid)
		_ = c.ptrace(unix.PTRACE_CONT, 0)
	case ptraceEventStop:
		switch sig {
		case unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU:
			// Stopped by job control: it stays so until SIGCONT.
			_ = c.ptrace(unix.PTRACE_LISTEN, 0)
		default:
			_ = c.ptrace(unix.PTRACE_CONT, 0)
		}
	case 0:
		_ = c.ptrace(unix.PTRACE_CONT, uintptr(sig))
	default:
		_ = c.ptrace(unix.PTRACE_CONT, 0)
	}
}

func wait4(pid int, status *unix.WaitStatus) (int, error) {
	for {
		n, err := unix.Wait4(pid, status, 0, nil)
		if err != unix.EINTR {
			return n, err
		}
	}
}

func (c *child) number() int { return c.pid }

func (c *child) ended() <-chan unix.WaitStatus { return c.done }

// start lets the child run.
func (c *child) start() { c.release <- true }

// stop ends a child that has not been let go, and asks one that has to end. It
// returns when it has ended, or after a moment.
func (c *child) stop(started bool) {
	if !started {
		c.release <- false
		<-c.gone
		return
	}
	select {
	case <-c.gone:
		return
	default:
	}
	if err := c.process.Signal(unix.SIGTERM); err != nil {
		return // it has just ended
	}
	select {
	case <-c.gone:
	case <-time.After(2 * time.Second):
	}
}

// describe is the warning about a child that failed, "" if it did not.
func describeChild(st unix.WaitStatus) string {
	switch {
	case st.Signaled():
		return fmt.Sprintf("Child process exited with signal %d (%s)", st.Signal(), signalText(st.Signal()))
	case st.ExitStatus() != 0:
		return fmt.Sprintf("Child process exited with status %d", st.ExitStatus())
	}
	return ""
}

// signalText is what strsignal(3) says.
func signalText(s unix.Signal) string {
	switch s {
	case unix.SIGHUP:
		return "Hangup"
	case unix.SIGINT:
		return "Interrupt"
	case unix.SIGQUIT:
		return "Quit"
	case unix.SIGILL:
		return "Illegal instruction"
	case unix.SIGABRT:
		return "Aborted"
	case unix.SIGBUS:
		return "Bus error"
	case unix.SIGFPE:
		return "Floating point exception"
	case unix.SIGKILL:
		return "Killed"
	case unix.SIGSEGV:
		return "Segmentation fault"
	case unix.SIGPIPE:
		return "Broken pipe"
	case unix.SIGALRM:
		return "Alarm clock"
	case unix.SIGTERM:
		return "Terminated"
	}
	return s.String()
}
