//go:build linux

package loader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"stapkit/ir"
)

// A carrier is a way to have a program run at some place.
type carrier struct {
	// check says why this host cannot carry the row, and otherwise makes the
	// program ready for it: it sets the attach type.
	check func(s *session, a *ir.Attach, spec *ebpf.ProgramSpec) error
	// group names what rows must have in common to be attached by one call;
	// nil: each by itself.
	group func(a *ir.Attach) string
	// attach attaches rows of one group.
	attach func(s *session, rows []row) (io.Closer, error)
}

// carriers are all that this loader knows. A probe family adds its own here.
var carriers = map[string]*carrier{
	"raw_tp":          {check: checkTracepoint, attach: attachRawTP},
	"dispatch":        {check: checkTracepoint, group: ir.DispatcherName, attach: attachDispatcher},
	"tp_btf":          {check: checkBTFTracepoint, attach: attachBTFTP},
	"tracepoint":      {check: checkEvent, attach: attachEvent},
	"perf":            {check: checkEvents, attach: attachPerf},
	"breakpoint":      {check: checkEvents, attach: attachBreakpoint},
	"fentry":          {check: checkTracing, attach: attachTracing},
	"fexit":           {check: checkTracing, attach: attachTracing},
	"lsm":             {check: checkLSM, attach: attachLSM},
	"netfilter":       {check: checkNetfilter, attach: attachNetfilter},
	"kprobe":          {check: checkKprobe, attach: attachKprobe},
	"kretprobe":       {check: checkKprobe, attach: attachKprobe},
	"kprobe_multi":    {check: checkKprobeMulti, group: byHandler, attach: attachKprobeMulti},
	"kretprobe_multi": {check: checkKprobeMulti, group: byHandler, attach: attachKprobeMulti},
	"uprobe":          {check: checkUprobe, group: byBinary, attach: attachUprobes},
	"uretprobe":       {check: checkUprobe, group: byBinary, attach: attachUprobes},
	"usdt":            {check: checkUprobe, group: byBinary, attach: attachUprobes},
}

// attached is something to be taken down.
type attached struct {
	probes  []int
	carrier string
	link    io.Closer
}

// attach attaches all probes: of each the first alternative that works.
func (s *session) attach(ctx context.Context) error {
	var pending, entries []plan
	for _, p := range s.plans {
		p.rows = p.rows[:len(p.rows):len(p.rows)]
		if p.hidden {
			entries = append(entries, p)
		} else {
			pending = append(pending, p)
		}
	}
	// Returns first: of several kprobes on a function the kernel runs the newest first,
	// and that of a return takes away the return address, which tells who called.
	sort.SliceStable(pending, func(i, j int) bool { return turn(pending[i]) < turn(pending[j]) })
	failed, refused, err := s.attachPlans(ctx, pending)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		// What entries are attached by follows from their return probes.
		by := map[int]string{}
		for _, a := range s.attached {
			for _, p := range a.probes {
				by[p] = a.carrier
			}
		}
		pending = nil
		for _, p := range entries {
			if p.withReturn(by[p.probe-1]) {
				pending = append(pending, p)
			}
		}
		more, others, err := s.attachPlans(ctx, pending)
		if err != nil {
			return err
		}
		failed, refused = append(failed, more...), append(refused, others...)
	}
	found := map[int]bool{}
	for _, a := range s.attached {
		for _, p := range a.probes {
			found[s.p.Probes[p].Site] = true
		}
	}
	failed = append(failed, s.noMember(refused, found)...)
	s.listRefused(refused)
	if len(failed) > 0 {
		return &Error{Code: codeAttach, Lines: append([]string{"these probes cannot be attached on this host:"}, failed...)}
	}
	return nil
}

// attachPlans attaches probes and tells of those that cannot be, apart from places of
// patterns that the kernel refuses.
func (s *session) attachPlans(ctx context.Context, pending []plan) (failed []string, refused []plan, err error) {
	progress := s.progress()
	for len(pending) > 0 {
		// All first choices, those that belong together at once.
		var order []string
		groups := map[string][]row{}
		var again []plan
		for _, p := range pending {
			if len(p.rows) == 0 {
				pr := &s.p.Probes[p.probe]
				switch {
				case pr.Member:
					refused = append(refused, p)
				case !pr.Optional:
					failed = append(failed, describe(pr.Point, p.why)...)
				case pr.Sufficient || s.opt.Verbose > 0:
					s.out.warn(fmt.Sprintf("probe %s is not on this host", pr.Point))
				}
				continue
			}
			r := p.rows[0]
			key := fmt.Sprintf("probe %d", p.probe)
			if r.c.group != nil {
				key = r.a.Carrier + " " + r.c.group(r.a)
			}
			if groups[key] == nil {
				order = append(order, key)
			}
			groups[key] = append(groups[key], r)
		}
		rest := map[int]plan{}
		for _, p := range pending {
			rest[p.probe] = p
		}
		for _, key := range order {
			if err := ctx.Err(); err != nil {
				return nil, nil, err
			}
			progress.tell()
			for _, bad := range s.attachGroup(groups[key]) {
				p := rest[bad.row.probe]
				p.why = append(p.why, fmt.Sprintf("%s: %v", bad.row.a.Carrier, bad.err))
				p.rows = p.rows[1:]
				again = append(again, p)
			}
		}
		pending = again
		progress.tell()
	}
	return failed, refused, nil
}

