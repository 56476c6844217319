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
	"stapkit/lint/linttest"
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
	envs := map[string]*check.Env{}
	env := func(guru bool, includes []string) *check.Env {
		key := fmt.Sprint(guru, includes)
		if envs[key] == nil {
			e, err := check.NewEnv(check.EnvOptions{Guru: guru, Includes: includes})
			if err != nil {
				t.Fatal(err)
			}
			envs[key] = e
		}
		return envs[key]
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
		var includes []string
		if m := testCheck.FindSubmatch(meta); m != nil {
			guru = guru || regexp.MustCompile(`\s-[a-zA-Z]*g`).Match(m[1])
			if dir := regexp.MustCompile(`-I *(\S+)`).FindSubmatch(m[1]); dir != nil {
				includes = append(includes, filepath.Join(filepath.Dir(name), string(dir[1])))
			}
		}
		rel, _ := filepath.Rel(corpus.ExamplesDir, name)
		tapset := strings.Contains(rel, "tapset")
		s := env(guru, includes).Script(check.Input{Name: rel, Text: text, Guru: guru, Tapset: tapset, Command: "true"})
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

// A judgement is a finding with what a person found of it.
type judgement struct{ rule, file, verdict, message string }

// verdicts are what was found of each finding: "true", or "false" and why.
const verdicts = "testdata/verdicts.txt"

// document is where the table of verdicts is.
const document = "../../docs/lint/precision.md"

// TestPrecision holds the findings in the examples against the verdicts: each has one,
// fewer than 5 % are false, and docs/lint/precision.md has the table. With -update new
// findings are added as "unjudged", which is for a person to change, and the table is
// written.
func TestPrecision(t *testing.T) {
	list, _ := examples(t)
	data, err := os.ReadFile(verdicts)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	known := map[string][]string{} // by finding
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.SplitN(line, "\t", 4)
		if len(f) != 4 {
			t.Fatalf("%s: %q has no four parts", verdicts, line)
		}
		key := f[0] + "\t" + f[1] + "\t" + f[3]
		known[key] = append(known[key], f[2])
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].rule < list[j].rule })
	var judged []judgement
	for _, d := range list {
		key := d.rule + "\t" + d.file + "\t" + d.message
		verdict := "unjudged"
		if v := known[key]; len(v) > 0 {
			verdict = v[0]
			known[key] = v[1:]
		} else if !*linttest.Update {
			t.Errorf("%s %s: %s: not judged; look at it, and give it a verdict in %s (-update adds a line)", d.rule, d.file, d.message, verdicts)
		}
		judged = append(judged, judgement{d.rule, d.file, verdict, d.message})
	}
	if !*linttest.Update {
		// A finding that is gone, since the library has grown, does no harm until -update.
		for key, left := range known {
			for _, verdict := range left {
				t.Logf("judged, and not found any more: %s", key)
				f := strings.SplitN(key, "\t", 3)
				judged = append(judged, judgement{f[0], f[1], verdict, f[2]})
			}
		}
		sort.SliceStable(judged, func(i, j int) bool {
			if judged[i].rule != judged[j].rule {
				return judged[i].rule < judged[j].rule
			}
			return judged[i].file < judged[j].file
		})
	}
	type tally struct{ all, wrong int }
	rules := map[string]*tally{}
	total := tally{}
	var out, reasons strings.Builder
	for _, j := range judged {
		fmt.Fprintf(&out, "%s\t%s\t%s\t%s\n", j.rule, j.file, j.verdict, j.message)
		if rules[j.rule] == nil {
			rules[j.rule] = &tally{}
		}
		rules[j.rule].all++
		total.all++
		if why, wrong := strings.CutPrefix(j.verdict, "false: "); wrong {
			rules[j.rule].wrong++
			total.wrong++
			fmt.Fprintf(&reasons, "- %s, %s: %s. %s.\n", j.rule, j.file, j.message, strings.ToUpper(why[:1])+why[1:])
		} else if j.verdict != "true" && !*linttest.Update {
			t.Errorf("%s %s: the verdict %q is neither \"true\" nor \"false: …\"", j.rule, j.file, j.verdict)
		}
	}
	if total.wrong*20 >= total.all {
		t.Errorf("%d of %d findings are false: 5 %% or more", total.wrong, total.all)
	}
	var doc strings.Builder
	fmt.Fprintf(&doc, precisionHead, total.all, total.all-total.wrong, total.wrong, 100*float64(total.wrong)/float64(total.all))
	names := make([]string, 0, len(rules))
	for n := range rules {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		fmt.Fprintf(&doc, "| [%[1]s](../errors/%[1]s.md) | %s | %d | %d | %d |\n", n, lint.Lookup(n).Doc.Title, rules[n].all, rules[n].all-rules[n].wrong, rules[n].wrong)
	}
	fmt.Fprintf(&doc, "| all | | %d | %d | %d |\n", total.all, total.all-total.wrong, total.wrong)
	doc.WriteString("\n## The false ones\n\n" + reasons.String())
	if *linttest.Update {
		for name, text := range map[string]string{verdicts: verdictHead + out.String(), document: doc.String()} {
			if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	if have, err := os.ReadFile(document); err != nil || string(have) != doc.String() {
		t.Errorf("%s is stale (-update writes it): %v", document, err)
	}
}

const verdictHead = `# Findings in the examples of systemtap-doc, each with what a person found when looking at
# the script: "true", or "false: " and why. Columns: rule, place, verdict, message.
`

const precisionHead = `# How right the linter is

Written by go test ./lint/registry -run TestPrecision -update; do not edit.

The linter was run, without a target, over the 201 example scripts that come with SystemTap
(Debian's systemtap-doc), each with the options of its test. Every finding was looked at in
its script. A finding is true when what it says of the script holds, whether or not its
author would change anything; false when it does not hold, or when the library that it
blames is ours and lacks what SystemTap's has. The verdicts are in
[verdicts.txt](../../lint/registry/testdata/verdicts.txt), and a test holds them against
the findings of every change.

%d findings: %d true, %d false, which are %.1f %%. What the parser and elaboration report
under their own codes is not counted.

| rule | | findings | true | false |
|---|---|---|---|---|
`
