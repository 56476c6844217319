package lsp

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	unicode16 "unicode/utf16"

	"github.com/sourcegraph/jsonrpc2"
	protocol "github.com/tliron/glsp/protocol_3_16"

	"stapkit/target"
)

// TestEncodings: whatever columns are counted in, places behind characters of all sizes
// are found, told and edited.
func TestEncodings(t *testing.T) {
	line := "\tprintln(\"aé漢𝄞\", $file->f_pos, $nope)"
	text := "probe kernel.function(\"vfs_read\") {\n" + line + "\n}\n"
	for encoding, width := range map[string]func(string) int{
		"utf-8":  func(s string) int { return len(s) },
		"utf-16": func(s string) int { return len(unicode16.Encode([]rune(s))) },
		"utf-32": func(s string) int { return len([]rune(s)) },
	} {
		t.Run(encoding, func(t *testing.T) {
			at8 := func(part string) int { return width(line[:strings.Index(line, part)]) }
			p := start(t, `{"general":{"positionEncodings":[`+quote(encoding)+`]}}`)
			uri := "file:///tmp/%C3%A9.stp"
			p.open(uri, text)
			ds := p.diagnostics(uri, 1)
			if len(ds) != 1 || int(ds[0].Range.Start.Character) != at8("$nope") || int(ds[0].Range.End.Character) != at8("$nope")+5 {
				t.Errorf("diagnostics: %+v, want column %d", ds, at8("$nope"))
			}
			var hover struct{ Range protocol.Range }
			p.call("textDocument/hover", at(uri, 1, at8("f_pos")+2), &hover)
			if int(hover.Range.Start.Character) != at8("f_pos") || int(hover.Range.End.Character) != at8("f_pos")+5 {
				t.Errorf("hover: %+v, want column %d", hover, at8("f_pos"))
			}
			var tokens protocol.SemanticTokens
			p.call("textDocument/semanticTokens/range", map[string]any{"textDocument": map[string]any{"uri": uri},
				"range": protocol.Range{Start: protocol.Position{Line: 1}, End: protocol.Position{Line: 2}}}, &tokens)
			found := false
			for i, col := 0, 0; i+4 < len(tokens.Data); i += 5 {
				if tokens.Data[i] > 0 {
					col = 0
				}
				col += int(tokens.Data[i+1])
				found = found || col == at8("f_pos") && tokens.Data[i+2] == 5
			}
			if !found {
				t.Errorf("colours: %v have none for column %d", tokens.Data, at8("f_pos"))
			}
			p.notify("textDocument/didChange", map[string]any{"textDocument": map[string]any{"uri": uri, "version": 2}, "contentChanges": []any{map[string]any{
				"range": map[string]any{"start": map[string]any{"line": 1, "character": at8(", $nope")}, "end": map[string]any{"line": 1, "character": at8(", $nope") + 7}}, "text": ""}}})
			if ds := p.diagnostics(uri, 2); len(ds) != 0 {
				t.Errorf("after the edit: %+v", ds)
			}
			p.stop()
		})
	}
}

