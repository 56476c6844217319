//go:build linux

package loader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"stapkit/ir"
	"stapkit/ir/interp"
)

// session is one run.
type session struct {
	p            *ir.Program
	storeProgram *ir.Program // p as s.mem sees it
	opt          Options
	rights       rights
	out          *output
	name         string
	self         task // this process, as it was before it gave up privileges
	zone         string
	west         int // how many seconds the time zone is behind UTC
	hz           int64

	blk      *block
	mem      *interp.Store
	commands commands
	machine  *interp.Machine
	env      *env
	texts    *texts
	sources  ir.Source // of the texts that have to be made
	types    *typeFinder
	peek     peek

	// The kernel part, nil if there is none.
	spec  *ebpf.CollectionSpec
	cache *btf.Cache
	// kernelBTF is what relocations ask if they need not ask modules.
	kernelBTF *btf.Spec
	coll      *ebpf.Collection
	programs  map[string]*ebpf.Program
	plans     []plan
	stats     io.Closer // keeps the kernel's timing of programs on
	cgroup    *ebpf.Map // of --cgroup
	kernel    *kernelGlobals
	unwind    *unwinder
	gens      map[int]*generations
	regions   []*ebpf.Program
	writes    []map[int]bool     // by handler: generation arrays that it writes
	bodies    map[int]*ir.Region // what regions were cut out of
	attached  []attached
	missed    struct{ calls, returns, shown uint64 } // of links that are closed; returns of all
	files     files                                  // of procfs probes
	counters  closers                                // events that handlers read
	spots     spots                                  // until all is attached
	ringMu    sync.Mutex
	ring      *ring
	join      joiner
	damaged   int // records that could not be read

	began      time.Time
	fromKernel printed    // what the record at hand prints
	tape       *tape      // nil: nothing is recorded
	stacks     *stackSink // nil: no stacks are collected
	watch      watchers   // of the socket

	saved   time.Time   // when left was
	left    *left       // nil: nothing stays when the loader ends
	leaving atomic.Bool // the loader is to end, and the script to stay

	logsMu   sync.Mutex
	logs     [len(kernelLogs)]*os.File
	sizeOnce sync.Once
	sizeText string // see measure
	waiter   waiter

	child        command
	childStarted bool

	exit     chan struct{} // closed when the run is to end
	exitOnce sync.Once
	// shown counts error lines: a run that showed one fails.
	shown atomic.Uint64
	// cut is the status of the limit that ended the run, 0 if none did.
	cut atomic.Int32
	// wantReport is set by SIGUSR1.
	wantReport atomic.Bool
	hits       []hit // by probe, of loader handlers
	failed     bool  // the child failed
}

// hit is the timing of one probe's handler.
type hit struct {
	n             uint64
	min, max, sum time.Duration
	squares       float64
}

func (h *hit) add(took time.Duration) {
	if h.n == 0 || took < h.min {
		h.min = took
	}
	h.n, h.max, h.sum = h.n+1, max(h.max, took), h.sum+took
	h.squares += float64(took) * float64(took)
}

func (h *hit) variance() int64 {
	if h.n < 2 {
		return 0
	}
	mean := float64(h.sum) / float64(h.n)
	return int64(max(h.squares-float64(h.n)*mean*mean, 0) / float64(h.n-1))
}

