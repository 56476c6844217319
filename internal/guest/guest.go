//go:build linux

// Package guest boots kernels of the distribution in QEMU, runs commands there and
// gives back what they wrote: for what the development machine's own kernel
// cannot do, and to see the same on several kernels.
//
// The processor is emulated: a guest is ready within seconds, but what runs in
// it takes about ten times as long as outside.
package guest

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stapkit/internal/guest/wire"
)

// Options are how a guest is made.
type Options struct {
	CPUs    int      // 0: 2
	Memory  int      // megabytes, 0: 1024
	Files   []File   // what its root has besides init and busybox
	Modules []string // kernel modules to load, with what they depend on
	// Counted has the guest's clock advance by a nanosecond with each instruction of its
	// one processor, so that times are numbers of instructions, on any machine alike.
	Counted bool
}

// Command is a command to run in a guest.
type Command = wire.Command

// Result is what a command wrote, and its exit status: 128+n after signal n.
type Result struct {
	Stdout, Stderr string
	Code           int
	TimedOut       bool
}

// Guest is a running machine. Its methods may be called at the same time.
type Guest struct {
	slot   *os.File // see takeSlot
	Kernel *Kernel

	cmd     *exec.Cmd
	dir     string
	conn    net.Conn
	console *console

	mu      sync.Mutex // of all below, and of writing to conn
	enc     *gob.Encoder
	next    int
	waiting map[int]chan wire.Reply
	dead    error
}

// console keeps what the guest's kernel and init print.
type console struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.Write(p)
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}

// EmulatorEnv is the environment variable that names the emulator where another program
// has its name in the search path.
const EmulatorEnv = "STAPKIT_EMULATOR"

// Emulator is the program that most guests run in, those like the machine that tests are
// made for. The error is a *MissingError when it is not there.
func Emulator() (string, error) { return machines["amd64"].find() }

// Emulator is the program that guests with the kernel run in. The error is a
// *MissingError when it is not there.
func (k *Kernel) Emulator() (string, error) {
	m := machines[k.Arch]
	if m == nil {
		return "", fmt.Errorf("kernel %s: there are no guests of architecture %q", k.Name, k.Arch)
	}
	return m.find()
}

