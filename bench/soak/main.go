//go:build linux

// Command soak runs staprun for a long time under what production does to it: probes at
// the highest rate that the machine gives, full arrays, an output that nobody reads,
// targets that start and die, loaders and their brokers that are killed. After each round it counts what
// is left in the kernel and compares counts with what was done. Run as root:
//
//	go run ./bench/soak -for 30m
//
// It prints a line for each round and a summary; the exit status is 1 if anything leaked
// or a count was wrong without being reported.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stapkit/internal/host"
)

// workVar makes this program a target: it calls getpgid so often, 0: until killed.
const workVar = "SOAK_WORK"

func main() {
	if w := os.Getenv(workVar); w != "" {
		work(w)
		return
	}
	length := flag.Duration("for", time.Minute, "how long")
	flag.Parse()
	s, err := newSoak()
	if err == nil {
		err = s.run(*length)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func work(spec string) {
	calls, err := strconv.Atoi(spec)
	if err != nil {
		os.Exit(2)
	}
	// The name is this thread's.
	runtime.LockOSThread()
	name := []byte("soakwork\x00")
	if err := unix.Prctl(unix.PR_SET_NAME, uintptr(bytesPointer(name)), 0, 0, 0); err != nil {
		os.Exit(3)
	}
	for i := 0; calls == 0 || i < calls; i++ {
		syscall.RawSyscall(syscall.SYS_GETPGID, 0, 0, 0)
	}
}

// soak is the state of the whole run.
type soak struct {
	dir    string // with the commands and bundles
	exe    string
	wrong  []string
	rounds map[string]int
	events int
	maxRSS [2]int64 // of the loader and of its broker
	maxFDs [2]int

	pids    map[int]bool // of loaders
	pinned  string       // the name under which a script is left attached
	objects host.Objects // of the round's loaders
	seen    [3]int       // how many of them there were, in all
	slowest time.Duration
}

const getpgid = `$id == ` + "%d" + ` && execname() == "soakwork"`

// scripts are the bundles of the rounds.
var scripts = map[string]string{
	"count": `global n, by, h
		probe kernel.trace("sys_enter") { if (` + getpgid + `) { n++; by[tid()]++; h <<< cpu() } }
		probe timer.ms(500) { delete by }
		probe end { printf("n=%%d h=%%d\n", n, @count(h)) }`,
	"full": `global a[100]
		probe kernel.trace("sys_enter") { if (` + getpgid + `) try { a[gettimeofday_ns()]++ } catch { } }
		probe end { n = 0; foreach (k in a) n++; printf("n=%%d\n", n) }`,
	"print": `probe kernel.trace("sys_enter") { if (` + getpgid + `) printf("%%d %%s %%d\n", pid(), execname(), cpu()) }`,
}

func newSoak() (*soak, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("this needs root")
	}
	dir, err := os.MkdirTemp("", "soak-")
	if err != nil {
		return nil, err
	}
	s := &soak{dir: dir, rounds: map[string]int{}, pids: map[int]bool{}, pinned: fmt.Sprintf("soak%d", os.Getpid())}
	if s.exe, err = os.Executable(); err != nil {
		return nil, err
	}
	for _, c := range []string{"stapc", "staprun"} {
		if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, c), "stapkit/cmd/"+c).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go build %s: %w: %s", c, err, out)
		}
	}
	for name, text := range scripts {
		out, err := exec.Command(filepath.Join(dir, "stapc"), "-o", filepath.Join(dir, name+".o"), "-e", fmt.Sprintf(text, syscall.SYS_GETPGID)).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("stapc %s: %w: %s", name, err, out)
		}
	}
	return s, nil
}

func (s *soak) fail(round, format string, args ...any) {
	text := round + ": " + fmt.Sprintf(format, args...)
	fmt.Println("WRONG", text)
	s.wrong = append(s.wrong, text)
}

// leftFiles lists what our runs have written down of themselves and pinned: files named after
// one of the processes or after the script that is left attached.
func (s *soak) leftFiles() []string {
	var out []string
	for _, dir := range []string{"/run/stapkit", "/run/stapkit-left", "/sys/fs/bpf/stapkit"} {
		list, err := os.ReadDir(dir)
		if err != nil {
			continue // there is none
		}
		for _, e := range list {
			path := filepath.Join(dir, e.Name())
			number, kind, _ := strings.Cut(e.Name(), ".")
			if pid, err := strconv.Atoi(number); err == nil && s.pids[pid] && s.ours(path, kind) || e.Name() == s.pinned {
				out = append(out, path)
			}
		}
	}
	return out
}

// ours reports whether a file with the number of one of the loaders is of it: others run scripts
// here, and numbers of processes come again.
func (s *soak) ours(path, kind string) bool {
	if kind != "json" {
		return true
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return false // it is gone
	}
	return bytes.Contains(b, []byte(s.dir)) || bytes.Contains(b, []byte(s.pinned))
}

