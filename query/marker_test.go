package query

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"stapkit/diag"
	"stapkit/internal/minikernel"
	"stapkit/target"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// marker is a line "//@KIND "text|with cursor" NAME": a question about the next line
// that is no marker, whose answer is in the section "@NAME". Without "|" the cursor is
// at the start of the text. Marker lines are no part of the script.
var marker = regexp.MustCompile(`^\s*//@(\w+)(?:\s+("(?:[^"\\]|\\.)*"))?\s+([\w-]+)(?:\s+(.*))?$`)

type question struct {
	kind, text, name, arg string
	file                  int // index in the archive
	line                  int // offset of the line that it is about
}

// kinds are the questions that can be asked.
var kinds = map[string]func(s *Snapshot, off int, arg string) string{
	"hover": func(s *Snapshot, off int, _ string) string {
		h := s.Hover(off)
		if h == nil {
			return "nothing\n"
		}
		return fmt.Sprintf("%q\n%s\n", s.Text[h.Start:h.End], h.Markdown())
	},
	"complete": func(s *Snapshot, off int, arg string) string {
		c := s.Complete(context.Background(), off)
		n := 12
		if v, err := strconv.Atoi(arg); err == nil {
			n = v
		}
		var b strings.Builder
		fmt.Fprintf(&b, "replace %q", s.Text[c.Start:c.End])
		if len(c.Items) <= n { // the library grows
			fmt.Fprintf(&b, ", %d items", len(c.Items))
		}
		b.WriteByte('\n')
		for i, it := range c.Items {
			if i == n {
				b.WriteString("…\n")
				break
			}
			b.WriteString(it.Label)
			if it.Insert != it.Label {
				fmt.Fprintf(&b, " => %q", it.Insert)
			}
			if it.Detail != "" {
				b.WriteString(" | " + it.Detail)
			}
			b.WriteByte('\n')
		}
		return b.String()
	},
	"sig": func(s *Snapshot, off int, _ string) string {
		g := s.Signatures(off)
		if g == nil {
			return "nothing\n"
		}
		var b strings.Builder
		for i, sig := range g.List {
			mark := " "
			if i == g.Active {
				mark = "*"
			}
			label := sig.Label
			if g.Param < len(sig.Params) && i == g.Active {
				p := sig.Params[g.Param]
				label = label[:p[0]] + ">" + label[p[0]:p[1]] + "<" + label[p[1]:]
			}
			fmt.Fprintf(&b, "%s %s\n", mark, label)
			if sig.Doc != "" {
				first, _, _ := strings.Cut(sig.Doc, "\n")
				b.WriteString("  " + first + "\n")
			}
		}
		return b.String()
	},
	"def": func(s *Snapshot, off int, _ string) string {
		var b strings.Builder
		for _, r := range s.Definitions(off) {
			fmt.Fprintf(&b, "%s\n", r.Start)
		}
		return b.String()
	},
	"typedef": func(s *Snapshot, off int, _ string) string {
		t, ok := s.TypeDefinition(off)
		if !ok {
			return ""
		}
		return t.Name + "\n" + t.Text
	},
	// Where the member is declared in the text of its struct.
	"memdef": func(s *Snapshot, off int, _ string) string {
		t, start, end, ok := s.MemberDefinition(off)
		if !ok {
			return ""
		}
		line := t.Text[strings.LastIndexByte(t.Text[:start], '\n')+1:]
		line, _, _ = strings.Cut(line, ";")
		return fmt.Sprintf("%s: %s in %q\n", t.Name, t.Text[start:end], line+";")
	},
	"refs": func(s *Snapshot, off int, _ string) string {
		y := s.SymbolAt(off)
		if y == nil {
			return ""
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%s shared=%v embedded=%v\n", y.Name, y.Shared, y.Embedded)
		for _, o := range s.Occurrences(y) {
			p := s.Mapper.Pos(o.Start)
			fmt.Fprintf(&b, "%d:%d %q", p.Line, p.Col, s.Text[o.Start:o.End])
			if o.Decl {
				b.WriteString(" declares")
			}
			if o.Write {
				b.WriteString(" writes")
			}
			b.WriteByte('\n')
		}
		return b.String()
	},
	"rename": func(s *Snapshot, off int, to string) string {
		y := s.SymbolAt(off)
		if err := s.CheckRename(y, to); err != nil {
			return "refused: " + err.Error() + "\n"
		}
		var edits []Edit
		for _, o := range s.Occurrences(y) {
			edits = append(edits, Edit{o.Start, o.End, to})
		}
		return s.changes(edits)
	},
	"symbols": func(s *Snapshot, _ int, _ string) string {
		var b strings.Builder
		for _, o := range s.Outlines() {
			a, z := s.Mapper.Pos(o.Start), s.Mapper.Pos(o.End)
			fmt.Fprintf(&b, "%d %s %s | %d:%d-%d:%d name %q\n", o.Kind, o.Name, o.Detail, a.Line, a.Col, z.Line, z.Col, s.Text[o.NameStart:o.NameEnd])
		}
		return b.String()
	},
	"fold": func(s *Snapshot, _ int, _ string) string {
		var b strings.Builder
		for _, f := range s.Folds() {
			a, z := s.Mapper.Pos(f.Start), s.Mapper.Pos(f.End)
			fmt.Fprintf(&b, "%d %d:%d-%d:%d\n", f.Kind, a.Line, a.Col, z.Line, z.Col)
		}
		return b.String()
	},
	"select": func(s *Snapshot, off int, _ string) string {
		var b strings.Builder
		for _, o := range s.Selections(off) {
			fmt.Fprintf(&b, "%q\n", s.Text[o.Start:o.End])
		}
		return b.String()
	},
	"tokens": func(s *Snapshot, off int, _ string) string {
		end := off + strings.IndexByte(string(s.Text[off:])+"\n", '\n')
		var b strings.Builder
		for _, t := range s.Tokens(off, end) {
			fmt.Fprintf(&b, "%q %s", s.Text[t.Start:t.End], TokenTypes[t.Type])
			for i, m := range TokenModifiers {
				if t.Mods>>i&1 != 0 {
					b.WriteString(" " + m)
				}
			}
			b.WriteByte('\n')
		}
		return b.String()
	},
	"hints": func(s *Snapshot, _ int, _ string) string {
		list := s.Hints(0, len(s.Text))
		slices.SortStableFunc(list, func(a, b Hint) int { return a.Off - b.Off })
		text := string(s.Text)
		for i := len(list) - 1; i >= 0; i-- {
			h := list[i]
			text = text[:h.Off] + "«" + h.Label + "»" + text[h.Off:]
		}
		var b strings.Builder
		for _, l := range strings.SplitAfter(text, "\n") {
			if strings.Contains(l, "«") {
				b.WriteString(l)
			}
		}
		return b.String()
	},
	"lens": func(s *Snapshot, _ int, _ string) string {
		var b strings.Builder
		for _, l := range s.Lenses() {
			fmt.Fprintf(&b, "%d: %s matches %d\n", s.Mapper.Pos(l.Start).Line, l.Points, l.Matches)
		}
		return b.String()
	},
	"links": func(s *Snapshot, _ int, _ string) string {
		var b strings.Builder
		for _, l := range s.Links() {
			fmt.Fprintf(&b, "%q -> %s%s\n", s.Text[l.Start:l.End], l.URL, l.Code)
		}
		return b.String()
	},
	"calls": func(s *Snapshot, off int, _ string) string {
		var b strings.Builder
		if y := s.SymbolAt(off); y != nil && y.Kind == FunctionSymbol {
			for _, c := range s.Incoming(y.Name) {
				fmt.Fprintf(&b, "from %s, %d calls\n", c.Item.Name, len(c.Calls))
			}
		}
		out := s.Outgoing(off)
		for _, n := range sortedNames(out) {
			fmt.Fprintf(&b, "to %s, %d calls\n", n, len(out[n]))
		}
		return b.String()
	},
	// The argument is the last text of the selection; without one it is the cursor.
	"action": func(s *Snapshot, off int, to string) string {
		end := off
		if to != "" {
			i := strings.Index(string(s.Text[off:]), to)
			if i < 0 {
				return "no " + to
			}
			end = off + i + len(to)
		}
		var here []diag.Diagnostic
		for _, d := range s.Diagnostics() {
			if sp, ok := s.offsets(d.Range); ok && sp.start <= end && sp.end >= off {
				here = append(here, d)
			}
		}
		var b strings.Builder
		for _, a := range s.Actions(off, end, here) {
			fmt.Fprintf(&b, "%s [%s]\n%s", a.Title, a.Kind, s.changes(a.Edits))
		}
		return b.String()
	},
	"diag": func(s *Snapshot, _ int, _ string) string {
		var b strings.Builder
		for _, d := range s.Diagnostics() {
			fmt.Fprintf(&b, "%s: %s\n", d.Severity, d.Error())
			if d.Help != "" {
				fmt.Fprintf(&b, "  help: %s\n", d.Help)
			}
			for _, r := range d.Related {
				fmt.Fprintf(&b, "  see %s: %s\n", r.Range.Start, r.Message)
			}
			for _, t := range d.Tags {
				fmt.Fprintf(&b, "  %s\n", t)
			}
		}
		return b.String()
	},
}

// changes shows the lines that edits change, as they become.
func (s *Snapshot) changes(edits []Edit) string {
	slices.SortStableFunc(edits, func(a, b Edit) int { return a.Start - b.Start })
	text := string(s.Text)
	for i := len(edits) - 1; i >= 0; i-- {
		text = text[:edits[i].Start] + edits[i].Text + text[edits[i].End:]
	}
	old := map[string]int{}
	for _, l := range strings.SplitAfter(string(s.Text), "\n") {
		old[l]++
	}
	var b strings.Builder
	for _, l := range strings.SplitAfter(text, "\n") {
		if old[l] > 0 {
			old[l]--
			continue
		}
		b.WriteString("+" + l)
	}
	return b.String()
}

func testEnv(t testing.TB, files map[string]string) *Env {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vmlinux")
	if err := minikernel.Write(path); err != nil {
		t.Fatal(err)
	}
	return targetEnv(t, path, files)
}

// hostEnv is one of a host with a module and trace events.
func hostEnv(t testing.TB, files map[string]string) *Env {
	t.Helper()
	path := filepath.Join(t.TempDir(), "host.desc")
	if err := minikernel.WriteHost(path); err != nil {
		t.Fatal(err)
	}
	return targetEnv(t, path, files)
}

func targetEnv(t testing.TB, path string, files map[string]string) *Env {
	t.Helper()
	tg, err := target.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tg.Close() })
	c := Config{Target: tg}
	for name, text := range files { // those below library/ are a library
		if strings.HasPrefix(name, "library/") {
			if err := os.MkdirAll("library", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			c.Includes = []string{"library"}
		}
	}
	e, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// TestMarkers answers the questions in testdata/*.txtar.
func TestMarkers(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no archives", err)
	}
	for i := range archives {
		archives[i], _ = filepath.Abs(archives[i])
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Chdir(t.TempDir())
			testArchive(t, path)
		})
	}
}