// TestSlowTarget: answers do not wait for a target that is being read, which is shown as
// progress; requests meanwhile can be cancelled; once it is there, what was said without
// it is said anew.
func TestSlowTarget(t *testing.T) {
	release := make(chan struct{})
	var once sync.Once
	let := func() { once.Do(func() { close(release) }) }
	defer let()
	opt := Options{open: func(spec string) (*target.Target, error) {
		<-release
		return target.FromBTF(spec)
	}}
	p := startServer(t, opt, "", `{"window":{"workDoneProgress":true},"workspace":{"inlayHint":{"refreshSupport":true}}}`)
	uri := "file:///tmp/slow.stp"
	p.open(uri, "probe kernel.function(\"vfs_read\") {\n\tprintln(execname(), $nope, $file->f_pos)\n}\n")
	p.wait("progress", func() bool {
		return strings.Contains(strings.Join(p.told, "\n"), `$/progress`) && strings.Contains(strings.Join(p.told, "\n"), "Reading kernel types")
	})
	var hover struct{ Contents protocol.MarkupContent }
	p.call("textDocument/hover", at(uri, 1, 12), &hover)
	if !strings.Contains(hover.Contents.Value, "command name") {
		t.Errorf("hover without the target: %+v", hover)
	}
	if ds := p.diagnostics(uri, 1); hasErrors(ds) {
		t.Errorf("without the target: %+v", ds)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	waiting, err := p.conn.DispatchCall(ctx, "textDocument/hover", at(uri, 1, 40), jsonrpc2.PickID(jsonrpc2.ID{Str: "slow one", IsString: true}))
	if err != nil {
		t.Fatal(err)
	}
	p.notify("$/cancelRequest", map[string]any{"id": "slow one"})
	var rpc *jsonrpc2.Error
	if err := waiting.Wait(ctx, nil); !errors.As(err, &rpc) || rpc.Code != codeRequestCancelled {
		t.Errorf("the cancelled request gave %v", err)
	}
	let()
	p.wait("diagnostics with the target", func() bool {
		l := p.diags[uri]
		return len(l) > 1 && len(l[len(l)-1].Diagnostics) > 0 && strings.Contains(l[len(l)-1].Diagnostics[0].Message, "nope")
	})
	p.wait("end of progress", func() bool { return strings.Contains(strings.Join(p.told, "\n"), `"kind":"end"`) })
	p.call("textDocument/hover", at(uri, 1, 38), &hover)
	if !strings.Contains(hover.Contents.Value, "loff_t f_pos") {
		t.Errorf("hover with the target: %+v", hover)
	}
	p.stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !strings.Contains(strings.Join(p.asked, " "), "workspace/inlayHint/refresh") {
		t.Errorf("hints are not asked for again: %q", p.asked)
	}
}

func hasErrors(list []protocol.Diagnostic) bool {
	for _, d := range list {
		if d.Severity != nil && *d.Severity == protocol.DiagnosticSeverityError {
			return true
		}
	}
	return false
}

// TestSettings: settings come with notifications from clients that cannot be asked.
func TestSettings(t *testing.T) {
	p := start(t, `{}`)
	uri := "file:///tmp/settings.stp"
	p.open(uri, "probe kernel.function(\"vfs_read\") {\n\t$count = 1\n\tx = 2\n\tprintln(x)\n}\n")
	if ds := p.diagnostics(uri, 1); !hasErrors(ds) {
		t.Error("writing without guru mode is not reported")
	}
	hints := func() string {
		var list []inlayHint
		p.call("textDocument/inlayHint", map[string]any{"textDocument": map[string]any{"uri": uri},
			"range": protocol.Range{End: protocol.Position{Line: 9}}}, &list)
		var l []string
		for _, h := range list {
			l = append(l, h.Label)
		}
		return strings.Join(l, " ")
	}
	if h := hints(); h != ": long" {
		t.Errorf("hints: %q", h)
	}
	p.notify("workspace/didChangeConfiguration", map[string]any{"settings": map[string]any{"stapkit": map[string]any{
		"guru": true, "inlayHints": map[string]any{"types": false}}}})
	p.wait("diagnostics in guru mode", func() bool { l := p.diags[uri]; return len(l) > 1 && !hasErrors(l[len(l)-1].Diagnostics) })
	if h := hints(); h != "" {
		t.Errorf("hints that are turned off: %q", h)
	}
	p.stop()
}

// TestFirstLine: options come from a script's "#!" line where there is no stapkit.toml,
// unless the workspace is not trusted.
func TestFirstLine(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "lib", "mine.stp"), []byte("function mine(n:long) { return n }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	uri := uriOf(filepath.Join(dir, "script.stp"))
	for _, trusted := range []string{"true", "false"} {
		p := startWith(t, `"initializationOptions":{"settings":{"trusted":`+trusted+`}},`, `{}`)
		p.open(uri, "#!/usr/bin/env -S stap -g -I lib\nprobe kernel.function(\"vfs_read\") {\n\t$count = mine(1)\n}\n")
		if ds := p.diagnostics(uri, 1); (trusted == "true") == hasErrors(ds) {
			t.Errorf("trusted %s: %+v", trusted, ds)
		}
		p.stop()
	}
}

// TestLenses offers commands only to clients that have them.
func TestLenses(t *testing.T) {
	for _, has := range []bool{true, false} {
		p := startWith(t, `"initializationOptions":{"lensCommands":`+map[bool]string{true: "true", false: "false"}[has]+`},`, `{}`)
		uri := "file:///tmp/lens.stp"
		p.open(uri, "probe kernel.function(\"vfs_*\") { exit() }\nprobe begin {\n")
		var lenses []protocol.CodeLens
		p.call("textDocument/codeLens", map[string]any{"textDocument": map[string]any{"uri": uri}}, &lenses)
		var got []string
		for _, l := range lenses {
			got = append(got, strings.TrimSpace(l.Command.Title+" "+l.Command.Command))
		}
		want := "matches 4 probes, matches 1 probe"
		if has {
			want = "run stapkit.run, build bundle stapkit.build, matches 4 probes stapkit.showMatches, matches 1 probe stapkit.showMatches"
		}
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("commands %v: %s\nwant %s", has, s, want)
		}
		p.stop()
	}
}

