package manual

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/yuin/goldmark/ast"

	"stapkit/internal/host"
)

const root = "../.."

// documents are the Markdown files of the repository, by path from its root.
func documents(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	add := func(p string) {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.ToSlash(rel)] = b
	}
	for _, n := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} {
		add(filepath.Join(root, n))
	}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(p, ".md") {
			add(p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func walk(t *testing.T, n ast.Node, f func(ast.Node)) {
	t.Helper()
	err := ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			f(n)
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestLinks holds that what documents link to is there, headings included.
func TestLinks(t *testing.T) {
	docs := documents(t)
	anchors := map[string]map[string]bool{}
	for name, src := range docs {
		anchors[name] = map[string]bool{}
		walk(t, Parse(src), func(n ast.Node) {
			if h, ok := n.(*ast.Heading); ok {
				if id, ok := h.AttributeString("id"); ok {
					anchors[name][string(id.([]byte))] = true
				}
			}
		})
		for _, m := range regexp.MustCompile(`<a (?:id|name)="([^"]+)"`).FindAllSubmatch(src, -1) {
			anchors[name][string(m[1])] = true
		}
	}
	links := 0
	for name, src := range docs {
		walk(t, Parse(src), func(n ast.Node) {
			var dest string
			switch n := n.(type) {
			case *ast.Link:
				dest = string(n.Destination)
			case *ast.Image:
				dest = string(n.Destination)
			default:
				return
			}
			if strings.Contains(dest, "://") || strings.HasPrefix(dest, "mailto:") {
				return
			}
			links++
			file, anchor, _ := strings.Cut(dest, "#")
			full := name
			if file != "" {
				full = filepath.ToSlash(filepath.Join(filepath.Dir(name), file))
			}
			st, err := os.Stat(filepath.Join(root, full))
			if err != nil {
				t.Errorf("%s: link to %s: there is no such file", name, dest)
				return
			}
			if st.IsDir() {
				full += "/README.md"
			}
			if anchor != "" && anchors[full] != nil && !anchors[full][anchor] {
				t.Errorf("%s: link to %s: there is no such heading", name, dest)
			}
		})
	}
	if links < 50 {
		t.Errorf("only %d links were found", links)
	}
}

// examples are the pages whose blocks are run or compiled.
var examples = []string{"docs/start.md", "docs/tour.md", "docs/migrating.md", "docs/language.md", "docs/probes.md"}

// TestExamples runs the examples: blocks "sh run" as they are, of "sh compile" all but
// the run, since not every kernel can be probed like that. "systemtap run" and "systemtap
// compile" are scripts, with options of stap behind these words. A block "text" below one
// is all that it prints.
func TestExamples(t *testing.T) {
	if why := host.BPF(); why != "" {
		t.Skip(why)
	}
	bin := t.TempDir()
	for _, c := range []string{"stap", "stapc", "staprun", "staplint", "stapfmt"} {
		cmd := exec.Command("go", "build", "-o", bin+"/", "./cmd/"+c)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", c, err, out)
		}
	}
	n := 0
	for _, name := range examples {
		src, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		info := func(n ast.Node) string {
			if b, ok := n.(*ast.FencedCodeBlock); ok && b.Info != nil {
				return string(b.Info.Value(src))
			}
			return ""
		}
		walk(t, Parse(src), func(node ast.Node) {
			b, ok := node.(*ast.FencedCodeBlock)
			if !ok {
				return
			}
			text, dir := string(b.Lines().Value(src)), t.TempDir()
			kind := info(b)
			options := ""
			for _, k := range []string{"systemtap run", "systemtap compile"} {
				if rest, ok := strings.CutPrefix(kind, k); ok && (rest == "" || rest[0] == ' ') {
					kind, options = k, rest
				}
			}
			var script string
			switch kind {
			case "sh run":
				script = text
			case "sh compile":
				script = "stap() { command stap -p4 -m example \"$@\"; }\n" + text
			case "systemtap run":
				script = "stap" + options + " script.stp"
			case "systemtap compile":
				script = "stap -p4 -m example" + options + " script.stp"
			case "text":
				if info(b.PreviousSibling()) == "" {
					t.Errorf("%s: nothing is above what it is to print:\n%s", name, text)
				}
				return
			default:
				t.Errorf("%s: a block is %q, which says not whether it is run", name, kind)
				return
			}
			n++
			if strings.HasPrefix(kind, "systemtap") {
				if err := os.WriteFile(filepath.Join(dir, "script.stp"), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "bash", "-e", "-c", script)
			cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
			cmd.WaitDelay = 10 * time.Second
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+cmd.Dir, "LC_ALL=C")
			var out, errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errs
			if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
				t.Errorf("%s: %v\n%s\n%s%s%s", name, err, script, text, out.String(), errs.String())
			} else if out.Len() == 0 {
				t.Errorf("%s: nothing is printed\n%s\n%s%s", name, script, text, errs.String())
			}
			if strings.HasPrefix(kind, "systemtap") && strings.Contains(errs.String(), "WARNING") {
				t.Errorf("%s: warnings\n%s%s", name, text, errs.String())
			}
			if next := b.NextSibling(); info(next) == "text" {
				if want := string(next.(*ast.FencedCodeBlock).Lines().Value(src)); out.String() != want {
					t.Errorf("%s: what is printed is not what the page says\n%s-> %q\n%s", name, text, out.String(), want)
				}
			}
			t.Logf("%s:\n%s-> %.200s", name, text, out.String())
		})
	}
	if n < 40 {
		t.Errorf("only %d examples were found", n)
	}
}