// turn is in which turn a probe is attached.
func turn(p plan) int {
	if len(p.rows) > 0 && strings.HasPrefix(p.rows[0].a.Carrier, "kretprobe") {
		return 0
	}
	return 1
}

// listRefused tells, when asked to, which places of patterns the host refused.
func (s *session) listRefused(list []plan) {
	if s.opt.Verbose == 0 {
		return
	}
	names := map[int][]string{}
	var sites []int
	for _, pl := range list {
		p := &s.p.Probes[pl.probe]
		if names[p.Site] == nil {
			sites = append(sites, p.Site)
		}
		names[p.Site] = append(names[p.Site], p.Point)
	}
	for _, site := range sites {
		s.out.warn(fmt.Sprintf("the kernel refuses %d of the places that a pattern names: %s", len(names[site]), strings.Join(names[site], ", ")))
	}
}

type badRow struct {
	row row
	err error
}

// attachGroup attaches rows that belong together; if that fails, parts of them, so
// that one bad place does not take the others with it.
func (s *session) attachGroup(rows []row) []badRow {
	prog, err := s.program(&rows[0])
	var bad []badRow
	if err != nil {
		for _, r := range rows {
			bad = append(bad, badRow{r, err})
		}
		return bad
	}
	for i := range rows {
		rows[i].prog = prog
	}
	l, err := rows[0].c.attach(s, rows)
	switch {
	case err == nil:
		at := attached{link: l, carrier: rows[0].a.Carrier}
		for _, r := range rows {
			at.probes = append(at.probes, r.probe)
		}
		s.attached = append(s.attached, at)
		return nil
	case len(rows) == 1:
		return []badRow{{rows[0], carrierCapability[rows[0].a.Carrier].explainRights(err, effective)}}
	}
	// In halves: of hundreds of functions the kernel refuses a few.
	mid := len(rows) / 2
	return append(s.attachGroup(rows[:mid:mid]), s.attachGroup(rows[mid:])...)
}

// progress tells on standard error how far the attachment of many probes is, once
// a second after the first.
type progress struct {
	s     *session
	total int
	next  time.Time
}

// progressFrom is the number of probes from which on waiting for them is told of.
const progressFrom = 50

func (s *session) progress() *progress {
	p := &progress{s: s, total: len(s.plans), next: time.Now().Add(time.Second)}
	// People are told, programs that read our messages only with -v.
	if f, ok := s.out.err.(*os.File); s.opt.Verbose == 0 {
		if !ok {
			p.total = 0
		} else if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
			p.total = 0
		}
	}
	return p
}

func (p *progress) tell() {
	now := time.Now()
	if p.total < progressFrom || p.s.opt.NoWarnings || now.Before(p.next) {
		return
	}
	p.next = now.Add(time.Second)
	done := 0
	for _, a := range p.s.attached {
		done += len(a.probes)
	}
	p.s.out.message(fmt.Sprintf("attaching probes: %d of %d\n", done, p.total))
}

// closeAll takes links down, several at a time: for some kinds the kernel takes
// a tenth of a second each.
func closeAll(list []attached) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, 16)
	for _, a := range list {
		slots <- struct{}{}
		wg.Go(func() {
			// Closing a link has no failure that anything could be done about.
			_ = a.link.Close()
			<-slots
		})
	}
	wg.Wait()
}

// detach takes all probes down and returns when no program of the session runs
// any more and everything that they sent has been printed.
func (s *session) detach() error {
	if s.left != nil {
		if err := s.left.remove(s.rights); err != nil {
			return err
		}
		s.left = nil
	}
	calls, returns := s.missedCalls()
	s.missed.calls, s.missed.returns = s.missed.calls+calls, s.missed.returns+returns
	closeAll(s.attached)
	s.attached = nil
	if err := s.waiter.grace(); err != nil {
		return err
	}
	for s.drain() {
		// No program runs, so no record can stay unfinished.
	}
	return nil
}

// waiter waits for RCU grace periods. The kernel does that at an update of a map of maps
// (maybe_wait_bpf_programs in kernel/bpf/syscall.c), and the maps are made while that
// may be done.
type waiter struct{ outer, inner *ebpf.Map }

func (w *waiter) open() error {
	if w.outer != nil {
		return nil
	}
	inner := &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	var err error
	if w.inner, err = ebpf.NewMap(inner); err == nil {
		w.outer, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ArrayOfMaps, KeySize: 4, MaxEntries: 1, InnerMap: inner})
	}
	if err != nil {
		return errorf(codeKernel, err, "maps cannot be made: %v", err)
	}
	return nil
}

// grace returns when all programs that were running when it was called have ended.
func (w *waiter) grace() error {
	if err := w.outer.Update(uint32(0), w.inner, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("waiting for programs to end: %w", err)
	}
	return nil
}

