// Typing replays a typing session with the language server and tells how long its
// answers take: after each key completion and hover are asked for and diagnostics
// awaited, with a pause now and then, over the largest of our examples and a script of
// 3,000 lines.
//
//	go run ./bench/typing [-target SPEC] [-keys N] [-json]
//
// The server is a process of its own, so that its memory can be told.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sourcegraph/jsonrpc2"

	"stapkit/internal/corpus"
)

func main() {
	target := flag.String("target", "", "the kernel whose types are shown, as staplsp takes it")
	keys := flag.Int("keys", 150, "how many keys are typed in each script")
	asJSON := flag.Bool("json", false, "print one JSON object per line")
	dwarf := flag.String("program", "", "probe this program's functions as well, for its debug information")
	flag.Parse()
	if err := run(os.Stdout, *target, *keys, *asJSON, *dwarf); err != nil {
		fmt.Fprintln(os.Stderr, "typing:", err)
		os.Exit(1)
	}
}

// A Result is what one script's session took, in milliseconds.
type Result struct {
	Script string             `json:"script"`
	Lines  int                `json:"lines"`
	Cold   float64            `json:"cold"` // from the start of the server to its first answer
	P50    map[string]float64 `json:"p50"`
	P95    map[string]float64 `json:"p95"`
	Max    map[string]float64 `json:"max"`
	MB     float64            `json:"mb"` // most resident memory
	// CPU is what the server took for each key in all.
	CPU float64 `json:"cpu"`
}

func run(w io.Writer, target string, keys int, asJSON bool, program string) error {
	dir, err := os.MkdirTemp("", "typing")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "staplsp")
	if out, err := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", bin, "stapkit/cmd/staplsp").CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	name, text, err := largestExample("examples")
	if err != nil {
		return err
	}
	scripts := []struct{ name, text string }{{name, text}, {"3,000 lines", corpus.Long(3000)}}
	if program != "" {
		probe := fmt.Sprintf("probe process(%q).function(\"main\") { println($$parms) }\n", program)
		for _, s := range slices.Clone(scripts) {
			scripts = append(scripts, struct{ name, text string }{s.name + " with " + filepath.Base(program), probe + s.text})
		}
	}
	for _, s := range scripts {
		r, err := session(bin, target, s.name, s.text, keys)
		if err != nil {
			return err
		}
		if asJSON {
			b, err := json.Marshal(r)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%s\n", b)
			continue
		}
		fmt.Fprintf(w, "%s (%d lines): first answer %.0f ms, memory %.0f MB, %.1f ms of CPU for each key\n", r.Script, r.Lines, r.Cold, r.MB, r.CPU)
		for _, k := range []string{"completion", "hover", "diagnostics", "from the key"} {
			fmt.Fprintf(w, "  %-12s p50 %6.1f ms  p95 %6.1f ms  max %6.1f ms\n", k, r.P50[k], r.P95[k], r.Max[k])
		}
	}
	return nil
}

func largestExample(dir string) (name, text string, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.stp"))
	if err != nil || len(files) == 0 {
		return "", "", fmt.Errorf("no examples in %s (run it at the top of the repository): %v", dir, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return "", "", err
		}
		if len(b) > len(text) {
			name, text = filepath.Base(f), string(b)
		}
	}
	return name, text, nil
}

// Who types stops now and then, and goes on before all is done that was put off.
const (
	pauseAfter = 30
	pause      = 600 * time.Millisecond
)

// typed is what is typed, over and over.
const typed = "\tif ($count > 10) {\n\t\tname = execname()\n\t\tprintf(\"%s %d\\n\", name, $file->f_inode->i_ino)\n\t}\n"

type client struct {
	conn *jsonrpc2.Conn
	mu   sync.Mutex
	seen uint32 // newest version with diagnostics
	more chan struct{}
}

func (s *client) Handle(ctx context.Context, conn *jsonrpc2.Conn, req *jsonrpc2.Request) {
	if req.Method == "textDocument/publishDiagnostics" {
		var p struct {
			Version uint32 `json:"version"`
		}
		if err := json.Unmarshal(*req.Params, &p); err == nil {
			s.mu.Lock()
			s.seen = max(s.seen, p.Version)
			close(s.more)
			s.more = make(chan struct{})
			s.mu.Unlock()
		}
	}
	if !req.Notif {
		_ = conn.Reply(ctx, req.ID, nil) // the server goes on without
	}
}

func (s *client) diagnosed(version uint32) error {
	deadline := time.After(30 * time.Second)
	for {
		s.mu.Lock()
		seen, more := s.seen, s.more
		s.mu.Unlock()
		if seen >= version {
			return nil
		}
		select {
		case <-more:
		case <-deadline:
			return fmt.Errorf("no diagnostics of version %d", version)
		}
	}
}

type pipes struct {
	io.ReadCloser
	io.WriteCloser
}