func (s *soak) run(length time.Duration) error {
	defer os.RemoveAll(s.dir)
	end := time.Now().Add(length)
	list := []struct {
		name string
		do   func(string) error
	}{{"count", s.count}, {"full", s.full}, {"stalled", s.stalled}, {"killed", s.killed}, {"pinned", s.pinnedOver}, {"broker dies", s.brokerDies}, {"targets die", s.dying}}
	for i := 0; time.Now().Before(end); i++ {
		r := list[i%len(list)]
		from := time.Now()
		if err := r.do(r.name); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		s.rounds[r.name]++
		// The kernel frees what is closed a little later.
		seen, closed := s.objects.Count(), time.Now()
		for i := range seen {
			s.seen[i] += seen[i]
		}
		for range 600 {
			if s.objects.Drop(); s.objects.Empty() {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		s.slowest = max(s.slowest, time.Since(closed))
		if !s.objects.Empty() {
			s.fail(r.name, "left in the kernel: %s", s.objects.String())
			s.objects = host.Objects{}
		}
		if f := s.leftFiles(); len(f) > 0 {
			s.fail(r.name, "left behind: %s", strings.Join(f, ", "))
		}
		fmt.Printf("%-12s %6.1f s  %d events so far, loader %s\n", r.name, time.Since(from).Seconds(), s.events, s.size())
	}
	fmt.Printf("\n%v on %d CPUs: rounds %v, %d events, loader %s\n%d programs, %d maps and %d links, gone within %v; %d wrong\n",
		length, runtime.NumCPU(), s.rounds, s.events, s.size(), s.seen[0], s.seen[1], s.seen[2], s.slowest.Round(time.Millisecond), len(s.wrong))
	if len(s.wrong) > 0 {
		return errors.New(strings.Join(s.wrong, "\n"))
	}
	return nil
}

// loader is a running staprun.
type loader struct {
	*exec.Cmd
	out, errOut bytes.Buffer
}

func (s *soak) start(bundle string, stdout *os.File, args ...string) (*loader, error) {
	args = append([]string{"--allow-unsigned", "--limit", "cpu=100"}, args...)
	if bundle != "" {
		args = append(args, filepath.Join(s.dir, bundle+".o"))
	}
	l := &loader{Cmd: exec.Command(filepath.Join(s.dir, "staprun"), args...)}
	l.Stdout, l.Stderr = &l.out, &l.errOut
	if stdout != nil {
		l.Stdout = stdout
	}
	if err := l.Start(); err != nil {
		return nil, err
	}
	s.pids[l.Process.Pid] = true
	// It is listed once its probes are active.
	file := fmt.Sprintf("/run/stapkit/%d.json", l.Process.Pid)
	for range 200 {
		if _, err := os.Stat(file); err == nil {
			s.look(l)
			return l, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	l.Process.Kill()
	l.Wait()
	return nil, fmt.Errorf("staprun does not start: %s", l.errOut.String())
}

// look notes memory and descriptors of the loader's two processes.
func (s *soak) look(l *loader) {
	for i, pid := range []int{l.Process.Pid, host.Broker(l.Process.Pid)} {
		s.objects.Note(pid)
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if f := strings.Fields(string(b)); err == nil && len(f) > 1 {
			if n, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				s.maxRSS[i] = max(s.maxRSS[i], n*int64(os.Getpagesize()))
			}
		}
		if d, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err == nil {
			s.maxFDs[i] = max(s.maxFDs[i], len(d))
		}
	}
}

// size is the most that was seen of both processes.
func (s *soak) size() string {
	return fmt.Sprintf("at most %d MiB and %d descriptors, its broker %d MiB and %d", s.maxRSS[0]>>20, s.maxFDs[0], s.maxRSS[1]>>20, s.maxFDs[1])
}

// underLoad starts a loader and a process that it counts, for so many milliseconds at
// least and more at most.
func (s *soak) underLoad(least, more int) (*loader, *exec.Cmd, error) {
	l, err := s.start("count", nil)
	if err != nil {
		return nil, nil, err
	}
	w, err := s.worker(0)
	if err != nil {
		return nil, nil, err
	}
	time.Sleep(time.Duration(least+rand.IntN(more)) * time.Millisecond)
	s.look(l)
	return l, w, nil
}

// brokerDies: the process that keeps privileges is killed under load; the run ends and says why.
func (s *soak) brokerDies(round string) error {
	l, w, err := s.underLoad(100, 400)
	if err != nil {
		return err
	}
	broker := host.Broker(l.Process.Pid)
	if broker == 0 {
		return errors.New("the loader has no broker")
	}
	if err := unix.Kill(broker, unix.SIGKILL); err != nil {
		return err
	}
	if err := l.Wait(); l.ProcessState.ExitCode() != 1 || !strings.Contains(l.errOut.String(), "R403") {
		s.fail(round, "%v: %s", err, l.errOut.String())
	}
	// Who has no privileges cannot remove it.
	_ = os.Remove(fmt.Sprintf("/run/stapkit/%d.json", l.Process.Pid))
	if err := w.Process.Kill(); err != nil {
		return err
	}
	_ = w.Wait() // it was killed, which is no news
	return nil
}

// end ends the loader in order.
func (s *soak) end(l *loader) error {
	s.look(l)
	if err := l.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	if err := l.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, l.errOut.String())
	}
	return nil
}

func (s *soak) worker(calls int) (*exec.Cmd, error) {
	c := exec.Command(s.exe)
	c.Env = append(os.Environ(), workVar+"="+strconv.Itoa(calls))
	return c, c.Start()
}

// reported sums the numbers in what the loader reported as skipped or lost.
func reported(text string) int {
	sum := 0
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "skipped") && !strings.Contains(line, "lost") {
			continue
		}
		for _, w := range strings.FieldsFunc(line, func(r rune) bool { return r < '0' || r > '9' }) {
			if n, err := strconv.Atoi(w); err == nil {
				sum += n
			}
		}
	}
	return sum
}