// Run runs the image until the script ends. The status is that of the command
// (StatusOK, StatusError); an error means that the run could not begin or go on,
// and has not been shown.
func Run(ctx context.Context, img Image, opt Options) (status int, err error) {
	if err := checkSocket(opt.Socket); err != nil {
		return StatusError, err
	}
	if opt.Socket != "" {
		opt.Remove = append(opt.Remove, opt.Socket)
	}
	r, err := newRights(&opt)
	if err != nil {
		return StatusError, err
	}
	opt.Stopwatch.Lap("broker started")
	defer func() {
		r.ended(status, err)
		r.close()
	}()
	if err := r.setUp(setUp{System: opt.AllowSystem, Remove: opt.Remove, Background: opt.Background}); err != nil {
		return StatusError, err
	}
	s := &session{opt: opt, exit: make(chan struct{}), name: opt.Name, began: time.Now(), rights: r, self: task{pid: os.Getpid(), tid: os.Getpid(), uid: os.Getuid(), gid: os.Getgid()}}
	s.zone, s.west = s.began.Zone()
	s.west = -s.west
	stdout, stderr := opt.Stdout, opt.Stderr
	if stdout == nil {
		stdout = os.Stdout
	}
	if stderr == nil {
		stderr = os.Stderr
	}
	var files *outFiles
	if opt.Output != "" {
		if err := r.setUp(setUp{Output: opt.Output, Numbered: opt.Rotation.Size > 0}); err != nil {
			return StatusError, err
		}
		if files, err = openOutFiles(opt.Rotation, r); err != nil {
			return StatusError, err
		}
		defer func() {
			if cerr := files.Close(); cerr != nil && err == nil {
				status, err = StatusError, cerr
			}
		}()
		stdout = files
	}
	s.out = newOutput(stdout, stderr)
	s.out.files = files
	s.commands = commands{allowed: opt.AllowSystem, rights: r, out: s.out, stdout: func() io.Writer {
		if files != nil {
			return files.File()
		}
		return stdout
	}}
	s.out.json, s.out.mark = opt.JSON, opt.Mark
	s.out.noWarnings, s.out.everything = opt.NoWarnings, opt.Verbose > 0
	if opt.Attach != "" {
		if s.opt.MaxMapEntries, err = leftEntries(opt.Attach); err != nil {
			return StatusError, err
		}
	}
	if s.p, err = prepare(img.Program, &s.opt); err != nil {
		return StatusError, err
	}
	s.opt.SuppressErrors = opt.SuppressErrors || s.p.Limits.SuppressErrors
	s.storeProgram = unlimited(s.p)
	if s.name == "" {
		s.name = processName()
	}
	s.self.name = s.name
	defer s.close()
	if err := s.open(ctx, img); err != nil {
		return StatusError, err
	}
	opt.Stopwatch.Lap("attached")
	// What was needed to load and attach.
	s.cache, s.kernelBTF, s.spec, img.ELF = nil, nil, nil, nil
	if err := s.giveUp(); err != nil {
		return StatusError, err
	}
	opt.Stopwatch.Lap("privileges given up")
	status, err = s.run(ctx)
	if s.tape != nil {
		err = errors.Join(err, s.tape.close())
	}
	return status, err
}

// giveUp ends the part of a run that needs privileges, once the probes are attached. What
// is left is done with rights.
func (s *session) giveUp() error {
	if err := s.rights.setUp(setUp{Keep: s.keeps()}); err != nil {
		return err
	}
	if err := s.rights.seal(); err != nil {
		return err
	}
	if !s.opt.Separate || s.endsWithRights() {
		return nil
	}
	// What this process can read of itself only now.
	_, _ = vdsoImage()
	s.size()
	return dropPrivileges(s.out.warn)
}

// endsWithRights reports whether probes are attached in a way that takes privileges to
// undo: a limit of returns (maxactive) is set through the trace file system, where the
// event has to be removed in the end.
func (s *session) endsWithRights() bool {
	for _, p := range s.plans {
		for _, r := range p.rows {
			if r.a.MaxActive > 0 {
				return true
			}
		}
	}
	return false
}

// prepare returns the program with the run's settings in it.
func prepare(p *ir.Program, opt *Options) (*ir.Program, error) {
	if p == nil {
		return nil, errors.New("there is no program to run")
	}
	q := *p
	q.Globals = slices.Clone(p.Globals)
	for name, value := range opt.Globals {
		i := slices.IndexFunc(q.Globals, func(g ir.Global) bool { return g.Name == name && g.Settable })
		if i < 0 {
			return nil, fmt.Errorf("there is no scalar global %q to set; there are: %s", name, settable(&q))
		}
		g := &q.Globals[i]
		if g.Value.Kind == ir.Str {
			g.InitStr = value
			continue
		}
		v, err := strconv.ParseInt(value, 0, 64)
		if err != nil {
			u, uerr := strconv.ParseUint(value, 0, 64)
			if uerr != nil {
				return nil, fmt.Errorf("global %s is a number, and %q is none", name, value)
			}
			v = int64(u)
		}
		g.InitInt = v
	}
	if n := opt.MaxMapEntries; n > 0 {
		for i := range q.Globals {
			if g := &q.Globals[i]; g.IsArray() && g.MaxEntries == p.Limits.MaxMapEntries {
				g.MaxEntries = n
			}
		}
		q.Limits.MaxMapEntries = n
	}
	return &q, nil
}

