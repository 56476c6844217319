//go:build linux

package examples

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"stapkit/internal/corpus"
	"stapkit/internal/guest"
	"stapkit/target"
)

const document = "../../" + Document

var update = flag.Bool("update", false, "rewrite the table of examples")

// plain is the first error of several, without its place and what belongs to one
// kernel or machine.
func plain(e Example, why string) string {
	why, _, _ = strings.Cut(why, "\n")
	named := ""
	if m := regexp.MustCompile(`^[^ ]*:(\d+):(\d+): no match`).FindStringSubmatch(why); m != nil {
		named = pointAt(e, m[1])
	}
	why = regexp.MustCompile(`^[^ ]*:\d+:\d+: `).ReplaceAllString(why, "")
	if strings.Contains(e.Check, "/proc/kallsyms") && strings.Contains(why, "[E0007]") {
		return Needs + "the address of a variable, as /proc/kallsyms of the kernel at hand tells it"
	}
	if m := regexp.MustCompile(`no file fits "([^"]*)"|there is no file (\S+)\)|\((\S+): not found in`).FindStringSubmatch(why); m != nil {
		return fmt.Sprintf(Needs+"the program or library `%s`", m[1]+m[2]+m[3])
	}
	if i := strings.Index(why, "]"); i >= 0 {
		why = why[:i+1]
	}
	why = regexp.MustCompile(` \(similar[^)]*\)`).ReplaceAllString(why, "")
	if strings.HasPrefix(named, Needs) && strings.HasPrefix(why, "no match [") {
		return named
	}
	if named != "" && strings.HasPrefix(why, "no match [") {
		why = strings.Replace(why, "no match", "no match: "+named, 1)
	}
	return strings.ReplaceAll(why, "|", "\\|")
}

// pointAt names what the probe point in a line of an example is about.
func pointAt(e Example, line string) string {
	text, err := os.ReadFile(filepath.Join(corpus.ExamplesDir, e.Name))
	if err != nil {
		return ""
	}
	n, err := strconv.Atoi(line)
	lines := strings.Split(string(text), "\n")
	if err != nil || n < 1 || n > len(lines) {
		return ""
	}
	m := regexp.MustCompile(`\.(function|trace|statement|mark)\("([^"]+)"\)`).FindStringSubmatch(lines[n-1])
	if m == nil {
		return ""
	}
	if of := regexp.MustCompile(`process\("([^"]+)"\)`).FindStringSubmatch(lines[n-1]); of != nil {
		// The program is here, and another version of it than the script is about.
		return fmt.Sprintf(Needs+"the program or library `%s` with the %s `%s`", of[1], m[1], m[2])
	}
	return fmt.Sprintf("%s `%s`", m[1], m[2])
}