func (p pipes) Close() error {
	err := p.WriteCloser.Close()
	if rerr := p.ReadCloser.Close(); err == nil {
		err = rerr
	}
	return err
}

func session(bin, target, name, text string, keys int) (*Result, error) {
	start := time.Now()
	cmd := exec.Command(bin, "--target", target)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &client{more: make(chan struct{})}
	ctx := context.Background()
	s.conn = jsonrpc2.NewConn(ctx, jsonrpc2.NewBufferedStream(pipes{out, in}, jsonrpc2.VSCodeObjectCodec{}), jsonrpc2.AsyncHandler(s))
	var ignored json.RawMessage
	call := func(method string, params any) error { return s.conn.Call(ctx, method, params, &ignored) }
	if err := call("initialize", json.RawMessage(`{"processId":null,"rootUri":null,"capabilities":{"textDocument":{"completion":{"completionItem":{"snippetSupport":true}}}}}`)); err != nil {
		return nil, err
	}
	if err := s.conn.Notify(ctx, "initialized", struct{}{}); err != nil {
		return nil, err
	}
	// The key is typed into a handler of a kernel function, in the middle.
	uri := "file:///tmp/typing.stp"
	at := strings.Index(text[len(text)/2:], "probe kernel.function(")
	if at < 0 {
		text = "probe kernel.function(\"vfs_read\") {\n}\n" + text
		at = 0
	} else {
		at += len(text) / 2
	}
	at += strings.IndexByte(text[at:], '\n') + 1
	line := strings.Count(text[:at], "\n")
	doc := func(v uint32) map[string]any { return map[string]any{"uri": uri, "version": v} }
	if err := s.conn.Notify(ctx, "textDocument/didOpen", map[string]any{"textDocument": map[string]any{"uri": uri, "languageId": "systemtap", "version": 1, "text": text}}); err != nil {
		return nil, err
	}
	position := func(l, c int) map[string]any {
		return map[string]any{"textDocument": map[string]any{"uri": uri}, "position": map[string]any{"line": l, "character": c}}
	}
	if err := call("textDocument/hover", position(line-1, 8)); err != nil {
		return nil, err
	}
	r := &Result{Script: name, Lines: strings.Count(text, "\n"), P50: map[string]float64{}, P95: map[string]float64{}, Max: map[string]float64{}}
	r.Cold = ms(time.Since(start))
	if err := s.diagnosed(1); err != nil {
		return nil, err
	}
	if err := call("textDocument/completion", position(line, 0)); err != nil {
		return nil, err
	}
	cpu := cpuTime(cmd.Process.Pid)
	times := map[string][]float64{}
	column := 0
	for i := range keys {
		if i > 0 && i%pauseAfter == 0 {
			time.Sleep(pause) // the server does then what it put off
		}
		key := string(typed[i%len(typed)])
		v := uint32(i + 2)
		change := map[string]any{"textDocument": doc(v), "contentChanges": []any{map[string]any{
			"range": map[string]any{"start": pos(line, column), "end": pos(line, column)}, "text": key}}}
		begin := time.Now()
		started := begin
		if err := s.conn.Notify(ctx, "textDocument/didChange", change); err != nil {
			return nil, err
		}
		if key == "\n" {
			line, column = line+1, 0
		} else {
			column++
		}
		if err := call("textDocument/completion", position(line, column)); err != nil {
			return nil, err
		}
		times["completion"] = append(times["completion"], ms(time.Since(begin)))
		begin = time.Now()
		if err := call("textDocument/hover", position(line, max(column-1, 0))); err != nil {
			return nil, err
		}
		times["hover"] = append(times["hover"], ms(time.Since(begin)))
		begin = time.Now()
		if err := s.diagnosed(v); err != nil {
			return nil, err
		}
		times["diagnostics"] = append(times["diagnostics"], ms(time.Since(begin)))
		times["from the key"] = append(times["from the key"], ms(time.Since(started)))
	}
	r.CPU = (cpuTime(cmd.Process.Pid) - cpu) / float64(keys)
	r.MB = memory(cmd.Process.Pid)
	for k, l := range times {
		slices.Sort(l)
		r.P50[k], r.P95[k], r.Max[k] = l[len(l)/2], l[len(l)*95/100], l[len(l)-1]
	}
	if err := call("shutdown", nil); err != nil {
		return nil, err
	}
	if err := s.conn.Notify(ctx, "exit", nil); err != nil {
		return nil, err
	}
	return r, cmd.Wait()
}

func pos(l, c int) map[string]int { return map[string]int{"line": l, "character": c} }

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// memory is the most memory that a process had resident, in MB; 0 where it cannot be
// told.
func memory(pid int) float64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if rest, ok := strings.CutPrefix(sc.Text(), "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				return 0
			}
			return float64(kb) / 1024
		}
	}
	return 0
}

// cpuTime is the time that a process has run, in milliseconds.
func cpuTime(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) * 10 // the kernel counts in hundredths of a second
}