// lines is a writer for several at once.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// TestLog writes what happens, and nothing without a log.
func TestLog(t *testing.T) {
	var log lines
	p := startServer(t, Options{Log: &log}, "", `{}`)
	p.open("file:///tmp/log.stp", "probe begin { exit() }\n")
	p.call("textDocument/hover", at("file:///tmp/log.stp", 0, 15), nil)
	var refused json.RawMessage
	if err := p.conn.Call(context.Background(), "textDocument/nothing", nil, &refused); err == nil {
		t.Error("a method that does not exist")
	}
	p.stop()
	for _, want := range []string{"initialize #", "textDocument/didOpen ok", "textDocument/hover #", "method not supported: textDocument/nothing", "shutdown"} {
		if !strings.Contains(log.b.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, log.b.String())
		}
	}
}

// TestRules completes rules in suppressions, and tells what they are about.
func TestRules(t *testing.T) {
	p := start(t, `{}`)
	uri := "file:///tmp/rules.stp"
	for _, text := range []string{"probe begin { exit() } # staplint:ignore ST4003\n", "probe begin { exit( # staplint:ignore ST4003\n"} {
		p.open(uri, text)
		column := strings.Index(text, "ST4003")
		var list protocol.CompletionList
		p.call("textDocument/completion", at(uri, 0, column+4), &list)
		found := false
		for _, it := range list.Items {
			found = found || it.Label == "ST4003" && it.Detail != nil && *it.Detail != ""
		}
		if !found {
			t.Errorf("completion in %q: %+v", text, list.Items)
		}
		var hover struct{ Contents protocol.MarkupContent }
		p.call("textDocument/hover", at(uri, 0, column+4), &hover)
		if !strings.Contains(hover.Contents.Value, "ST4003") {
			t.Errorf("hover in %q: %+v", text, hover)
		}
	}
	p.stop()
}

// TestMember goes from a member to its place in the text of its struct.
func TestMember(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	p := startWith(t, `"initializationOptions":{"virtualDocuments":true},`, `{}`)
	uri := "file:///tmp/member.stp"
	for version, text := range []string{"probe kernel.function(\"vfs_read\") { println($file->f_pos, $file->f_pos) }\n", "probe kernel.function(\"vfs_read\") { println($file->f_pos, $file->f_pos + "} {
		p.open(uri, text)
		var where []protocol.Location
		p.call("textDocument/definition", at(uri, 0, 53), &where)
		if len(where) != 1 || !strings.HasPrefix(where[0].URI, "stapkit:///types/struct_file") {
			t.Fatalf("definition: %+v", where)
		}
		var content contentResult
		p.call("workspace/textDocumentContent", map[string]any{"uri": where[0].URI}, &content)
		l := strings.Split(content.Text, "\n")[where[0].Range.Start.Line]
		if got := l[where[0].Range.Start.Character:where[0].Range.End.Character]; got != "f_pos" {
			t.Errorf("%d: the definition is %q in %q", version, got, l)
		}
		var refs []protocol.Location
		p.call("textDocument/references", map[string]any{"textDocument": map[string]any{"uri": uri}, "position": map[string]any{"line": 0, "character": 53}, "context": map[string]any{"includeDeclaration": true}}, &refs)
		if len(refs) != 2 {
			t.Errorf("references: %+v", refs)
		}
		var marks []protocol.DocumentHighlight
		p.call("textDocument/documentHighlight", at(uri, 0, 46), &marks)
		if len(marks) != 2 {
			t.Errorf("highlights of the variable: %+v", marks)
		}
	}
	p.stop()
}
