package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"

	"stapkit/bundle/trust"
	"stapkit/cli"
	"stapkit/cmd/stapmon/live"
	"stapkit/cmd/stapmon/metrics"
	"stapkit/cmd/stapmon/oci"
	"stapkit/cmd/stapmon/push"
	"stapkit/feed"
)

// socketDir is where staprun --socket puts sockets without a path.
const socketDir = "/run/stapkit"

const exitUsage = 2

type options struct {
	interval         float64
	outputFD         int
	listen, endpoint string
	once             bool
	output           string
	unverified       bool
	registry         oci.Options
}

// usageError is a mistake of the command line.
type usageError string

// Error implements error.
func (e usageError) Error() string { return string(e) }

// stapmon is the command. It returns the exit status.
func stapmon(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var o options
	f := cli.Stapmon.Flags()
	f.Float(&o.interval, "interval")
	f.Int(&o.outputFD, "output-fd")
	f.String(&o.listen, "listen")
	f.Bool(&o.once, "once")
	f.String(&o.endpoint, "endpoint")
	f.String(&o.output, "output")
	f.Bool(&o.unverified, "unverified")
	f.Bool(&o.registry.PlainHTTP, "plain-http")
	rest, err := f.Parse(args)
	switch {
	case errors.Is(err, cli.ErrHelp):
		fmt.Fprint(stdout, cli.Stapmon.Help())
		return 0
	case errors.Is(err, cli.ErrVersion):
		fmt.Fprintf(stdout, "stapmon: messages of version %d\n", feed.Version)
		return 0
	case err == nil && len(rest) == 0:
		err = usageError("say what to do: top, metrics, send, snapshot, read, push or pull")
	}
	if err != nil {
		fmt.Fprintf(stderr, "stapmon: %v (--help tells the options)\n", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	m := &mon{o: &o, stdin: stdin, stdout: stdout, stderr: stderr, clients: map[string]*feed.Client{}}
	defer m.close()
	status := 0
	switch what, rest := rest[0], rest[1:]; what {
	case "top":
		err = m.top(rest, f.Changed("interval"))
	case "metrics":
		err = m.metrics(ctx, rest)
	case "send":
		err = m.send(ctx, rest, f.Changed("interval"))
	case "snapshot":
		err = m.snapshot(rest)
	case "read":
		err = m.read(rest)
	case "push":
		err = m.push(ctx, rest)
	case "pull":
		status, err = m.pull(ctx, rest)
	default:
		err = usageError(fmt.Sprintf("%q is nothing to do: top, metrics, send, snapshot, read, push or pull", what))
	}
	var usage usageError
	switch {
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "stapmon: %v (--help tells the options)\n", err)
		return exitUsage
	case err != nil:
		fmt.Fprintf(stderr, "stapmon: %v\n", err)
		return max(status, 1)
	}
	return status
}

type mon struct {
	o              *options
	stdin          io.Reader
	stdout, stderr io.Writer

	mu      sync.Mutex
	clients map[string]*feed.Client // by socket
	told    map[string]bool
}

func (m *mon) close() {
	for _, c := range m.clients {
		// It was only read from.
		_ = c.Close()
	}
}

func (m *mon) warn(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.told == nil {
		m.told = map[string]bool{}
	}
	if !m.told[err.Error()] {
		m.told[err.Error()] = true
		fmt.Fprintf(m.stderr, "stapmon: %v\n", err)
	}
}

// sockets are those that are there, or that are named by their paths.
func sockets(names []string) ([]string, error) {
	all, err := filepath.Glob(filepath.Join(socketDir, "*.sock"))
	if err != nil || len(names) == 0 {
		return all, err
	}
	var out []string
	for _, n := range names {
		switch {
		case strings.Contains(n, "/"):
			out = append(out, n)
		case slices.Contains(all, filepath.Join(socketDir, n+".sock")):
			out = append(out, filepath.Join(socketDir, n+".sock"))
		default:
			// The name of a script: whoever listens tells it.
			for _, s := range all {
				if c, err := feed.Dial(s); err == nil {
					if metrics.Name(c.Hello.Script) == n {
						out = append(out, s)
					}
					// It was only asked its name.
					_ = c.Close()
				}
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no running script is called %s", strings.Join(names, ", "))
	}
	return out, nil
}

// find lists the scripts that run, by connections that are kept.
func (m *mon) find(names []string) []metrics.Script {
	list, err := sockets(names)
	if err != nil {
		m.warn(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []metrics.Script
	for _, s := range list {
		c := m.clients[s]
		if c == nil {
			if c, err = feed.Dial(s); err != nil {
				continue // it has ended just now, or is not for us
			}
			m.clients[s] = c
		}
		out = append(out, metrics.Script{Name: c.Hello.Script, PID: c.Hello.PID, Source: &source{m, s, c}})
	}
	return out
}

// source forgets a connection that is broken.
type source struct {
	m      *mon
	socket string
	c      *feed.Client
}

// Snapshot implements metrics.Source.
func (s *source) Snapshot() (*feed.Snapshot, error) {
	snap, err := s.c.Snapshot()
	if err != nil {
		s.m.mu.Lock()
		delete(s.m.clients, s.socket)
		s.m.mu.Unlock()
		// It is broken.
		_ = s.c.Close()
	}
	return snap, err
}

// one is the connection to the one script that is meant.
func (m *mon) one(names []string) (*feed.Client, error) {
	list, err := sockets(names)
	if err != nil {
		return nil, err
	}
	switch len(list) {
	case 0:
		return nil, fmt.Errorf("no script runs with --socket (there is nothing in %s)", socketDir)
	case 1:
	default:
		return nil, usageError(fmt.Sprintf("%d scripts run; name one: %s", len(list), strings.Join(list, ", ")))
	}
	c, err := feed.Dial(list[0])
	if err != nil {
		return nil, err
	}
	m.clients[list[0]] = c
	return c, nil
}

func (m *mon) top(names []string, given bool) error {
	c, err := m.one(names)
	// stap --monitor starts this command before the script runs.
	for end := time.Now().Add(10 * time.Minute); err != nil && m.o.outputFD > 2 && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
		c, err = m.one(names)
	}
	if err != nil {
		return err
	}
	interval := time.Second
	if given {
		if m.o.interval < 0.1 {
			return usageError("--interval: not less than 0.1")
		}
		interval = time.Duration(m.o.interval * float64(time.Second))
	}
	var output io.Reader
	if m.o.outputFD > 2 {
		f := os.NewFile(uintptr(m.o.outputFD), "output")
		defer f.Close()
		output = f
	}
	return live.Run(c, c.Hello.Script, c.Hello.PID, interval, output, m.stdin, m.stdout)
}

func (m *mon) metrics(ctx context.Context, names []string) error {
	reg := prometheus.NewRegistry()
	if err := reg.Register(&metrics.Collector{Find: func() []metrics.Script { return m.find(names) }, Log: m.warn}); err != nil {
		return err
	}
	if m.o.once {
		families, err := reg.Gather()
		if err != nil {
			return err
		}
		e := expfmt.NewEncoder(m.stdout, expfmt.NewFormat(expfmt.TypeTextPlain))
		for _, f := range families {
			if err := e.Encode(f); err != nil {
				return err
			}
		}
		return m.own(names, m.stdout)
	}
	address := m.o.listen
	if address == "" {
		address = "127.0.0.1:9839"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	// What scripts say themselves, by @prometheus_dump_array and its like.
	mux.HandleFunc("/script", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		if err := m.own(names, w); err != nil {
			m.warn(err)
		}
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	fmt.Fprintf(m.stderr, "stapmon: http://%s/metrics\n", l.Addr())
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// own writes what the scripts' own probes for Prometheus answer.
func (m *mon) own(names []string, w io.Writer) error {
	for _, s := range m.find(names) {
		src, ok := s.Source.(*source)
		if !ok || !slices.Contains(src.c.Hello.Files, "prometheus") {
			continue
		}
		text, err := src.c.File("prometheus")
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return nil
}

func (m *mon) send(ctx context.Context, names []string, given bool) error {
	if m.o.endpoint == "" {
		return usageError("send: say where to with --endpoint URL")
	}
	interval := 10 * time.Second
	if given {
		interval = time.Duration(m.o.interval * float64(time.Second))
	}
	return push.Run(ctx, m.o.endpoint, interval, func() []metrics.Script { return m.find(names) }, m.warn)
}

func (m *mon) snapshot(names []string) error {
	for _, s := range m.find(names) {
		snap, err := s.Snapshot()
		if err != nil {
			return err
		}
		b, err := feed.Append(nil, struct {
			Script string `json:"script"`
			PID    int    `json:"pid"`
			*feed.Snapshot
		}{s.Name, s.PID, snap})
		if err != nil {
			return err
		}
		if _, err := m.stdout.Write(b); err != nil {
			return err
		}
	}
	return nil
}

func (m *mon) read(args []string) error {
	if len(args) == 0 {
		return usageError("read: which file? (stapmon read FILE [SCRIPT])")
	}
	c, err := m.one(args[1:])
	if err != nil {
		return err
	}
	text, err := c.File(args[0])
	if err == nil {
		_, err = io.WriteString(m.stdout, text)
	}
	return err
}

func (m *mon) push(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return usageError("push: stapmon push BUNDLE REFERENCE")
	}
	data, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	digest, err := oci.Push(ctx, args[1], args[0], data, m.o.registry)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(m.stdout, digest)
	return err
}

// pull writes the bundle only if it is trusted here, or --unverified is given.
func (m *mon) pull(ctx context.Context, args []string) (int, error) {
	if len(args) != 1 {
		return 0, usageError("pull: stapmon pull REFERENCE")
	}
	data, name, digest, err := oci.Pull(ctx, args[0], m.o.registry)
	if err != nil {
		return 1, err
	}
	if !m.o.unverified {
		store, err := trust.Load(trust.LoadOptions{})
		if err != nil {
			return 1, err
		}
		if v := trust.Verify(data, store, time.Now()); v.Kind != trust.OK {
			return v.Kind.ExitCode(), fmt.Errorf("%s (%s): %s [%s]", args[0], digest, v, v.Kind.Code())
		}
	}
	if m.o.output != "" {
		name = m.o.output
	}
	// Whoever runs it meanwhile has the old file or the new one.
	tmp := filepath.Join(filepath.Dir(name), ".stapmon-"+strconv.Itoa(os.Getpid()))
	if err := os.WriteFile(tmp, data, 0o644); err != nil {
		return 1, err
	}
	if err := os.Rename(tmp, name); err != nil {
		return 1, errors.Join(err, os.Remove(tmp))
	}
	_, err = fmt.Fprintf(m.stdout, "%s %s\n", name, digest)
	return 0, err
}