func settable(p *ir.Program) string {
	var names []string
	for i := range p.Globals {
		if g := &p.Globals[i]; g.Settable {
			names = append(names, g.Name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func processName() string {
	b, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		return "staprun"
	}
	return strings.TrimSuffix(string(b), "\n")
}

// open does everything up to the state in which programs are attached and begin
// probes may run.
func (s *session) open(ctx context.Context, img Image) error {
	var err error
	s.hits = make([]hit, len(s.p.Probes))
	s.sources = s.p.TextSources()
	s.texts = newTexts(s.p, s.rights, s.out.warn)
	if have, err := effective(); err == nil {
		s.texts.have, s.texts.users.have = have, have
	}
	s.texts.users.lines = s.opt.Lines
	s.texts.kernelLines = s.opt.KernelLines
	s.texts.pure = s.tell
	s.peek.rights = s.rights
	if s.opt.RecordTo != "" {
		if s.tape, err = newTape(s.opt.RecordTo, s.p, s.texts); err != nil {
			return err
		}
		s.out.lines = func(line string) {
			if err := s.tape.add(&taped{Message: line}); err != nil {
				s.out.failWith(err)
			}
		}
	}
	if s.opt.Stacks != "" {
		if s.stacks, err = newStackSink(s, s.opt.Stacks); err != nil {
			return err
		}
		s.texts.listed = s.stacks.lines
	}
	s.types = newTypeFinder(s.p, s.opt.Target, s.out.warn)
	s.hz = kernelHZ()
	s.mem = interp.NewStore(s.storeProgram)
	s.env = &env{session: s}
	if s.machine, err = interp.New(s.p, s.env); err != nil {
		return err
	}
	for _, w := range s.p.Warnings {
		s.out.warn(w)
	}
	if s.opt.Command != "" {
		files := [3]*os.File{os.Stdin, fileOf(s.opt.Stdout, os.Stdout), fileOf(s.opt.Stderr, os.Stderr)}
		if s.opt.Remote {
			// What comes there is not for the child.
			null, err := os.Open(os.DevNull)
			if err != nil {
				return err
			}
			defer null.Close()
			files[0] = null
		}
		s.child, err = s.rights.command(s.opt.Command, files, s.sources&ir.FromUser != 0, s.texts.note)
		if err != nil {
			return err
		}
	}
	if s.needsKernel() {
		if s.opt.Attach != "" {
			err = s.rejoin()
		} else {
			err = s.load(img)
		}
		if err != nil {
			return err
		}
		s.opt.Stopwatch.Lap("loaded")
	} else {
		s.blk = newBlock(s.p.SessionSize())
	}
	s.fillBlock()
	if s.opt.Attach != "" {
		if s.left == nil {
			return errorf(codeLeft, nil, "%s has no handler in the kernel, so nothing of it is left attached", s.opt.Attach)
		}
		return errors.Join(s.openFiles(), s.openSocket())
	}
	if s.coll != nil {
		err := s.attach(ctx)
		s.spots.close()
		if err != nil {
			return err
		}
	}
	if s.opt.Pin != "" {
		if err := s.pin(); err != nil {
			return err
		}
	}
	return errors.Join(s.openFiles(), s.openSocket())
}

// fileOf returns the file behind a writer, for a child.
func fileOf(w io.Writer, def *os.File) *os.File {
	if f, ok := w.(*os.File); ok {
		return f
	}
	return def
}

// needsKernel reports whether any probe runs in the kernel.
func (s *session) needsKernel() bool {
	for _, h := range s.p.Handlers {
		if h.Kernel {
			return true
		}
	}
	return false
}

func (s *session) fillBlock() {
	limit := uint64(max(s.p.Limits.MaxErrors, 0))
	if s.opt.SuppressErrors {
		limit = 1<<63 - 1
	}
	target := s.opt.PID
	if s.child != nil {
		target = s.child.number()
	}
	if s.opt.Attach == "" {
		s.blk.forceState(ir.SessStarting)
	}
	flags := uint64(0)
	if s.out.json {
		flags |= ir.SessFlagTimes
	}
	for off, v := range map[int]uint64{
		ir.SessOffMaxErrors: limit,
		ir.SessOffTarget:    uint64(target),
		ir.SessOffRealtime:  uint64(clock(unix.CLOCK_REALTIME) - clock(unix.CLOCK_MONOTONIC)),
		ir.SessOffLoaderPID: uint64(os.Getpid()),
		ir.SessOffHZ:        uint64(s.hz),
		ir.SessOffPidNS:     inode(s.opt.Namespaces, "pid"),
		ir.SessOffUserNS:    inode(s.opt.Namespaces, "user"),
		ir.SessOffRemoteID:  remoteID(&s.opt),
		ir.SessOffFlags:     flags,
	} {
		s.blk.word(off).Store(v)
	}
	s.loadAverages()
	for i, name := range s.p.Ksyms {
		s.blk.word(s.p.KsymOff(i)).Store(s.texts.address(name))
	}
}

// requestExit asks for the end of the run, as exit() does.
func (s *session) requestExit() {
	s.blk.word(ir.SessOffExit).Store(1)
	s.blk.setState(ir.SessRunning, ir.SessStopping)
	s.exitOnce.Do(func() { close(s.exit) })
}

// fail counts an error of the script and ends the run if there were too many.
func (s *session) fail(probe int, e *interp.Error, counted bool) {
	n := s.blk.errors().Load()
	if !counted {
		n = s.blk.errors().Add(1)
	}
	if !s.opt.SuppressErrors {
		s.shown.Add(1)
		s.out.message(scriptError(s.p, probe, e))
	}
	if n > s.blk.word(ir.SessOffMaxErrors).Load() {
		s.blk.forceState(ir.SessError)
		s.exitOnce.Do(func() { close(s.exit) })
	}
}

// ending reports whether the run is to end.
func (s *session) ending() bool {
	select {
	case <-s.exit:
		return true
	default:
	}
	switch s.blk.state() {
	case ir.SessStopping, ir.SessError:
		return true
	}
	return s.blk.word(ir.SessOffExit).Load() != 0
}

// handle runs a loader handler. An error is one of ours, not the script's.
func (s *session) handle(h int) error {
	e := s.env
	probe := s.p.Handlers[h].Probe
	e.probe, e.start = probe, s.ringEnd()
	began := time.Now()
	err := s.claim(h)
	if err == nil {
		err = s.machine.Run(h)
	}
	e.commit()
	if back := s.yield(); err == nil {
		err = back
	}
	s.hits[probe].add(time.Since(began))
	if s.left != nil {
		s.left.dirty = true
		if s.env.shared && s.writes != nil && len(s.writes[h]) > 0 && err == nil {
			// It has taken counts out of the kernel.
			err = s.saveLeft()
		}
	}
	e.runSystems()
	var se *interp.Error
	switch {
	case err == nil || errors.Is(err, interp.ErrSkip):
		return nil
	case errors.As(err, &se):
		s.fail(probe, se, false)
		return nil
	}
	return fmt.Errorf("in probe %s: %w", s.p.Probes[probe].Point, err)
}

// claim takes over the arrays that the handler writes and kernel programs add to.
func (s *session) claim(h int) error {
	if !s.env.shared || s.writes == nil {
		return nil
	}
	for g := range s.writes[h] {
		if err := s.gens[g].take(s.kernel, s.mem); err != nil {
			return err
		}
	}
	return nil
}

// yield ends what claim began.
func (s *session) yield() error {
	var first error
	for _, gen := range s.gens {
		if err := gen.giveBack(s.kernel, s.mem); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// ordered returns the handlers of the probes of a family, in their order.
func (s *session) ordered(f ir.Family) []int {
	var probes []int
	for i := range s.p.Probes {
		if p := &s.p.Probes[i]; p.Family == f && len(p.Attach) > 0 {
			probes = append(probes, i)
		}
	}
	slices.SortStableFunc(probes, func(a, b int) int {
		return cmp.Compare(s.p.Probes[a].Order, s.p.Probes[b].Order)
	})
	handlers := make([]int, len(probes))
	for i, p := range probes {
		handlers[i] = s.p.Probes[p].Attach[0].Handler
	}
	return handlers
}

// run is the run from the first begin probe on.
func (s *session) run(ctx context.Context) (int, error) {
	var signals chan os.Signal
	if s.opt.Signals {
		signals = make(chan os.Signal, 8)
		signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
		// A reader of our output that goes away ends the run in order.
		signal.Ignore(unix.SIGPIPE)
		defer signal.Reset()
		stop := make(chan struct{})
		defer close(stop)
		go s.watchSignals(signals, stop)
	}
	ringDone := make(chan error, 1)
	ringStop := make(chan struct{})
	if s.ring != nil {
		go func() { ringDone <- s.readRing(ringStop) }()
	} else {
		ringDone <- nil
	}
	err := s.phases(ctx)
	close(ringStop)
	if s.ring != nil {
		s.ring.interrupt()
	}
	if rerr := <-ringDone; err == nil {
		err = rerr
	}
	switch {
	case err == nil && s.leaving.Load():
		err = s.leftBehind()
	case err == nil:
		err = s.finish()
	}
	if ferr := s.out.flush(); ferr != nil && err == nil {
		if !errors.Is(ferr, unix.EPIPE) {
			err = fmt.Errorf("output: %w", ferr)
		}
		return StatusError, err
	}
	if err != nil {
		return StatusError, err
	}
	if s.leaving.Load() {
		return StatusOK, nil
	}
	s.report()
	if st := s.cut.Load(); st != 0 {
		return int(st), nil
	}
	if s.shown.Load() > 0 || s.failed {
		return StatusError, nil
	}
	return StatusOK, nil
}

// sameRequest is how long after a signal another one is the same request: timeout(1)
// sends one to its command and one to the group, a terminal may, too.
const sameRequest = 500 * time.Millisecond

// watchSignals ends the run in order at the first signal, and the process at the
// second.
func (s *session) watchSignals(signals <-chan os.Signal, stop <-chan struct{}) {
	var first time.Time
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case sig := <-signals:
			switch sig {
			case unix.SIGUSR1:
				s.wantReport.Store(true)
				n--
				continue
			case unix.SIGUSR2:
				if err := s.out.next(); err != nil {
					s.out.warn(fmt.Sprintf("the output stays in its file: %v", err))
				}
				n--
				continue
			}
			if n == 0 && sig == unix.SIGQUIT && (s.opt.Pin != "" || s.opt.Attach != "") {
				s.leave()
				continue
			}
			if n == 0 {
				first = time.Now()
				s.requestExit()
				continue
			}
			if time.Since(first) < sameRequest {
				n--
				continue
			}
			signal.Reset()
			number, _ := sig.(syscall.Signal)
			// The default action is the end of the process, whose links
			// the kernel closes.
			if err := unix.Kill(os.Getpid(), number); err != nil {
				os.Exit(128 + int(number))
			}
		}
	}
}

// phases runs begin probes and the time between them and the end.
func (s *session) phases(ctx context.Context) error {
	stop := context.AfterFunc(ctx, s.requestExit)
	defer stop()
	if s.opt.Attach != "" {
		s.env.shared = true
		return s.running()
	}
	for _, h := range s.ordered(ir.FamBegin) {
		if s.ending() {
			return nil
		}
		if err := s.handle(h); err != nil {
			return err
		}
	}
	if err := s.out.flush(); err != nil || s.ending() {
		return nil // finish reports it
	}
	if s.coll != nil {
		if err := s.export(); err != nil {
			return err
		}
		s.env.shared = true
	}
	return s.running()
}

// running is the time in which all probes are active.
func (s *session) running() error {
	tm, err := newTimers()
	if err != nil {
		return err
	}
	defer tm.close()
	if s.opt.Attach == "" {
		old := s.residents()
		if !s.blk.setState(ir.SessStarting, ir.SessRunning) {
			return nil
		}
		if err := s.greet(old); err != nil {
			return err
		}
	}
	begin := clock(unix.CLOCK_MONOTONIC)
	for i := range s.p.Probes {
		p := &s.p.Probes[i]
		if p.Family == ir.FamTimer && len(p.Attach) > 0 {
			interval := p.Interval
			if interval <= 0 && p.PerSecond > 0 {
				interval = 1e9 / p.PerSecond
			}
			tm.add(p.Attach[0].Handler, interval, p.Random, begin)
		}
	}
	var childDone <-chan unix.WaitStatus
	if s.child != nil {
		s.childStarted = true
		s.child.start()
		childDone = s.child.ended()
	}
	if s.opt.Timeout > 0 {
		// Not here: this goroutine may be waiting for who reads our output.
		t := time.AfterFunc(s.opt.Timeout, s.timedOut)
		defer t.Stop()
	}
	defer s.guard()()
	s.rights.started()
	if s.opt.Started != nil {
		s.opt.Started()
	}
	if s.opt.Stopwatch != nil {
		s.opt.Stopwatch.Lap("begun")
		s.out.message("the probes are active after " + s.opt.Stopwatch.String() + "\n")
	}
	// The start has left garbage, and a script may sit there for weeks.
	go debug.FreeOSMemory()
	if s.opt.Stopping != nil {
		defer s.opt.Stopping()
	}
	if s.opt.Leave {
		s.leave()
		return nil
	}
	if s.opt.Background && s.out.files != nil {
		s.out.errorsTo(s.out.files)
	}
	house := time.NewTicker(100 * time.Millisecond)
	defer house.Stop()
	for {
		// Not more than each once: timers that take longer than their
		// interval must not keep the rest from being done.
		for range tm.queue {
			h, ok := tm.due(clock(unix.CLOCK_MONOTONIC))
			if !ok || s.ending() {
				break
			}
			if err := s.handle(h); err != nil {
				return err
			}
		}
		if s.out.flush() != nil || s.ending() {
			return nil
		}
		if err := tm.arm(); err != nil {
			return err
		}
		select {
		case <-tm.tick:
		case <-s.exit:
		case <-s.rights.lost():
			return errNoBroker
		case st := <-childDone:
			s.child = nil
			if text := describeChild(st); text != "" {
				s.failed = true
				s.out.warn(text)
			}
			s.requestExit()
		case call := <-s.files.calls:
			if err := s.serve(call); err != nil {
				return err
			}
		case q := <-s.watch.asks:
			q.reply <- s.answer(q.request)
		case <-house.C:
			s.housekeep()
		}
	}
}

// housekeep does what is due a few times a second.
func (s *session) housekeep() {
	s.blk.word(ir.SessOffRealtime).Store(uint64(clock(unix.CLOCK_REALTIME) - clock(unix.CLOCK_MONOTONIC)))
	if s.opt.PID != 0 && s.sources&ir.FromUser != 0 {
		s.texts.note(s.opt.PID)
	}
	s.loadAverages()
	s.checkSkipped()
	if s.left != nil && s.left.dirty && time.Since(s.saved) >= time.Second {
		s.saved = time.Now()
		if err := s.saveLeft(); err != nil {
			s.out.warn(fmt.Sprintf("what the loader knows cannot be kept: %v", err))
		}
	}
	if s.wantReport.Swap(false) {
		s.out.message(s.counts())
	}
}

// timedOut ends the run when its time is over.
func (s *session) timedOut() {
	if s.opt.TimeoutIsLimit && s.cut.CompareAndSwap(0, StatusRuntime) {
		// Handlers stop first: writing may take long.
		s.blk.setState(ir.SessRunning, ir.SessStopping)
		s.out.warn(fmt.Sprintf("the run ends after %v, as the policy of this host wants [%s]", s.opt.Timeout, codeRuntime))
	}
	s.requestExit()
}

// checkSkipped ends the run in error if too many probes were skipped.
func (s *session) checkSkipped() {
	skipped := s.blk.counter(ir.SkipLock).Load() + s.blk.counter(ir.SkipMap).Load()
	limit := s.p.Limits.MaxSkipped
	if s.opt.SuppressErrors || skipped <= uint64(max(limit, 0)) || s.blk.state() == ir.SessError {
		return
	}
	s.shown.Add(1)
	s.out.message("ERROR: Skipped too many probes, check MAXSKIPPED or try again with stap -t for more details.\n")
	s.blk.forceState(ir.SessError)
	s.exitOnce.Do(func() { close(s.exit) })
}

// finish takes the probes down and runs the end or error probes.
func (s *session) finish() (err error) {
	s.blk.setState(ir.SessStarting, ir.SessStopping)
	s.blk.setState(ir.SessRunning, ir.SessStopping)
	s.files.close()
	if s.coll != nil {
		if err := s.detach(); err != nil {
			return err
		}
		s.countMisses()
		s.checkSkipped()
		if s.env.shared {
			s.kernel.quiet = true
			if err := s.importAll(); err != nil {
				return err
			}
			s.env.shared = false
		}
	}
	if s.tape != nil {
		if err := s.tapeStacks(); err != nil {
			return err
		}
	}
	if s.stacks != nil {
		stacks, err := s.stacks.gather()
		if err != nil {
			return err
		}
		// What end probes print comes to it.
		defer func() {
			if serr := s.stacks.write(stacks); err == nil {
				err = serr
			}
		}()
	}
	if s.blk.state() != ir.SessError {
		for _, h := range s.ordered(ir.FamEnd) {
			if err := s.handle(h); err != nil {
				return err
			}
			if s.blk.state() == ir.SessError {
				break
			}
		}
		if s.blk.state() != ir.SessError && !s.opt.NoGlobalDisplay {
			if err := s.display(); err != nil {
				return err
			}
		}
	}
	if s.blk.state() == ir.SessError {
		for _, h := range s.ordered(ir.FamError) {
			if err := s.handle(h); err != nil {
				return err
			}
		}
	}
	s.commands.wait()
	if s.child != nil {
		s.child.stop(s.childStarted)
		s.child = nil
	}
	return nil
}

// close frees what is left when the run cannot begin or go on.
func (s *session) close() {
	if s.child != nil {
		s.child.stop(s.childStarted)
		s.child = nil
	}
	s.files.close()
	s.watch.close()
	if s.left != nil && s.opt.Attach == "" && s.blk != nil && s.blk.state() == ir.SessStarting {
		// It did not come so far that somebody could go on with it. What does
		// not go is cleared away by name later.
		_ = s.left.remove(s.rights)
	}
	s.left.close()
	closeAll(s.attached)
	s.attached = nil
	// Events of counters have no failure that anything could be done about.
	_ = s.counters.Close()
	s.unwind.close()
	for _, g := range s.gens {
		g.close()
	}
	s.ringMu.Lock()
	if s.ring != nil {
		s.ring.close()
		s.ring = nil
	}
	s.ringMu.Unlock()
	s.peek.close()
	if s.stats != nil {
		// The kernel stops timing at the latest when the process ends.
		_ = s.stats.Close()
	}
	if s.cgroup != nil {
		_ = s.cgroup.Close()
	}
	for _, f := range s.logs {
		if f != nil {
			_ = f.Close()
		}
	}
	if s.blk != nil {
		// The mapping goes with the process if not now.
		_ = s.blk.close()
	}
	s.unload()
	s.waiter.close()
}
