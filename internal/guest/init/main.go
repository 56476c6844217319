//go:build linux

// Command init is process 1 of a guest: it mounts what a system has, loads the
// modules that it was given, and runs what the harness asks for over the second
// serial line.
package main

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stapkit/internal/guest/wire"
)

var mounts = []struct{ kind, dir, options string }{
	{"proc", "/proc", ""},
	{"sysfs", "/sys", ""},
	{"devtmpfs", "/dev", ""},
	{"devpts", "/dev/pts", ""},
	{"tmpfs", "/dev/shm", ""},
	{"tmpfs", "/tmp", "mode=1777"},
	{"tmpfs", "/run", "mode=755"},
	{"securityfs", "/sys/kernel/security", ""},
	{"debugfs", "/sys/kernel/debug", ""},
	{"tracefs", "/sys/kernel/tracing", ""},
	{"bpf", "/sys/fs/bpf", ""},
	{"cgroup2", "/sys/fs/cgroup", ""},
}

func main() {
	if os.Getpid() != 1 {
		if err := agent(); err != nil {
			fmt.Println("init: agent:", err)
			os.Exit(1)
		}
		return
	}
	if err := start(); err != nil {
		fmt.Println("init:", err)
	}
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Println("init: power off:", err)
	}
}

// start sets the system up and stays the parent of all orphans until the agent
// has ended.
func start() error {
	// The kernel makes the root of an initramfs for everybody to write in.
	if err := os.Chmod("/", 0o755); err != nil {
		return err
	}
	for _, m := range mounts {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, m.options); err != nil {
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	if err := loopback(); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	if err := modules("/modules"); err != nil {
		return err
	}
	env := []string{"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/root", "TMPDIR=/tmp", "LANG=C.UTF-8", wire.LineEnv + "=" + os.Getenv(wire.LineEnv)}
	for _, kv := range env {
		k, v, _ := strings.Cut(kv, "=")
		if err := os.Setenv(k, v); err != nil {
			return err
		}
	}
	p, err := os.StartProcess("/init", []string{"agent"}, &os.ProcAttr{Env: env, Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		return err
	}
	for {
		pid, err := unix.Wait4(-1, nil, 0, nil)
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("wait: %w", err)
		case pid == p.Pid:
			return nil
		}
	}
}

// modules loads all modules of a folder in the order of their names.
func modules(dir string) error {
	files, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range files {
		image, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return err
		}
		if err := unix.InitModule(image, ""); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("module %s: %w", f.Name(), err)
		}
	}
	return nil
}

// loopback brings the interface lo up.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// agent carries out requests until the line is closed.
func agent() error {
	tty, err := open(os.Getenv(wire.LineEnv))
	if err != nil {
		return err
	}
	enc, dec := gob.NewEncoder(tty), gob.NewDecoder(tty)
	var mu sync.Mutex
	reply := func(r wire.Reply) error {
		mu.Lock()
		defer mu.Unlock()
		return enc.Encode(r)
	}
	if err := reply(wire.Reply{}); err != nil {
		return err
	}
	for {
		var req wire.Request
		if err := dec.Decode(&req); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		go func() {
			r := serve(&req)
			r.ID = req.ID
			if err := reply(r); err != nil {
				fmt.Println("init: reply:", err)
			}
		}()
	}
}

// open opens the serial line and has it pass all bytes unchanged.
func open(name string) (*os.File, error) {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func serve(req *wire.Request) (r wire.Reply) {
	var err error
	switch {
	case req.Run != nil:
		err = run(req.Run, &r)
	case req.Write != nil:
		if err = os.MkdirAll(filepath.Dir(req.Write.Path), 0o755); err == nil {
			err = os.WriteFile(req.Write.Path, req.Write.Data, os.FileMode(req.Write.Mode))
		}
	case req.Read != "":
		r.Data, err = os.ReadFile(req.Read)
	default:
		err = errors.New("empty request")
	}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

func run(c *wire.Command, r *wire.Reply) error {
	if len(c.Args) == 0 {
		return errors.New("no command")
	}
	ctx := context.Background()
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Dir, cmd.Env = c.Dir, append(os.Environ(), c.Env...)
	if cmd.Dir == "" {
		cmd.Dir = "/tmp"
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(c.Stdin), &stdout, &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 2 * time.Second
	err := cmd.Run()
	r.Stdout, r.Stderr, r.TimedOut = stdout.Bytes(), stderr.Bytes(), ctx.Err() != nil
	if cmd.ProcessState == nil {
		return err
	}
	ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case ok && ws.Signaled():
		r.Code = 128 + int(ws.Signal())
	default:
		r.Code = cmd.ProcessState.ExitCode()
	}
	return nil
}
