package trust

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stapkit/bundle"
)

const samplePolicy = `
[limits]
map_memory = "64MiB"
runtime = "1h"
cpu = 25

[[allow]]
signers = ["*@ops.example.org"]
scripts = ["disk*"]
carriers = ["raw_tp", "kprobe*"]
helpers = ["bpf_get_*", "bpf_map_lookup_elem"]

[[allow]]
signers = ["ann@example.org"]
users = ["alice"]
groups = ["tracers"]
rights = ["signal"]
limits = { runtime = "5m", output_rate = "10kB" }
`

func TestPolicy(t *testing.T) {
	use := func(carriers, helpers, rights string) bundle.Uses {
		return bundle.Uses{Carriers: strings.Fields(carriers), Helpers: strings.Fields(helpers), Rights: strings.Fields(rights)}
	}
	ops := Request{Signer: "bob@ops.example.org", Script: "/src/disk_io.stp", User: "root", Uses: use("raw_tp loader", "bpf_get_stack", "")}
	ann := Request{Signer: "ann@example.org", Script: "x.stp", UID: 1000, User: "carol", Groups: []string{"tracers"}, Uses: use("uprobe", "bpf_send_signal", "signal")}
	change := func(q Request, f func(*Request)) Request { f(&q); return q }
	for name, tt := range map[string]struct {
		policy string
		q      Request
		want   string // part of the error
		limits Limits
	}{
		"ops":             {samplePolicy, ops, "", Limits{MapMemory: 64 << 20, Runtime: time.Hour, CPU: 25}},
		"kprobe pattern":  {samplePolicy, change(ops, func(q *Request) { q.Uses.Carriers = []string{"kprobe_multi"} }), "", Limits{MapMemory: 64 << 20, Runtime: time.Hour, CPU: 25}},
		"carrier":         {samplePolicy, change(ops, func(q *Request) { q.Uses.Carriers = []string{"uprobe"} }), "p:rule 1: attaching by uprobe", Limits{}},
		"helper":          {samplePolicy, change(ops, func(q *Request) { q.Uses.Helpers = []string{"bpf_loop"} }), "the helper bpf_loop", Limits{}},
		"kfunc":           {samplePolicy, change(ops, func(q *Request) { q.Uses.Kfuncs = []string{"bpf_throw"} }), "kernel function bpf_throw", Limits{}},
		"right":           {samplePolicy, change(ops, func(q *Request) { q.Uses.Rights = []string{"system"} }), "the right system", Limits{}},
		"other user":      {samplePolicy, change(ops, func(q *Request) { q.UID, q.User = 7, "eve" }), `user "eve" may not`, Limits{}},
		"other script":    {samplePolicy, change(ops, func(q *Request) { q.Script = "net.stp" }), "no [[allow]]", Limits{}},
		"other signer":    {samplePolicy, change(ops, func(q *Request) { q.Signer = "eve@example.org" }), "no [[allow]]", Limits{}},
		"memory":          {samplePolicy, change(ops, func(q *Request) { q.Memory = 64<<20 + 1 }), "map_memory", Limits{}},
		"group and right": {samplePolicy, ann, "", Limits{MapMemory: 64 << 20, Runtime: 5 * time.Minute, OutputRate: 10000, CPU: 25}},
		"user":            {samplePolicy, change(ann, func(q *Request) { q.User, q.Groups = "alice", nil }), "", Limits{MapMemory: 64 << 20, Runtime: 5 * time.Minute, OutputRate: 10000, CPU: 25}},
		"neither":         {samplePolicy, change(ann, func(q *Request) { q.Groups = nil }), "no [[allow]]", Limits{}},
		"several patterns of the signer's line, one outside": {samplePolicy, change(ops, func(q *Request) { q.Signer = "bob@ops.example.org,*@evil" }), "no [[allow]]", Limits{}},
		"unsigned":                 {samplePolicy, Request{Unsigned: true}, "unsigned", Limits{}},
		"unsigned allowed, ruled":  {"allow_unsigned = true\n" + samplePolicy, Request{Unsigned: true, Script: "x"}, "no [[allow]]", Limits{}},
		"unsigned allowed":         {"allow_unsigned = true", Request{Unsigned: true}, "", Limits{}},
		"unsigned, not root":       {"allow_unsigned = true\n[[allow]]\nusers=[\"*\"]", Request{Unsigned: true, UID: 3}, "only root", Limits{}},
		"no policy":                {"-", Request{Signer: "x", Uses: use("lsm uprobe", "bpf_loop", "")}, "", Limits{}},
		"no policy, unsigned":      {"-", Request{Unsigned: true}, "", Limits{}},
		"no policy, right":         {"-", Request{Signer: "x", Uses: use("lsm", "", "signal")}, "the right signal", Limits{}},
		"no policy, user":          {"-", Request{Signer: "x", UID: 9, User: "u"}, `user "u" may not`, Limits{}},
		"limits alone, right":      {"[limits]\ncpu = 5", Request{Signer: "x", Uses: use("", "", "signal")}, "the right signal", Limits{}},
		"limits alone":             {"[limits]\ncpu = 5", Request{Signer: "x"}, "", Limits{CPU: 5}},
		"everything for everybody": {"[[allow]]\nusers=[\"*\"]\nrights=[\"*\"]", ann, "", Limits{}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &Policy{where: "p"}
			if tt.policy != "-" {
				var err error
				if p, err = ParsePolicy("p", []byte(tt.policy)); err != nil {
					t.Fatal(err)
				}
			}
			got, err := p.Check(tt.q)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(tt.want, "p:"))):
				t.Errorf("error %v, want %q", err, tt.want)
			case tt.want == "" && got != tt.limits:
				t.Errorf("limits %+v, want %+v", got, tt.limits)
			}
		})
	}
}

