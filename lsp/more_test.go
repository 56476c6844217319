package lsp

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sourcegraph/jsonrpc2"
	"github.com/tliron/glsp"
	protocol "github.com/tliron/glsp/protocol_3_16"

	"stapkit/query"
)

// actions asks for the code actions of a place.
func (p *peer) actions(uri string, line, char int, only ...string) []protocol.CodeAction {
	p.t.Helper()
	pos := map[string]any{"line": line, "character": char}
	var out []protocol.CodeAction
	context := map[string]any{"diagnostics": []any{}}
	if len(only) > 0 {
		context["only"] = only
	}
	p.call("textDocument/codeAction", map[string]any{"textDocument": map[string]any{"uri": uri}, "range": map[string]any{"start": pos, "end": pos}, "context": context}, &out)
	return out
}

// apply applies a workspace edit to the text of one document, by lines and bytes.
func apply(text string, list []protocol.TextEdit) string {
	lines := strings.SplitAfter(text, "\n")
	off := func(p protocol.Position) int {
		n := 0
		for i := 0; i < int(p.Line) && i < len(lines); i++ {
			n += len(lines[i])
		}
		return n + int(p.Character)
	}
	for i := len(list) - 1; i >= 0; i-- {
		text = text[:off(list[i].Range.Start)] + list[i].NewText + text[off(list[i].Range.End):]
	}
	return text
}

// TestFixes has findings with fixes mended and suppressed.
func TestFixes(t *testing.T) {
	p := start(t, `{}`)
	uri := "file:///tmp/fix.stp"
	text := "probe begin {\n\tx = 1\n\tprintln(2)\n\texit()\n}\n"
	p.open(uri, text)
	var found *protocol.Diagnostic
	for _, d := range p.diagnostics(uri, 1) {
		if d.Range.Start.Line == 1 {
			found = &d
		}
	}
	if found == nil {
		t.Fatal("the variable that nothing reads is not reported")
	}
	var titles []string
	fixed, suppressed := false, false
	for _, a := range p.actions(uri, 1, 2) {
		titles = append(titles, a.Title)
		if a.Edit == nil {
			t.Errorf("%s has no edit", a.Title)
			continue
		}
		got := apply(text, a.Edit.Changes[uri])
		if a.Kind != nil && *a.Kind == "quickfix" && !strings.Contains(got, "x = 1") {
			fixed = true
		}
		suppressed = suppressed || strings.Contains(got, "staplint:ignore ST")
	}
	if !suppressed || !fixed {
		t.Errorf("fixed %v, suppressed %v; offered were %q", fixed, suppressed, titles)
	}
	for _, a := range p.actions(uri, 1, 2, "source.format") {
		if *a.Kind != "source.format" {
			t.Errorf("only source.format was asked for, not %s", *a.Kind)
		}
	}
	p.stop()
}

// TestVirtual opens documents that are in no file, for clients that can and that
// cannot ask for them.
func TestVirtual(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	p := start(t, `{}`)
	uri := "file:///tmp/v.stp"
	p.open(uri, "probe kernel.function(\"vfs_read\") { println(execname(), $file->f_pos) }\n")
	var where []protocol.Location
	p.call("textDocument/definition", at(uri, 0, 47), &where)
	if len(where) != 1 || !strings.HasPrefix(where[0].URI, "file:///") {
		t.Fatalf("definition: %+v", where)
	}
	b, err := os.ReadFile(nameOf(where[0].URI))
	if err != nil || !strings.Contains(string(b), "function execname") {
		t.Errorf("%s: %v", where[0].URI, err)
	}
	p.call("textDocument/typeDefinition", at(uri, 0, 58), &where)
	if len(where) != 1 {
		t.Fatalf("type definition: %+v", where)
	}
	if b, err = os.ReadFile(nameOf(where[0].URI)); err != nil || !strings.Contains(string(b), "struct file {") {
		t.Errorf("%s: %v %s", where[0].URI, err, b)
	}
	var content contentResult
	p.call("workspace/textDocumentContent", map[string]any{"uri": "stapkit:///errors/E1004.md"}, &content)
	if !strings.HasPrefix(content.Text, "# E1004") {
		t.Errorf("page of a code: %q", content.Text)
	}
	p.stop()
}

