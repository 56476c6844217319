package registry_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"stapkit/internal/corpus"
	"stapkit/lint"
	"stapkit/lint/check"
	"stapkit/lint/registry"
)

// A found is one finding in the examples of systemtap-doc.
type found struct {
	file, rule, message, line string
}

// testCheck is the line of a .meta file that says how an example is compiled.
var testCheck = regexp.MustCompile(`(?m)^test_check: (.*)$`)

// examples lints all examples, each as its .meta file says that it is compiled. Findings
// that are not the linter's own (names that the library lacks so far) are counted apart.
func examples(t *testing.T) (list []found, others map[string]int) {
	t.Helper()
	if _, err := os.Stat(corpus.ExamplesDir); err != nil {
		t.Skip("the package systemtap-doc is not installed")
	}
	others = map[string]int{}
	envs := map[bool]*check.Env{}
	for _, guru := range []bool{false, true} {
		e, err := check.NewEnv(check.EnvOptions{Guru: guru})
		if err != nil {
			t.Fatal(err)
		}
		envs[guru] = e
	}
	var names []string
	err := filepath.WalkDir(corpus.ExamplesDir, func(p string, d os.DirEntry, err error) error {
		if err == nil && filepath.Ext(p) == ".stp" {
			names = append(names, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(names)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		meta, _ := os.ReadFile(strings.TrimSuffix(name, ".stp") + ".meta")
		guru := bytesGuru(text)
		if m := testCheck.FindSubmatch(meta); m != nil {
			guru = guru || regexp.MustCompile(`\s-[a-zA-Z]*g`).Match(m[1])
		}
		rel, _ := filepath.Rel(corpus.ExamplesDir, name)
		tapset := strings.Contains(rel, "tapset")
		s := envs[guru].Script(check.Input{Name: rel, Text: text, Guru: guru, Tapset: tapset, Command: "true"})
		res, err := lint.Run(s, registry.All(), lint.Settings{})
		if err != nil {
			t.Fatalf("%s: %v", rel, err)
		}
		lines := strings.Split(string(text), "\n")
		for _, d := range res.Diags {
			if !strings.HasPrefix(string(d.Code), "ST") {
				others[string(d.Code)]++
				continue
			}
			line := ""
			if n := d.Range.Start.Line; n > 0 && n <= len(lines) {
				line = strings.TrimSpace(lines[n-1])
			}
			list = append(list, found{fmt.Sprintf("%s:%d", rel, d.Range.Start.Line), string(d.Code), d.Message, line})
		}
	}
	return list, others
}

func bytesGuru(text []byte) bool {
	first, _, _ := strings.Cut(string(text), "\n")
	return strings.HasPrefix(first, "#!") && regexp.MustCompile(`\s-[a-zA-Z]*g`).MatchString(first)
}

// TestDumpFindings prints all findings, for judging them.
func TestDumpFindings(t *testing.T) {
	out := os.Getenv("STAPLINT_FINDINGS")
	if out == "" {
		t.Skip("STAPLINT_FINDINGS names no file")
	}
	list, others := examples(t)
	sort.SliceStable(list, func(i, j int) bool { return list[i].rule < list[j].rule })
	f, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	for _, d := range list {
		fmt.Fprintf(w, "%s %s: %s\n\t%s\n", d.rule, d.file, d.message, d.line)
	}
	fmt.Fprintf(w, "%d findings; %v\n", len(list), others)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