// rewrite puts the rows into the document, between its table's head and the next
// empty line.
func rewrite(t *testing.T, rows map[string]string) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	const head = "| example | why it does not elaborate |\n| --- | --- |\n"
	before, after, ok := strings.Cut(string(text), head)
	if !ok {
		t.Fatalf("%s has no line %q", document, head)
	}
	if i := strings.Index(after, "\n\n"); i >= 0 {
		after = after[i+1:]
	} else {
		after = ""
	}
	names := make([]string, 0, len(rows))
	for n := range rows {
		names = append(names, n)
	}
	sort.Strings(names)
	var b strings.Builder
	for _, n := range names {
		fmt.Fprintf(&b, "| `%s` | %s |\n", n, rows[n])
	}
	if err := os.WriteFile(document, []byte(before+head+b.String()+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// kernels are those at hand of 6.1, 6.12 and the running one; all tells that none is
// missing.
func kernels(t *testing.T) (list []*target.Target, all bool) {
	t.Helper()
	all = true
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for _, s := range guest.Suites {
		tg, err := described(ctx, s.Kernel)
		var absent *guest.MissingError
		if errors.As(err, &absent) {
			t.Logf("without %s: %v", s.Kernel, err)
			all = false
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, tg)
	}
	if tg, err := target.Running(); err == nil {
		if _, err := tg.BTF(); err == nil {
			list = append(list, tg)
		}
	}
	return list, all
}

func described(ctx context.Context, kernel string) (*target.Target, error) {
	k, err := guest.Find(kernel)
	if err != nil {
		return nil, err
	}
	path, err := guest.Describe(ctx, k, Modules)
	if err != nil {
		return nil, err
	}
	return target.Open(path)
}

// TestIncompatibilities: an example that elaborates on none of the kernels is listed
// with its reason, and none that does is.
func TestIncompatibilities(t *testing.T) {
	list, err := List()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Skip("systemtap-doc is not installed")
	}
	ts, all := kernels(t)
	if len(ts) == 0 {
		t.Skip("no kernel at hand has type information")
	}
	// Places in files need the debug package of the first kernel, if it is at hand.
	binaries, err := Debug(guest.Suites[0].Kernel)
	if err != nil {
		all = false
	}
	defer func() {
		if err := binaries.Close(); err != nil {
			t.Error(err)
		}
	}()
	known, err := Listed(document)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, e := range list {
		var why string
		ok := false
		for i, tg := range ts {
			r := Elaborate(e, tg, binaries)
			if ok = r.OK; ok {
				break
			}
			if i > 0 {
				continue // the first says best: its debugging information may be at hand
			}
			why = r.Why
		}
		refusal, isListed := known[e.Name]
		reason := refusal.Why
		delete(known, e.Name)
		if !ok {
			rows[e.Name] = plain(e, why)
		}
		switch {
		case *update:
		case ok && strings.HasPrefix(reason, Needs):
		case ok && refusal.Elaborates && strings.Contains(reason, "[E2"):
			// The compiler refuses it, on all of them.
			for _, tg := range ts {
				if r := examine(e, tg, binaries, nil, Loaded); r.OK {
					t.Errorf("%s is listed in %s (%s), and compiles for %s", e.Name, document, reason, tg.Name())
				}
			}
		case !ok && refusal.Elaborates && all && len(ts) > len(guest.Suites):
			t.Errorf("%s is listed in %s as one that elaborates (%s), and does not:\n%s", e.Name, document, reason, why)
		case ok && refusal.Elaborates: // make examples knows
		case ok && isListed:
			t.Errorf("%s is listed in %s (%s), and elaborates; go test -update takes the line out", e.Name, document, reason)
		case !ok && !isListed && all:
			t.Errorf("%s elaborates on no kernel and is not listed; go test -update adds it:\n%s", e.Name, why)
		}
	}
	if *update && all {
		rewrite(t, rows)
		return
	}
	for name := range known {
		t.Errorf("%s lists %s, which is no example", document, name)
	}
	for _, tg := range ts {
		if err := tg.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestTable: docs/examples.md has each example, and those that it says do not run are those
// that docs/incompatibilities.md lists, but for what needs some program, for which make
// examples has stand-ins.
func TestTable(t *testing.T) {
	list, err := List()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Skip("systemtap-doc is not installed")
	}
	text, err := os.ReadFile("../../docs/examples.md")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("make examples has not written docs/examples.md yet")
	}
	if err != nil {
		t.Fatal(err)
	}
	known, err := Listed(document)
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+\\.stp)` \\| [^|]* \\| (ran|parsed|not)\\b").FindAllStringSubmatch(string(text), -1) {
		ran[m[1]] = m[2] != "not"
	}
	for _, e := range list {
		runs, ok := ran[e.Name]
		refusal, refused := known[e.Name]
		switch {
		case !ok:
			t.Errorf("docs/examples.md has no row for %s", e.Name)
		case !runs && !refused:
			t.Errorf("%s does not run, by docs/examples.md, and %s does not say why", e.Name, document)
		case runs && refused && !strings.HasPrefix(refusal.Why, Needs):
			t.Errorf("%s runs, by docs/examples.md, and %s says why it does not: %s", e.Name, document, refusal.Why)
		}
		delete(ran, e.Name)
	}
	for name := range ran {
		t.Errorf("docs/examples.md has %s, which is no example", name)
	}
}
