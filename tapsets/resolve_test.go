//go:build linux

package tapsets_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"stapkit/diag"
	"stapkit/driver"
	"stapkit/syntax"
	"stapkit/tapsets"
	"stapkit/target"
)

// calls gives, by file, a call of each public function, as a statement. Names that begin
// with "_" count too: aliases and examples use them.
func calls(t *testing.T) map[string][]string {
	out := map[string][]string{}
	for _, f := range parsedLibrary(t) {
		seen := map[string]bool{}
		functions(f.Decls, func(fn *syntax.FuncDecl) {
			if fn.Private || strings.HasPrefix(fn.Name.Name, "__") {
				return
			}
			var args []string
			for _, p := range fn.Params {
				if p.Type == syntax.StringType {
					args = append(args, `"x"`)
				} else {
					args = append(args, "1")
				}
			}
			call := fmt.Sprintf("%s(%s)", fn.Name.Name, strings.Join(args, ", "))
			if fn.Result != syntax.NoType {
				call = "println(" + call + ")"
			}
			if !seen[call] {
				seen[call] = true
				out[f.Name] = append(out[f.Name], call)
			}
		})
	}
	return out
}

// compileCalls compiles calls in handlers of the loader and of the kernel.
func compileCalls(list []string, tgt *target.Target) error {
	var b strings.Builder
	for _, c := range list {
		fmt.Fprintf(&b, "probe begin { %s }\nprobe kernel.trace(\"sched:sched_switch\") { %s }\n", c, c)
	}
	f, err := driver.Parse(&driver.Config{Scripts: []driver.Script{{Name: driver.InputName, Text: []byte(b.String())}}, Target: tgt, Guru: true})
	if err != nil {
		return err
	}
	if !driver.Failed(f.Diags, false) {
		f.Elaborate()
	}
	diags := f.Diags
	if !driver.Failed(diags, false) {
		c, _, err := f.Translate()
		if err != nil {
			return err
		}
		diags = c.Diags
	}
	for _, d := range diags {
		if d.Severity == diag.Error {
			return d
		}
	}
	return nil
}

// TestFunctionsResolve compiles calls of every public function for every kernel. Those
// for which a kernel lacks the types are in testdata/unresolved_functions.txt.
func TestFunctionsResolve(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles some hundred scripts")
	}
	all := calls(t)
	file := filepath.Join("testdata", "unresolved_functions.txt")
	known := readUnresolved(t, file)
	kernels := kernelsOf(t)
	absent := map[string][]string{}
	for _, kernel := range sortedTargets(kernels) {
		n, count := 0, 0
		for _, name := range sortedFiles(all) {
			n += len(all[name])
			if compileCalls(all[name], kernels[kernel]) == nil {
				continue
			}
			for _, c := range all[name] {
				err := compileCalls([]string{c}, kernels[kernel])
				if err == nil {
					continue
				}
				count++
				fn := strings.TrimPrefix(c, "println(")
				fn = fn[:strings.IndexByte(fn, '(')]
				absent[fn] = append(absent[fn], kernel)
				if !*update && !known[fn+" "+kernel] {
					t.Errorf("Linux %s: %s: %v", kernel, c, err)
				}
			}
		}
		t.Logf("Linux %s: %d of %d functions resolve", kernel, n-count, n)
	}
	if *update {
		writeUnresolved(t, file, absent)
		return
	}
	for k := range known {
		name, kernel, _ := strings.Cut(k, " ")
		found := kernels[kernel] == nil
		for _, a := range absent[name] {
			found = found || a == kernel
		}
		if !found {
			t.Errorf("Linux %s has %s, unlike what %s says", kernel, name, file)
		}
	}
}

func sortedFiles(m map[string][]string) []string {
	var out []string
	for n := range m {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// TestExamples compiles the examples in the comments of files and functions.
func TestExamples(t *testing.T) {
	tgt, err := target.Running()
	if err != nil {
		t.Skip(err)
	}
	defer tgt.Close()
	n := 0
	for _, f := range parsedLibrary(t) {
		d := examplesOf(f)
		for _, text := range d {
			n++
			c, err := driver.Parse(&driver.Config{Scripts: []driver.Script{{Name: f.Name, Text: []byte(text)}}, Target: tgt, Guru: true})
			if err != nil {
				t.Fatal(err)
			}
			if !driver.Failed(c.Diags, false) {
				c.Elaborate()
			}
			for _, d := range c.Diags {
				// What is probed may not be there; the script must be one.
				if d.Severity == diag.Error && !strings.HasPrefix(string(d.Code), "E10") {
					t.Errorf("%s: %v\n%s", f.Name, d, text)
				}
			}
		}
	}
	if n < 40 {
		t.Errorf("only %d examples", n)
	}
}

// needed are functions that only machines with such devices or servers can call; the
// compiler resolves them (TestFunctionsResolve).
var needed = regexp.MustCompile(`^(NFS_\w+|stap_NFS_CLIENT|get_ip|get_prot|get_(ip|prot)_from_client|\w+_from_(clnt|xprt|msg|prog|rqst)|addr_from_rqst_str|scsi_timer_pending|get_devstate_from_req|disk_(major|minor)_from_request|` +
	`d_path|fullpath_struct_nameidata|panic|abort|exit|warn)$`)

// TestFunctionsCalled: each public function is called by a script of the tests.
func TestFunctionsCalled(t *testing.T) {
	text := functionScript() + effects + kernelOnly + metrics
	for _, name := range []string{"testdata/memory.stp"} {
		text += readFile(t, name)
	}
	for _, name := range tapsets.Funcs() {
		if strings.HasPrefix(name, "_") || needed.MatchString(name) {
			continue
		}
		if !regexp.MustCompile(`\b` + name + `\(`).MatchString(text) {
			t.Errorf("no test calls %s()", name)
		}
	}
}