func testArchive(t *testing.T, path string) {
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ar := txtar.Parse(raw)
	want := map[string]string{}
	texts := map[string]string{}
	var questions []question
	var kept []txtar.File
	for i, f := range ar.Files {
		if strings.HasPrefix(f.Name, "@") {
			want[f.Name[1:]] = string(f.Data)
			continue
		}
		kept = append(kept, f)
		var b strings.Builder
		var waiting []question
		for _, line := range strings.SplitAfter(string(f.Data), "\n") {
			if m := marker.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
				text := ""
				if m[2] != "" {
					if text, err = strconv.Unquote(m[2]); err != nil {
						t.Fatalf("%s: %s", line, err)
					}
				}
				waiting = append(waiting, question{kind: m[1], text: text, name: m[3], arg: m[4], file: i})
				continue
			}
			for _, q := range waiting {
				q.line = b.Len()
				questions = append(questions, q)
			}
			waiting = nil
			b.WriteString(line)
		}
		for _, q := range waiting {
			q.line = b.Len()
			questions = append(questions, q)
		}
		// The newline at the end is the archive's, where the cursor is at the end.
		texts[f.Name] = strings.TrimSuffix(b.String(), "<EOF>\n")
	}
	open := testEnv
	if strings.HasPrefix(string(ar.Comment), "A host ") {
		open = hostEnv
	}
	env := open(t, texts)
	snaps := map[int]*Snapshot{}
	var answers []txtar.File
	for _, q := range questions {
		s := snaps[q.file]
		if s == nil {
			s = env.Snapshot(ar.Files[q.file].Name, []byte(texts[ar.Files[q.file].Name]))
			s.Program()
			snaps[q.file] = s
		}
		ask, ok := kinds[q.kind]
		if !ok {
			t.Fatalf("unknown question %q", q.kind)
		}
		off := q.line
		if q.text != "" {
			before, after, cursor := strings.Cut(q.text, "|")
			line := string(s.Text[q.line:])
			if i := strings.IndexByte(line, '\n'); i >= 0 {
				line = line[:i]
			}
			i := strings.Index(line, before+after)
			if i < 0 {
				t.Fatalf("%s: no %q in %q", q.name, before+after, line)
			}
			off += i
			if cursor {
				off += len(before)
			}
		}
		start := time.Now()
		got := ask(s, off, q.arg)
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("%s: took %v", q.name, d)
		}
		if got == "" {
			got = "nothing\n"
		}
		if !strings.HasSuffix(got, "\n") {
			got += "\n"
		}
		answers = append(answers, txtar.File{Name: "@" + q.name, Data: []byte(got)})
		if !*update && got != want[q.name] {
			t.Errorf("%s %s: got\n%swant\n%s", q.kind, q.name, got, want[q.name])
		}
		delete(want, q.name)
	}
	if *update {
		ar.Files = slices.Concat(kept, answers)
		if err := os.WriteFile(path, txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for name := range want {
		t.Errorf("no question has the answer @%s", name)
	}
}