// TestProject reads settings of a stapkit.toml, unless the workspace is not trusted.
func TestProject(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"stapkit.toml":    "guru = true\ninclude = [\"lib\"]\n[lint]\ndisable = [\"all\"]\n",
		"lib/mine.stp":    "function mine(n:long) { return n }\n",
		"other/user.stp":  "probe begin { println(mine(1)); exit() }\n",
		"other/user2.stp": "probe begin { exit() }\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	uri := uriOf(filepath.Join(dir, "script.stp"))
	text := "probe kernel.function(\"vfs_read\") {\n\t$count = mine(1)\n}\n"
	for _, trusted := range []bool{true, false} {
		p := startWith(t, `"workspaceFolders":[{"uri":`+quote(uriOf(dir))+`,"name":"w"}],"initializationOptions":{"settings":{"trusted":`+map[bool]string{true: "true", false: "false"}[trusted]+`}},`, `{}`)
		p.open(uri, text)
		ds := p.diagnostics(uri, 1)
		if trusted != (len(ds) == 0) {
			t.Errorf("trusted %v: %+v", trusted, ds)
		}
		if trusted {
			// Names of the library are followed into the scripts of the workspace.
			var refs []protocol.Location
			p.call("textDocument/references", map[string]any{"textDocument": map[string]any{"uri": uri}, "position": map[string]any{"line": 1, "character": 11}, "context": map[string]any{"includeDeclaration": true}}, &refs)
			if len(refs) != 3 {
				t.Errorf("references: %+v", refs)
			}
			var edit protocol.WorkspaceEdit
			p.call("textDocument/rename", map[string]any{"textDocument": map[string]any{"uri": uri}, "position": map[string]any{"line": 1, "character": 11}, "newName": "ours"}, &edit)
			if len(edit.Changes) != 3 {
				t.Errorf("rename: %+v", edit)
			}
			var symbols []protocol.SymbolInformation
			p.call("workspace/symbol", map[string]any{"query": "mine"}, &symbols)
			if len(symbols) != 1 {
				t.Errorf("symbols: %+v", symbols)
			}
			var report workspaceDiagnosticReport
			p.call("workspace/diagnostic", map[string]any{"previousResultIds": []any{}}, &report)
			if len(report.Items) != 3 {
				t.Errorf("workspace diagnostics: %+v", report)
			}
			// A file of the library changes on disk.
			if err := os.WriteFile(filepath.Join(dir, "lib/mine.stp"), []byte("function yours() { return 1 }\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			p.notify("workspace/didChangeWatchedFiles", map[string]any{"changes": []any{map[string]any{"uri": uriOf(filepath.Join(dir, "lib/mine.stp")), "type": 2}}})
			deadline := time.Now().Add(20 * time.Second)
			for n := 0; n == 0 && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
				p.mu.Lock()
				if l := p.diags[uri]; len(l) > 0 {
					n = len(l[len(l)-1].Diagnostics)
				}
				p.mu.Unlock()
				if n > 0 {
					deadline = time.Time{}
				}
			}
			if !deadline.IsZero() {
				t.Error("the function that is gone is not missed")
			}
		}
		p.stop()
	}
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}

// TestPanic has a handler panic: the request fails, the server goes on.
func TestPanic(t *testing.T) {
	s := &server{view: &view{docs: map[string]*document{}}, cancels: map[string]context.CancelFunc{}}
	s.envs.init(s)
	s.register()
	s.table.TextDocumentHover = func(*glsp.Context, *protocol.HoverParams) (*protocol.Hover, error) { panic("broken") }
	s.initialized.Store(true)
	s.table.SetInitialized(true)
	c := &call{s: s, ctx: context.Background(), view: s.view}
	c.Method, c.Params = "textDocument/hover", json.RawMessage(`{"textDocument":{"uri":"file:///a"},"position":{"line":0,"character":0}}`)
	if _, err := s.request(c); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("the panic became %v", err)
	}
	c.Method, c.Params = "textDocument/none", nil
	_, err := s.request(c)
	if e, ok := err.(*jsonrpc2.Error); !ok || e.Code != jsonrpc2.CodeMethodNotFound {
		t.Errorf("after it: %v", err)
	}
}

// TestURIs converts names of files and back.
func TestURIs(t *testing.T) {
	for _, name := range []string{"/tmp/a.stp", "/tmp/a b/é#.stp", "/tmp/100%.stp", "untitled:Untitled-1"} {
		if got := nameOf(uriOf(name)); got != name {
			t.Errorf("%s became %s by %s", name, got, uriOf(name))
		}
	}
	if got := nameOf("stapkit:///tapset/context.stp"); got != "tapset/context.stp" {
		t.Errorf("library document: %s", got)
	}
	if got := nameOf("file:///tmp/a%20b.stp"); got != "/tmp/a b.stp" {
		t.Errorf("escaped: %s", got)
	}
}