// count: two million calls on all CPUs are counted, or what is missing is reported.
func (s *soak) count(round string) error {
	l, err := s.start("count", nil)
	if err != nil {
		return err
	}
	const calls = 1000000
	n := runtime.NumCPU()
	var workers []*exec.Cmd
	for range n {
		w, err := s.worker(calls)
		if err != nil {
			return err
		}
		workers = append(workers, w)
	}
	for _, w := range workers {
		if err := w.Wait(); err != nil {
			return err
		}
	}
	s.events += n * calls
	if err := s.end(l); err != nil {
		return err
	}
	return s.counted(round, l, n*calls)
}

// full: an array stays full, which is an error that the script catches.
func (s *soak) full(round string) error {
	l, err := s.start("full", nil)
	if err != nil {
		return err
	}
	w, err := s.worker(500000)
	if err != nil {
		return err
	}
	if err := w.Wait(); err != nil {
		return err
	}
	s.events += 500000
	if err := s.end(l); err != nil {
		return err
	}
	if got := strings.TrimSpace(l.out.String()); got != "n=100" {
		s.fail(round, "%q of 100 elements", got)
	}
	return nil
}

// stalled: nobody reads for some seconds; what was lost and what was read are all.
func (s *soak) stalled(round string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	l, err := s.start("print", w)
	w.Close()
	if err != nil {
		return err
	}
	const calls = 500000
	worker, err := s.worker(calls)
	if err != nil {
		return err
	}
	if err := worker.Wait(); err != nil {
		return err
	}
	time.Sleep(2 * time.Second)
	lines := make(chan int)
	go func() {
		n, buf := 0, make([]byte, 1<<16)
		for {
			k, err := r.Read(buf)
			n += bytes.Count(buf[:k], []byte("\n"))
			if err != nil {
				break
			}
		}
		lines <- n
	}()
	time.Sleep(time.Second)
	s.events += calls
	if err := s.end(l); err != nil {
		return err
	}
	if got, lost := <-lines, reported(l.errOut.String()); got+lost != calls {
		s.fail(round, "%d lines, %d read and %d reported as lost: %s", calls, got, lost, l.errOut.String())
	}
	return nil
}

// killed: the loader dies under load, and nothing stays.
func (s *soak) killed(string) error {
	l, w, err := s.underLoad(200, 800)
	if err != nil {
		return err
	}
	if err := l.Process.Kill(); err != nil {
		return err
	}
	// Both were killed, which is no news.
	_ = l.Wait()
	if err := w.Process.Kill(); err != nil {
		return err
	}
	_ = w.Wait()
	return nil
}

// pinnedOver: the loader is killed under load, the script stays attached and goes on counting
// until another loader has taken it over and ends it.
func (s *soak) pinnedOver(round string) error {
	l, err := s.start("count", nil, "--pin", s.pinned)
	if err != nil {
		return err
	}
	const calls = 500000
	w, err := s.worker(calls)
	if err != nil {
		return err
	}
	time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
	s.look(l)
	if err := l.Process.Kill(); err != nil {
		return err
	}
	_ = l.Wait() // it was killed, which is no news
	if l, err = s.start("", nil, "-A", s.pinned); err != nil {
		return err
	}
	if err := w.Wait(); err != nil {
		return err
	}
	s.events += calls
	if err := s.end(l); err != nil {
		return err
	}
	return s.counted(round, l, calls)
}

// counted compares what the script count has printed with the calls that were made.
func (s *soak) counted(round string, l *loader, calls int) error {
	var got, hist int
	if _, err := fmt.Sscanf(l.out.String(), "n=%d h=%d", &got, &hist); err != nil {
		return fmt.Errorf("%q: %w", l.out.String(), err)
	}
	if lost := reported(l.errOut.String()); got > calls || got+lost < calls || hist > calls || hist+lost < calls {
		s.fail(round, "%d calls, counted %d and %d, %d reported as skipped", calls, got, hist, lost)
	}
	return nil
}

// dying: targets of -x come and go.
func (s *soak) dying(string) error {
	for range 5 {
		w, err := s.worker(0)
		if err != nil {
			return err
		}
		l, err := s.start("count", nil, "-x", strconv.Itoa(w.Process.Pid))
		if err != nil {
			return err
		}
		time.Sleep(time.Duration(100+rand.IntN(400)) * time.Millisecond)
		if err := w.Process.Kill(); err != nil {
			return err
		}
		_ = w.Wait()
		if err := s.end(l); err != nil {
			return err
		}
	}
	return nil
}