func TestPolicyErrors(t *testing.T) {
	for text, want := range map[string]string{
		"alow_unsigned = true":                        "unknown key alow_unsigned",
		"[[allow]]\nsigner = [\"x\"]":                 "unknown key allow.signer",
		"[limits]\nmap_memory = \"lots\"":             "no size",
		"[limits]\nmap_memory = \"-1MiB\"":            "no size",
		"[limits]\nmap_memory = \"9999999999999GiB\"": "no size",
		"[limits]\nruntime = \"1 fortnight\"":         "runtime",
		"[limits]\nruntime = \"-5m\"":                 "positive",
		"[limits]\ncpu = 120":                         "no percentage",
		"[limits]\ncpu = nan":                         "no percentage",
		"[[allow]]\nrights = [\"fly\"]":               `no right "fly"`,
		"[[allow]]\ncarriers = [\"[\"]":               "no pattern",
		"[[allow]]\nusers = [\"\"]":                   "no pattern",
		"[[allow]]\nlimits = { cpu = -1 }":            "no percentage",
		"x = ":                                        "p:1:",
		"[limits]\ncpu = \"much\"":                    "p",
		"[[allow]]\n\nusers = 3":                      "p",
	} {
		if _, err := ParsePolicy("p", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestLoadPolicy(t *testing.T) {
	anchor := t.TempDir()
	if err := os.Chmod(anchor, 0o755); err != nil {
		t.Fatal(err)
	}
	opt := LoadOptions{Dirs: []string{filepath.Join(anchor, "etc"), filepath.Join(anchor, "lib")}, Anchor: anchor, UID: os.Getuid()}
	for _, d := range opt.Dirs {
		if err := os.MkdirAll(filepath.Join(d, "policy.d"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	load := func() *Policy {
		t.Helper()
		p, err := LoadPolicy(opt)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := load(); len(p.files) != 0 {
		t.Error("a policy of nothing")
	}
	write(t, opt.Dirs[1]+"/policy.toml", "[limits]\ncpu = 40")
	write(t, opt.Dirs[1]+"/policy.d/10-site.toml", "[limits]\ncpu = 30\nruntime = \"1h\"")
	write(t, opt.Dirs[1]+"/policy.d/10-site.toml.bak", "nonsense")
	if l, err := load().Check(Request{}); err != nil || l.CPU != 30 || l.Runtime != time.Hour {
		t.Errorf("%+v, %v", l, err)
	}
	write(t, opt.Dirs[0]+"/policy.d/10-site.toml", "")
	if l, err := load().Check(Request{}); err != nil || l.CPU != 40 || l.Runtime != 0 {
		t.Errorf("hidden: %+v, %v", l, err)
	}
	write(t, opt.Dirs[0]+"/policy.toml", "nonsense")
	if _, err := LoadPolicy(opt); err == nil {
		t.Error("a policy that cannot be read is passed over")
	}
	write(t, opt.Dirs[0]+"/policy.toml", "[limits]\ncpu = 1")
	chmod(t, opt.Dirs[0]+"/policy.toml", 0o666)
	if _, err := LoadPolicy(opt); err == nil || !strings.Contains(err.Error(), "writable by others") {
		t.Errorf("a policy that anybody can write: %v", err)
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add([]byte(samplePolicy))
	f.Add([]byte("allow_unsigned = true"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePolicy("f", data)
		if err != nil {
			return
		}
		q := Request{Signer: "a,b", UID: 1000, User: "u", Uses: bundle.Uses{Rights: []string{bundle.RightSystem}}}
		if _, err := p.Check(q); err == nil && len(p.files[0].Allow) == 0 {
			t.Fatal("a right is granted without a rule")
		}
	})
}
