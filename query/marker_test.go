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
		fmt.Fprintf(&b, "replace %q, %d items", s.Text[c.Start:c.End], len(c.Items))
		if c.Incomplete {
			b.WriteString(", incomplete")
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
	"diag": func(s *Snapshot, _ int, _ string) string {
		var b strings.Builder
		for _, d := range s.Diagnostics() {
			fmt.Fprintf(&b, "%s: %s\n", d.Severity, d.Error())
		}
		return b.String()
	},
}

func testEnv(t testing.TB, files map[string]string) *Env {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "vmlinux")
	if err := minikernel.Write(path); err != nil {
		t.Fatal(err)
	}
	tg, err := target.FromBTF(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tg.Close() })
	c := Config{Target: tg}
	for name, text := range files { // those below tapset/ are a library
		if strings.HasPrefix(name, "tapset/") {
			if err := os.MkdirAll("tapset", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			c.Includes = []string{"tapset"}
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
	env := testEnv(t, texts)
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