// Boot starts a guest and returns when commands can be run in it.
func Boot(ctx context.Context, k *Kernel, o Options) (_ *Guest, err error) {
	emulator, err := k.Emulator()
	if err != nil {
		return nil, err
	}
	m := machines[k.Arch]
	if o.CPUs == 0 {
		o.CPUs = 2
	}
	if o.Memory == 0 {
		o.Memory = 1024
	}
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		return nil, err
	}
	g := &Guest{Kernel: k, dir: dir, console: &console{}, waiting: map[int]chan wire.Reply{}}
	defer func() {
		if err != nil {
			_ = g.Close()
		}
	}()
	// The time that the caller gives is for booting, not for waiting for its turn.
	limit, limited := ctx.Deadline()
	given := time.Until(limit)
	if g.slot, err = takeSlot(); err != nil {
		return nil, err
	}
	if limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), given)
		defer cancel()
	}
	initrd := filepath.Join(dir, "initrd")
	if err := makeInitrd(ctx, initrd, k, o); err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "line")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	// KVM is not asked for: a machine that is itself a guest may have it and not
	// be able to run these kernels. All processors take turns in one thread: with one
	// each, a processor now and then runs kernel text that another is patching, which
	// attaching probes does all the time, and the guest hangs or dies.
	clock := []string{"-accel", "tcg,thread=single,tb-size=512"}
	if o.Counted {
		o.CPUs = 1
		clock = append(clock, "-icount", "shift=0,sleep=off")
	}
	g.cmd = exec.Command(emulator, slices.Concat(clock, m.computer, []string{
		"-m", strconv.Itoa(o.Memory), "-smp", strconv.Itoa(o.CPUs),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-chardev", "socket,id=line,path=" + socket}, m.line, []string{
		"-kernel", k.Image, "-initrd", initrd,
		// An emulated timer that a busy machine holds up is no broken one.
		"-append", "no_timer_check console=" + m.console + " quiet loglevel=4 panic=-1 " + wire.LineEnv + "=" + m.device})...)
	g.cmd.Stdout, g.cmd.Stderr = g.console, g.console
	// A test that is killed must not leave machines behind.
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	ended := make(chan error, 1)
	go func() {
		// The signal comes at the end of the thread that started the process.
		runtime.LockOSThread()
		err := g.cmd.Start()
		started <- err
		if err == nil {
			ended <- g.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	if err := ln.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	if g.conn, err = ln.Accept(); err != nil {
		return nil, fmt.Errorf("the emulator does not connect: %w\n%s", err, g.console)
	}
	g.enc = gob.NewEncoder(g.conn)
	ready := make(chan wire.Reply, 1)
	g.waiting[0] = ready
	go g.read(ended)
	select {
	case _, ok := <-ready:
		if !ok {
			return nil, g.gone()
		}
		return g, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("the guest is not ready: %w\n%s", ctx.Err(), g.console)
	}
}

// read hands replies to those who wait for them.
func (g *Guest) read(ended chan error) {
	dec := gob.NewDecoder(g.conn)
	var err error
	for {
		var r wire.Reply
		if err = dec.Decode(&r); err != nil {
			break
		}
		g.mu.Lock()
		c := g.waiting[r.ID]
		delete(g.waiting, r.ID)
		g.mu.Unlock()
		if c != nil {
			c <- r
		}
	}
	select {
	case e := <-ended:
		if e == nil {
			e = errors.New("it powered off")
		}
		err = fmt.Errorf("%w (%v)", e, err)
	case <-time.After(2 * time.Second):
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dead = err
	for _, c := range g.waiting {
		close(c)
	}
	g.waiting = map[int]chan wire.Reply{}
}

// gone is the error of a guest that has ended.
func (g *Guest) gone() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return fmt.Errorf("the guest has ended: %w\nits console:\n%s", g.dead, g.Console())
}

// Console is what the guest's kernel and init have printed so far.
func (g *Guest) Console() string { return g.console.String() }

func (g *Guest) ask(ctx context.Context, req wire.Request) (wire.Reply, error) {
	c := make(chan wire.Reply, 1)
	g.mu.Lock()
	if g.dead != nil {
		g.mu.Unlock()
		return wire.Reply{}, g.gone()
	}
	g.next++
	req.ID = g.next
	g.waiting[req.ID] = c
	err := g.enc.Encode(req)
	g.mu.Unlock()
	if err != nil {
		return wire.Reply{}, err
	}
	select {
	case r, ok := <-c:
		switch {
		case !ok:
			return wire.Reply{}, g.gone()
		case r.Error != "":
			return r, errors.New(r.Error)
		}
		return r, nil
	case <-ctx.Done():
		return wire.Reply{}, fmt.Errorf("no answer from the guest: %w\nits console:\n%s", context.Cause(ctx), g.Console())
	}
}

// ErrSlow is the cause of the end of a context of Within.
var ErrSlow = errors.New("it has computed for as long as it may")

// Within gives a context that ends when the guest has computed for some time: unlike time
// on the clock this says how much it had to do, however busy the machine is that emulates it.
func (g *Guest) Within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	began, err := g.computed()
	if err != nil {
		cancel(err)
		return ctx, func() {}
	}
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			switch now, err := g.computed(); {
			case err != nil:
				cancel(err)
			case now-began > limit:
				cancel(ErrSlow)
			}
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

// computed is the processor time that the emulator has taken.
func (g *Guest) computed() (time.Duration, error) {
	var t unix.Timespec
	// The clock of a process, as clock_getcpuclockid(3) makes its number.
	if err := unix.ClockGettime(int32(^g.cmd.Process.Pid<<3|2), &t); err != nil {
		return 0, fmt.Errorf("the emulator's processor time: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// Run runs a command to its end. A command that fails is no error: Result has its
// exit status.
func (g *Guest) Run(ctx context.Context, c Command) (Result, error) {
	r, err := g.ask(ctx, wire.Request{Run: &c})
	return Result{Stdout: string(r.Stdout), Stderr: string(r.Stderr), Code: r.Code, TimedOut: r.TimedOut}, err
}

// ReadFile reads a file of the guest.
func (g *Guest) ReadFile(ctx context.Context, path string) ([]byte, error) {
	r, err := g.ask(ctx, wire.Request{Read: path})
	return r.Data, err
}

// WriteFile writes a file of the guest, making the folders that it lies in.
func (g *Guest) WriteFile(ctx context.Context, path string, data []byte, mode uint32) error {
	_, err := g.ask(ctx, wire.Request{Write: &wire.File{Path: path, Mode: mode, Data: data}})
	return err
}

// Close ends the guest, as if its power failed.
func (g *Guest) Close() error {
	if g.cmd != nil && g.cmd.Process != nil {
		// It may have ended already.
		_ = g.cmd.Process.Kill()
	}
	if g.conn != nil {
		_ = g.conn.Close()
	}
	if g.slot != nil {
		_ = g.slot.Close()
	}
	return os.RemoveAll(g.dir)
}

// slots is how many guests run at a time on a machine, whoever started them: an
// emulated processor keeps a real one busy, and tests in guests have time limits.
const slots = 2

// takeSlot waits until there is room for one more guest. Closing the file gives it back;
// so does the end of the process.
func takeSlot() (*os.File, error) {
	for {
		for i := range slots {
			f, err := os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprintf("stapkit-guest-%d-%d", os.Getuid(), i)), os.O_RDWR|os.O_CREATE, 0o600)
			if err != nil {
				return nil, err
			}
			err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
			if err == nil {
				return f, nil
			}
			_ = f.Close()
			if err != syscall.EWOULDBLOCK {
				return nil, err
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// applets are the commands of busybox that scripts and their commands use.
var applets = strings.Fields("sh cat ls echo true false sleep head dd grep ps kill mkdir rm mv cp ln stat touch wc sort sed awk " +
	"dmesg mount umount find hostname id uname seq test env od xxd ping nc")

func makeInitrd(ctx context.Context, name string, k *Kernel, o Options) error {
	init, err := k.Build(ctx, "stapkit/internal/guest/init")
	if err != nil {
		return err
	}
	busybox, err := os.ReadFile(k.Busybox)
	if err != nil {
		return err
	}
	files := []File{
		{Path: "/init", Mode: 0o755, Data: init},
		{Path: "/bin/busybox", Mode: 0o755, Data: busybox},
		{Path: "/etc/hostname", Mode: 0o644, Data: []byte("vm\n")},
		{Path: "/etc/passwd", Mode: 0o644, Data: []byte("root:x:0:0:root:/root:/bin/sh\n")},
		{Path: "/etc/group", Mode: 0o644, Data: []byte("root:x:0:\n")},
		{Path: "/root/.keep", Mode: 0o644},
	}
	if config, err := os.ReadFile(filepath.Join(filepath.Dir(k.Image), "config-"+k.Release)); err == nil {
		files = append(files, File{Path: "/boot/config-" + k.Release, Mode: 0o644, Data: config})
	}
	for _, a := range applets {
		files = append(files, File{Path: "/bin/" + a, Link: "busybox"})
	}
	mods, err := moduleFiles(k.Modules, o.Modules)
	if err != nil {
		return err
	}
	files = append(append(files, mods...), o.Files...)
	return os.WriteFile(name, archive(files), 0o600)
}

// Build compiles a command of this module, statically linked, for guests with the kernel.
func (k *Kernel) Build(ctx context.Context, pkg string) ([]byte, error) {
	return build(ctx, pkg, k.Arch)
}

// Build compiles a command of this module, statically linked, for tests here and guests
// with kernels of Suites.
func Build(ctx context.Context, pkg string) ([]byte, error) { return build(ctx, pkg, "amd64") }

func build(ctx context.Context, pkg, arch string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "out")
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if b, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build %s: %w\n%s", pkg, err, b)
	}
	return os.ReadFile(out)
}