// TestTokenEdits holds that edits make the new list of the old one.
func TestTokenEdits(t *testing.T) {
	lists := [][]uint32{{}, {1, 2, 3}, {1, 2, 3, 4, 5}, {1, 9, 3}, {3, 1, 2}, {1, 2, 3, 1, 2, 3}}
	for _, a := range lists {
		for _, b := range lists {
			got := append([]uint32(nil), a...)
			for _, e := range tokenEdits(a, b) {
				got = append(append(append([]uint32(nil), got[:e.Start]...), e.Data...), got[e.Start+e.DeleteCount:]...)
			}
			if len(got) != len(b) {
				t.Fatalf("%v to %v: %v", a, b, got)
			}
			for i := range got {
				if got[i] != b[i] {
					t.Fatalf("%v to %v: %v", a, b, got)
				}
			}
		}
	}
}

// TestPlainInsert takes tab stops out of snippets.
func TestPlainInsert(t *testing.T) {
	for in, want := range map[string]string{
		`execname()`: `execname()`, `f(${1:a}, ${2:b})`: `f(`, `@defined(${1:\$x})$0`: `@defined(`,
		"probe ${1:point} {\n\t$0\n}": "probe", `function("$1")`: `function("`, `a\$b`: `a$b`,
	} {
		if got := plainInsert(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// TestProjectFindings: what is wrong with a stapkit.toml is shown there, until it is
// mended, also by a client that asks for diagnostics itself.
func TestProjectFindings(t *testing.T) {
	dir := t.TempDir()
	toml := filepath.Join(dir, "stapkit.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(toml, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("guru = true\nnonsense = 1\n")
	p := startWith(t, `"workspaceFolders":[{"uri":`+quote(uriOf(dir))+`,"name":"w"}],`, `{"textDocument":{"diagnostic":{}}}`)
	uri := uriOf(toml)
	wait := func(n int, holds func(protocol.PublishDiagnosticsParams) bool) {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for time.Now().Before(deadline) {
			p.mu.Lock()
			l := p.diags[uri]
			p.mu.Unlock()
			if len(l) == n && holds(l[n-1]) {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Fatalf("diagnostics of stapkit.toml: %+v", p.diags[uri])
	}
	wait(1, func(d protocol.PublishDiagnosticsParams) bool {
		return len(d.Diagnostics) == 1 && d.Diagnostics[0].Range.Start.Line == 1 && strings.Contains(d.Diagnostics[0].Message, "nonsense")
	})
	changed := map[string]any{"changes": []any{map[string]any{"uri": uri, "type": 2}}}
	write("guru = true\n")
	p.notify("workspace/didChangeWatchedFiles", changed)
	wait(2, func(d protocol.PublishDiagnosticsParams) bool { return len(d.Diagnostics) == 0 })
	write("guru = 3\n")
	p.notify("workspace/didChangeWatchedFiles", changed)
	wait(3, func(d protocol.PublishDiagnosticsParams) bool { return len(d.Diagnostics) == 1 })
	if err := os.Remove(toml); err != nil {
		t.Fatal(err)
	}
	p.notify("workspace/didChangeWatchedFiles", changed)
	wait(4, func(d protocol.PublishDiagnosticsParams) bool { return len(d.Diagnostics) == 0 })
}

// TestPatience: answers that wait for debug information come without it, and are asked
// for again; a panic of one is the request's error.
func TestPatience(t *testing.T) {
	env, err := query.Open(query.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{}
	s.background, s.stop = context.WithCancel(context.Background())
	defer s.stop()
	c := &call{s: s, ctx: context.Background()}
	if v, ok := soon(c, env, func(context.Context) int { return 3 }); !ok || v != 3 {
		t.Error(v, ok)
	}
	func() {
		defer func() {
			if r := recover(); r != "oops" {
				t.Error("a panic was lost:", r)
			}
		}()
		soon(c, env, func(context.Context) int { panic("oops") })
	}()
	ended, end := context.WithCancel(context.Background())
	end()
	if _, ok := soon(&call{s: s, ctx: ended}, env, func(ctx context.Context) int { <-ctx.Done(); return 1 }); ok {
		t.Error("an answer for a request that has ended")
	}
}
