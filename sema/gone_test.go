package sema

import (
	"regexp"
	"strings"
	"testing"

	"stapkit/internal/guest"
	"stapkit/target"
	"stapkit/target/ctype"
)

// TestGone: what is said to be on none of the kernels is on none of those at hand, and
// what is named instead is on one of them at least.
func TestGone(t *testing.T) {
	var targets []*target.Target
	for _, s := range guest.Suites {
		k, err := guest.Find(s.Kernel)
		if err != nil {
			t.Logf("without %s: %v", s.Kernel, err)
			continue
		}
		path, err := guest.Describe(t.Context(), k, []string{"autofs4"})
		if err != nil {
			t.Logf("without %s: %v", s.Kernel, err)
			continue
		}
		tg, err := target.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, tg)
	}
	if tg, err := target.Running(); err == nil {
		if _, err := tg.BTF(); err == nil {
			targets = append(targets, tg)
		}
	}
	if len(targets) == 0 {
		t.Skip("no kernel at hand has type information")
	}
	has := func(tg *target.Target, module, kind, name string) bool {
		if kind == "trace" {
			n := 0
			for _, module := range []string{"", "*"} {
				tps, err := tg.Tracepoints(module, name)
				if err != nil {
					t.Fatal(err)
				}
				n += len(tps)
			}
			return n > 0
		}
		fs, err := tg.Functions(module, name)
		if err != nil {
			t.Fatal(err)
		}
		return len(fs) > 0
	}
	point := regexp.MustCompile(`^(?:kernel|module\("(\w+)"\))\.(function|trace)\("(\w+)"\)$`)
	for what, g := range goneNames() {
		kind, name, _ := strings.Cut(what, " ")
		if kind == "member" {
			name, path, _ := strings.Cut(name, ".")
			found := false
			for _, tg := range targets {
				if hasMember(tg, name, strings.Split(path, ".")) {
					t.Errorf("%s has the %s", tg.Name(), what)
				}
				found = found || strings.HasPrefix(g.instead, "->") && hasMember(tg, name, strings.Split(g.instead, "->")[1:])
			}
			if !found || g.why == "" {
				t.Errorf("%s: %s, which is named instead, is on no kernel, or nothing is said of it", what, g.instead)
			}
			continue
		}
		m := point.FindStringSubmatch(g.instead)
		if m == nil || g.why == "" || kind != "function" && kind != "trace" {
			t.Errorf("%s: %q is no probe point, or nothing is said of it", what, g.instead)
			continue
		}
		found := false
		for _, tg := range targets {
			if has(tg, "", kind, name) || has(tg, "*", kind, name) {
				t.Errorf("%s has the %s", tg.Name(), what)
			}
			found = found || has(tg, m[1], m[2], m[3])
		}
		if !found {
			t.Errorf("%s: %s, which is named instead, is on no kernel", what, g.instead)
		}
	}
	tg := targets[0]
	for _, script := range []string{
		`probe kernel.function("lock_kernel").call { println(1) }`,
		`probe kernel.function("_lock_kernel").call !, kernel.function("lock_kernel") { println(1) }`,
		`probe kernel.trace("mm_vmscan_writepage") { println(1) }`,
		`probe kernel.trace("vmscan:mm_vmscan_writepage") { println(1) }`,
	} {
		p := elaborate(t, script, Options{Target: tg})
		if len(p.Diags) != 1 || p.Diags[0].Code != codeGone || p.Diags[0].Help == "" {
			t.Errorf("%s: %v", script, p.Diags)
		}
	}
	for script, help := range map[string]string{
		`probe begin { println(@cast(0, "task_struct")->state) }`:             "->__state: ",
		`probe begin { println(@cast(0, "union futex_key")->shared->inode) }`: "->shared->i_seq: ",
		`probe begin { println(@cast(0, "task_struct")->parent->uid->val) }`:  "->cred->uid->val: ",
	} {
		p := elaborate(t, script, Options{Target: tg})
		if len(p.Diags) != 1 || p.Diags[0].Code != codeGoneMember || !strings.HasPrefix(p.Diags[0].Help, help) {
			t.Errorf("%s: %v", script, p.Diags)
		}
	}
	if p := elaborate(t, `probe kernel.function("lock_kernel") ?, begin { println(1) }`, Options{Target: tg}); len(p.Diags) > 0 {
		t.Errorf("an optional point: %v", p.Diags)
	}
}

// hasMember reports whether a structure or union of a kernel has a member, or one of a member.
func hasMember(tg *target.Target, name string, path []string) bool {
	for _, kind := range []string{"struct ", "union "} {
		if t, ok := tg.Type("", kind+name); ok {
			var steps []ctype.Step
			for _, m := range path {
				steps = append(steps, ctype.M(m))
			}
			_, err := ctype.Resolve(t, steps)
			return err == nil
		}
	}
	return false
}
