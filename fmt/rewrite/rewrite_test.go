package rewrite

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	stapfmt "stapkit/fmt"
)

// run formats with the options, in a folder.
func run(t *testing.T, opt Options) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	opt.Stdout, opt.Stderr = &out, &errs
	if opt.Stdin == nil {
		opt.Stdin = strings.NewReader("")
	}
	code = Run(opt)
	return code, out.String(), errs.String()
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// TestOrder: the report is in the order of the names, however long the files take.
func TestOrder(t *testing.T) {
	dir := t.TempDir()
	var want strings.Builder
	for i := range 200 {
		name := filepath.Join(dir, fmt.Sprintf("%03d.stp", i))
		write(t, name, strings.Repeat("global  x\n", 1+(i*37)%200))
		want.WriteString(name + "\n")
	}
	for _, jobs := range []int{1, 2, 16} {
		code, out, errs := run(t, Options{Paths: []string{dir}, List: true, Jobs: jobs})
		if code != Changes || out != want.String() || errs != "" {
			t.Errorf("%d jobs: code %d, %s, %s", jobs, code, out, errs)
		}
	}
	code, _, errs := run(t, Options{Paths: []string{dir}, Write: true})
	if code != Clean || errs != "" {
		t.Errorf("code %d: %s", code, errs)
	}
	if code, out, _ := run(t, Options{Paths: []string{dir}, List: true}); code != Clean || out != "" {
		t.Errorf("code %d: %s", code, out)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no room") }
func (failing) Read([]byte) (int, error)  { return 0, errors.New("no light") }

func TestFailures(t *testing.T) {
	var errs bytes.Buffer
	if code := Run(Options{Stdin: strings.NewReader("global  x"), Stdout: failing{}, Stderr: &errs}); code != Failed || !strings.Contains(errs.String(), "no room") {
		t.Errorf("code %d: %s", code, errs.String())
	}
	if code, _, errs := run(t, Options{Stdin: failing{}}); code != Failed || !strings.Contains(errs, "no light") {
		t.Errorf("code %d: %s", code, errs)
	}
	if code, _, errs := run(t, Options{Stdin: io.LimitReader(zeros{}, 64<<20+10)}); code != Failed || !strings.Contains(errs, "larger than 64 MiB") {
		t.Errorf("code %d: %.200s", code, errs)
	}
	if code, _, errs := run(t, Options{Stdin: strings.NewReader("global  x"), Write: true}); code != Failed || !strings.Contains(errs, "standard input") {
		t.Errorf("code %d: %s", code, errs)
	}
	noIndent := func(string) (stapfmt.Indent, error) { return stapfmt.Indent{}, errors.New("no width") }
	name := filepath.Join(t.TempDir(), "a.stp")
	write(t, name, "global  x\n")
	if code, _, errs := run(t, Options{Paths: []string{name}, Indent: noIndent}); code != Failed || !strings.Contains(errs, "no width") {
		t.Errorf("code %d: %s", code, errs)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}
