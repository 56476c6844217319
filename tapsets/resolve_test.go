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

// oneKind are functions that are called in handlers of the kernel only, or of the loader
// only, with the reason.
var oneKind = []struct {
	names *regexp.Regexp
	why   string
}{
	{regexp.MustCompile(`^(\w+_arg|u?_?register|regparm|asmlinkage|fastcall|print_regs|probing_32bit_app|returnval|returnstr|raise)$`), "of the probed function, or of the process that runs"},
	{regexp.MustCompile(`^(set_)?user_|^(env_var|cmdline_\w+)$`), "memory of the process that runs; in the loader's handlers the values for what cannot be read are tested"},
	{regexp.MustCompile(`^json_(add|set)_`), "said once, when the script begins"},
	{regexp.MustCompile(`^(NFS_|stap_NFS_|get_(ip|prot)(_from_client)?$|\w+_from_(clnt|xprt|msg|prog|rqst|req)|addr_from_rqst|scsi_timer_pending|disk_(major|minor)_from_request|d_path|fullpath_struct_nameidata|inet_get_|ipmib_\w+_(port|addr|proto)|ipmib_get_proto|tcpmib_(get|local|remote)_|tcp_(ts_)?get_info_|timer_pending|get_netdev_name)`),
		"of a structure of the kernel that only its handlers have at hand"},
}

// calledIn gives the functions that the scripts of tests call in handlers of the loader and
// of the kernel.
func calledIn(t *testing.T) (loader, kernel map[string]bool) {
	loader, kernel = map[string]bool{}, map[string]bool{}
	scripts := map[string]string{"functions": functionScript() + effects, "guests": kernelOnly, "metrics": metrics, "memory": readFile(t, "testdata/memory.stp")}
	for _, f := range families(t) {
		scripts[f.name] = readFile(t, f.file)
	}
	for script := range ends {
		scripts[script] = script
	}
	ofLoader := regexp.MustCompile(`^(init|begin|end|error|oneshot|json_data|prometheus|procfs|input|timer\.(s|ms|us|ns|hz|jiffies)\b)`)
	for name, text := range scripts {
		text = strings.ReplaceAll(text, "@prometheus", "prometheus") // macros of the library are not read here
		f := syntax.ParseFile(name, []byte(text), syntax.Options{Target: linux, Privileged: true, View: syntax.SourceView})
		f.Inspect(func(n syntax.Node) bool {
			var into []map[string]bool
			switch n := n.(type) {
			case *syntax.ProbeDecl:
				for _, p := range n.Points {
					if ofLoader.MatchString(syntax.PointString(p)) {
						into = append(into, loader)
					} else {
						into = append(into, kernel)
					}
				}
			case *syntax.FuncDecl:
				into = append(into, kernel) // of scripts of families
			default:
				return true
			}
			syntax.Inspect(n, func(n syntax.Node) bool {
				if c, ok := n.(*syntax.Call); ok && c.Name != nil {
					for _, m := range into {
						m[c.Name.Name] = true
					}
				}
				return true
			})
			return false
		})
	}
	return loader, kernel
}

// TestFunctionsCalled: each public function is called by a script of the tests, in handlers
// of the kernel and of the loader if there is no reason against it, and no row takes
// whatever comes.
func TestFunctionsCalled(t *testing.T) {
	loader, kernel := calledIn(t)
	for _, name := range tapsets.Funcs() {
		if strings.HasPrefix(name, "_") {
			continue
		}
		excused := false
		for _, k := range oneKind {
			excused = excused || k.names.MatchString(name)
		}
		switch {
		case !loader[name] && !kernel[name]:
			t.Errorf("no test calls %s()", name)
		case excused:
		case !kernel[name]:
			t.Errorf("no test calls %s() in the kernel", name)
		case !loader[name]:
			t.Errorf("no test calls %s() in the loader", name)
		}
	}
	for _, rows := range [][]row{pure, own, begun} {
		for _, r := range rows {
			if r.want == "~" || strings.HasSuffix(r.expr, "|| 1") {
				t.Errorf("%s: takes whatever comes", r.expr)
			}
		}
	}
}