func (w *waiter) close() {
	for _, m := range []*ebpf.Map{w.outer, w.inner} {
		if m != nil {
			m.Close()
		}
	}
}

// Tracepoints.

func checkTracepoint(*session, *ir.Attach, *ebpf.ProgramSpec) error { return nil }

func checkBTFTracepoint(*session, *ir.Attach, *ebpf.ProgramSpec) error { return theHost.checkBTF() }

func attachRawTP(s *session, rows []row) (io.Closer, error) {
	l, err := rawTracepoint(rows[0].prog.FD(), rows[0].a.Target, s.tpCookie(rows[0].a))
	return l, explainTP(rows[0].a, err)
}

// tpCookie is the cookie of a raw or BTF tracepoint, none where the program knows.
func (s *session) tpCookie(a *ir.Attach) uint64 {
	if fixedPoint(s.p.Handlers[a.Handler], a) {
		return 0
	}
	return a.Cookie
}

// attachDispatcher attaches the program through which the rows are reached.
func attachDispatcher(s *session, rows []row) (io.Closer, error) {
	name := ir.DispatcherName(rows[0].a)
	prog := s.coll.Programs[name]
	if prog == nil {
		return nil, errorf(codeCompiled, nil, "the object has no program %s", name)
	}
	l, err := rawTracepoint(prog.FD(), rows[0].a.Target, 0)
	return l, explainTP(rows[0].a, err)
}

func attachBTFTP(s *session, rows []row) (io.Closer, error) {
	l, err := rawTracepoint(rows[0].prog.FD(), "", s.tpCookie(rows[0].a))
	return l, explainTP(rows[0].a, err)
}

func explainTP(a *ir.Attach, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("the running kernel has no tracepoint %s", a.Target)
	case errors.Is(err, unix.EINVAL) && a.Cookie != 0:
		return errorf(codeKernel, err, "cookies of raw tracepoints need Linux 6.10")
	}
	return err
}

func checkEvent(_ *session, a *ir.Attach, _ *ebpf.ProgramSpec) error {
	if _, _, ok := cutEvent(a.Target); !ok {
		return fmt.Errorf("%q is not the name of an event", a.Target)
	}
	return nil
}

func attachEvent(s *session, rows []row) (io.Closer, error) {
	a := rows[0].a
	group, name, _ := cutEvent(a.Target)
	l, err := link.Tracepoint(group, name, rows[0].prog, &link.TracepointOptions{Cookie: a.Cookie})
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", a.Target, err)
	}
	return l, nil
}

// Kernel functions.

func checkTracing(*session, *ir.Attach, *ebpf.ProgramSpec) error { return theHost.checkTrampoline() }

func attachTracing(s *session, rows []row) (io.Closer, error) {
	return link.AttachTracing(link.TracingOptions{Program: rows[0].prog, Cookie: rows[0].a.Cookie})
}

// checkLSM tells whether BPF is among the security modules that the kernel asks.
func checkLSM(s *session, a *ir.Attach, spec *ebpf.ProgramSpec) error {
	err := theHost.once("lsm bpf", func() error {
		b, err := os.ReadFile("/sys/kernel/security/lsm")
		if err != nil {
			return nil // not mounted: attaching will tell
		}
		if !slices.Contains(strings.Split(strings.TrimSpace(string(b)), ","), "bpf") {
			return errorf(codeKernel, nil, "security hooks: the running kernel does not ask BPF programs; start it with lsm=%s,bpf", strings.TrimSpace(string(b)))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return checkTracing(s, a, spec)
}

func attachLSM(s *session, rows []row) (io.Closer, error) {
	return link.AttachLSM(link.LSMOptions{Program: rows[0].prog, Cookie: rows[0].a.Cookie})
}

// Netfilter hooks.

func checkNetfilter(*session, *ir.Attach, *ebpf.ProgramSpec) error {
	return theHost.once("netfilter", func() error {
		err := features.HaveProgramType(ebpf.Netfilter)
		if err != nil {
			return errorf(codeKernel, err, "programs on netfilter hooks need Linux 6.4 and CONFIG_NETFILTER_BPF_LINK")
		}
		return nil
	})
}

// attachNetfilter hooks the program in the loader's network namespace. The kernel
// has one BPF program at each priority, and none at the first and last; the next
// free one is taken.
func attachNetfilter(s *session, rows []row) (io.Closer, error) {
	const tries = 64
	a := rows[0].a
	first := min(max(s.p.Probes[rows[0].probe].Order, math.MinInt32+1), math.MaxInt32-1)
	step := int64(1)
	if first > math.MaxInt32-tries {
		step = -1
	}
	var err error
	for n := range int64(tries) {
		var l link.Link
		l, err = link.AttachNetfilter(link.NetfilterOptions{
			Program: rows[0].prog, ProtocolFamily: link.NetfilterProtocolFamily(a.Type),
			Hook: link.NetfilterInetHook(a.Config), Priority: int32(first + n*step),
		})
		if err == nil || !errors.Is(err, unix.EBUSY) {
			return l, err
		}
	}
	return nil, err
}
