package check

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"stapkit/diag"
	"stapkit/internal/corpus"
)

// validate holds a SARIF log against the official schema.
func validate(t *testing.T, log []byte) {
	t.Helper()
	f, err := os.Open("testdata/sarif-schema-2.1.0.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("sarif.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("sarif.json")
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(log))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(v); err != nil {
		t.Errorf("%v\n%.2000s", err, log)
	}
	// The schema is one that finds something.
	var broken map[string]any
	if err := json.Unmarshal(log, &broken); err != nil {
		t.Fatal(err)
	}
	broken["version"] = "2.0"
	if schema.Validate(broken) == nil {
		t.Error("the schema takes a log of another version")
	}
}

// TestSARIF: a log is valid, and another reader finds in it what was found, at places in
// UTF-16, with the fixes.
func TestSARIF(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "größe ü.stp")
	text := "global n\nprobe timer.s(1) {\n\ts = \"größer 𝄞\"; n = n + 1\n\tprintln(s)\n\tlog(\"a\\n\")\n}\n"
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	code, out, errs := command(t, Options{Paths: []string{name}, Format: "sarif", Version: "1.2.3"})
	if code != Findings || strings.Count(errs, "\n") != 1 {
		t.Fatalf("code %d, %s", code, errs)
	}
	validate(t, []byte(out))
	r, err := sarif.FromBytes([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	run := r.Runs[0]
	if d := run.Tool.Driver; *d.Name != "staplint" || *d.Version != "1.2.3" {
		t.Errorf("tool %v %v", *d.Name, *d.Version)
	}
	found := false
	for _, res := range run.Results {
		if *res.RuleID != "ST4010" {
			continue
		}
		found = true
		loc := res.Locations[0].PhysicalLocation
		// Behind ö, ü: a unit each; the clef is two.
		if got := *loc.Region.StartColumn; *loc.Region.StartLine != 3 || got != 19 {
			t.Errorf("at %d:%d, want 3:19", *loc.Region.StartLine, got)
		}
		if !strings.HasSuffix(*loc.ArtifactLocation.URI, "gr%C3%B6%C3%9Fe%20%C3%BC.stp") {
			t.Errorf("file %s", *loc.ArtifactLocation.URI)
		}
		if len(res.Fixes) != 1 || *res.Fixes[0].ArtifactChanges[0].Replacements[0].InsertedContent.Text != "n += 1" {
			t.Errorf("fixes %+v", res.Fixes)
		}
		rule := run.Tool.Driver.Rules[res.RuleIndex]
		if *rule.ID != "ST4010" || *rule.Help.Text == "" {
			t.Errorf("rule %v", *rule.ID)
		}
	}
	if !found {
		t.Errorf("no ST4010 in %s", out)
	}
}

// TestSARIFExamples: the log of all of SystemTap's examples is valid, and none is lost.
func TestSARIFExamples(t *testing.T) {
	if _, err := os.Stat(corpus.ExamplesDir); err != nil {
		t.Skip("the package systemtap-doc is not installed")
	}
	_, out, _ := command(t, Options{Paths: []string{corpus.ExamplesDir}, Format: "sarif"})
	validate(t, []byte(out))
	r, err := sarif.FromBytes([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	_, lines, _ := command(t, Options{Paths: []string{corpus.ExamplesDir}, Format: "json"})
	if n := strings.Count(lines, "\n"); n != len(r.Runs[0].Results) || n < 100 {
		t.Errorf("%d results, and %d lines of JSON", len(r.Runs[0].Results), n)
	}
}

// command runs with the options, on texts of its own.
func command(t *testing.T, opt Options) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	opt.Stdout, opt.Stderr = &out, &errs
	if opt.Stdin == nil {
		opt.Stdin = strings.NewReader("")
	}
	if !opt.FailOnSet {
		opt.FailOn = diag.Warning
	}
	code = Run(opt)
	return code, out.String(), errs.String()
}
