package trust

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"stapkit/bundle"
)

// ServiceUser is who runs installed bundles as a system service (staprun@.service). What
// root may run by default, it may.
const ServiceUser = "stapkit"

// Policy is what this host lets allowed signers' bundles do. It is read from
// policy.toml and policy.d/*.toml. Without any such file, every carrier and helper is
// permitted, no right is (see bundle.Rights), root and the service's user may run bundles, and unsigned
// ones with --allow-unsigned.
type Policy struct {
	files []*policyFile
	where string
}

// policyFile is one file:
//
//	allow_unsigned = false        # may root run unsigned bundles (--allow-unsigned)?
//
//	[limits]                      # for every bundle; the narrowest of all files count
//	map_memory  = "256MiB"
//	runtime     = "24h"
//	output_rate = "10MiB"         # a second
//	cpu         = 25              # percent of all CPUs, spent in handlers
//
//	[[allow]]                     # without any, everything but rights; else one must fit
//	signers  = ["*@ops.example.org"]
//	scripts  = ["disk*.stp"]
//	users    = ["root", "alice"]  # who runs it; without users and groups: root, stapkit
//	groups   = ["stapusr"]
//	carriers = ["raw_tp", "kprobe*"]
//	helpers  = ["bpf_get_*"]
//	rights   = ["signal"]
//	limits   = { runtime = "5m" }
type policyFile struct {
	AllowUnsigned bool       `toml:"allow_unsigned"`
	Limits        limitsText `toml:"limits"`
	Allow         []rule     `toml:"allow"`

	path   string
	limits Limits
}

type rule struct {
	Signers  []string   `toml:"signers"`
	Scripts  []string   `toml:"scripts"`
	Users    []string   `toml:"users"`
	Groups   []string   `toml:"groups"`
	Carriers []string   `toml:"carriers"`
	Helpers  []string   `toml:"helpers"`
	Rights   []string   `toml:"rights"`
	Limits   limitsText `toml:"limits"`

	limits Limits
}

type limitsText struct {
	MapMemory  string  `toml:"map_memory"`
	Runtime    string  `toml:"runtime"`
	OutputRate string  `toml:"output_rate"`
	CPU        float64 `toml:"cpu"`
}

// Limits bound a run. Zero is no limit.
type Limits struct {
	MapMemory  int64         // bytes
	Runtime    time.Duration // after which the run ends
	OutputRate int64         // bytes a second
	CPU        float64       // percent of all CPUs, spent in handlers
}

// Narrow returns the narrower of both in each respect.
func (l Limits) Narrow(o Limits) Limits {
	return Limits{
		MapMemory: lesser(l.MapMemory, o.MapMemory), Runtime: lesser(l.Runtime, o.Runtime),
		OutputRate: lesser(l.OutputRate, o.OutputRate), CPU: lesser(l.CPU, o.CPU),
	}
}

// lesser is the lesser of two limits, of which 0 is none.
func lesser[T int64 | float64 | time.Duration](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func (t limitsText) parse() (l Limits, err error) {
	if l.MapMemory, err = parseSize(t.MapMemory); err != nil {
		return l, fmt.Errorf("map_memory: %w", err)
	}
	if l.OutputRate, err = parseSize(t.OutputRate); err != nil {
		return l, fmt.Errorf("output_rate: %w", err)
	}
	if t.Runtime != "" {
		if l.Runtime, err = time.ParseDuration(t.Runtime); err == nil && l.Runtime <= 0 {
			err = errors.New("it must be positive")
		}
		if err != nil {
			return l, fmt.Errorf("runtime: %w", err)
		}
	}
	if l.CPU = t.CPU; !(l.CPU >= 0 && l.CPU <= 100) {
		return l, fmt.Errorf("cpu: %v is no percentage", t.CPU)
	}
	return l, nil
}

// ParseLimit reads one limit, such as "output_rate=1MiB", by its name in a policy.
func ParseLimit(s string) (Limits, error) {
	name, value, _ := strings.Cut(s, "=")
	var t limitsText
	switch name {
	case "map_memory":
		t.MapMemory = value
	case "runtime":
		t.Runtime = value
	case "output_rate":
		t.OutputRate = value
	case "cpu":
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return Limits{}, fmt.Errorf("cpu: %q is no percentage", value)
		}
		t.CPU = n
	default:
		return Limits{}, fmt.Errorf("there is no limit %q; there are map_memory, runtime, output_rate and cpu", name)
	}
	l, err := t.parse()
	if err == nil && l == (Limits{}) {
		err = fmt.Errorf("%s: a value must be given", name)
	}
	return l, err
}

// parseSize reads a number of bytes: "65536", "64KiB", "10MB", "1GiB"; "" is 0.
func parseSize(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	number, unit := s, int64(1)
	for _, u := range []struct {
		suffix string
		unit   int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}} {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			number, unit = strings.TrimSpace(rest), u.unit
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > (1<<50)/unit {
		return 0, fmt.Errorf("%q is no size such as 64MiB", s)
	}
	return n * unit, nil
}

// ParsePolicy reads a policy file. A key that it does not know is an error: a policy
// that is understood in part is none.
func ParsePolicy(file string, data []byte) (*Policy, error) {
	f := &policyFile{path: file}
	md, err := toml.Decode(string(data), f)
	if err != nil {
		var pe toml.ParseError
		if errors.As(err, &pe) {
			return nil, fmt.Errorf("%s:%d: %s", file, pe.Position.Line, pe.Message)
		}
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if un := md.Undecoded(); len(un) > 0 {
		return nil, fmt.Errorf("%s: unknown key %s", file, un[0])
	}
	if f.limits, err = f.Limits.parse(); err != nil {
		return nil, fmt.Errorf("%s: limits: %w", file, err)
	}
	for i := range f.Allow {
		r := &f.Allow[i]
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("%s: rule %d: %w", file, i+1, err)
		}
	}
	return &Policy{files: []*policyFile{f}, where: file}, nil
}

func (r *rule) check() (err error) {
	if r.limits, err = r.Limits.parse(); err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	for _, list := range [][]string{r.Signers, r.Scripts, r.Users, r.Groups, r.Carriers, r.Helpers} {
		for _, p := range list {
			if _, err := path.Match(p, ""); err != nil || p == "" {
				return fmt.Errorf("%q is no pattern", p)
			}
		}
	}
	for _, right := range r.Rights {
		if right != "*" && !slices.Contains(bundle.Rights(), right) {
			return fmt.Errorf("there is no right %q; there are %s", right, strings.Join(bundle.Rights(), ", "))
		}
	}
	return nil
}

// LoadPolicy reads the policy of this host, as Load reads whom it trusts: a file in
// the administrator's directory hides the one of the same name in the packages', and
// what is not safe or not understood is an error.
func LoadPolicy(opt LoadOptions) (*Policy, error) {
	opt.defaults()
	out := &Policy{where: filepath.Join(opt.Dirs[0], "policy.toml")}
	err := opt.each("policy", ".toml", true, true, func(path string, data []byte) error {
		if len(data) == 0 {
			return nil // it only hides another
		}
		p, err := ParsePolicy(path, data)
		if err == nil {
			out.files = append(out.files, p.files...)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return out, nil
}

// Request is what a policy is asked about.
type Request struct {
	// Signer is Verdict.Principal, "" of an unsigned bundle.
	Signer   string
	Unsigned bool
	Script   string // its name in the manifest
	// UID and the names are of who runs the bundle.
	UID    int
	User   string
	Groups []string
	Uses   bundle.Uses
	// Memory is what the maps take on this host, bytes.
	Memory int64
}

// Check returns the limits of the run, and an error that says what is not permitted
// and by which file.
func (p *Policy) Check(q Request) (Limits, error) {
	var limits Limits
	unsigned, rules := len(p.files) == 0, 0
	for _, f := range p.files {
		limits = limits.Narrow(f.limits)
		unsigned = unsigned || f.AllowUnsigned
		rules += len(f.Allow)
	}
	if q.Unsigned && !unsigned {
		return limits, errors.New("unsigned bundles are not permitted here (allow_unsigned in the policy)")
	}
	if q.Unsigned && q.UID != 0 {
		return limits, errors.New("only root may run unsigned bundles")
	}
	if rules == 0 {
		// What is in no rule is in this one.
		if err := (&rule{}).permits(&q); err != nil {
			return limits, fmt.Errorf("%w; an [[allow]] in %s can permit it", err, p.where)
		}
		return limits, p.memory(limits, &q)
	}
	var first error
	for _, f := range p.files {
		for i := range f.Allow {
			r := &f.Allow[i]
			err := r.permits(&q)
			if err == nil {
				l := limits.Narrow(r.limits)
				if err = p.memory(l, &q); err == nil {
					return l, nil
				}
			}
			var other *otherError
			if first == nil && !errors.As(err, &other) {
				first = fmt.Errorf("%s: rule %d: %w", f.path, i+1, err)
			}
		}
	}
	if first == nil {
		first = fmt.Errorf("no [[allow]] in the policy is for the script %q by signer %q and user %q", q.Script, q.Signer, q.User)
	}
	return limits, first
}

func (p *Policy) memory(l Limits, q *Request) error {
	if l.MapMemory > 0 && q.Memory > l.MapMemory {
		return fmt.Errorf("the maps take about %d KiB, and %d KiB are permitted (map_memory)", q.Memory>>10, l.MapMemory>>10)
	}
	return nil
}

// otherError says that a rule is about other bundles or other users.
type otherError struct{ what string }

func (e *otherError) Error() string { return "not for " + e.what }

// permits returns what the rule does not permit.
func (r *rule) permits(q *Request) error {
	switch {
	// The principals of a plain key's line are patterns themselves; all must be allowed.
	case len(r.Signers) > 0 && !all(strings.Split(q.Signer, ","), r.Signers):
		return &otherError{fmt.Sprintf("the signer %q", q.Signer)}
	case len(r.Scripts) > 0 && !anyMatch(r.Scripts, path.Base(filepath.ToSlash(q.Script))):
		return &otherError{fmt.Sprintf("the script %q", q.Script)}
	case !r.forUser(q):
		if len(r.Users) == 0 && len(r.Groups) == 0 {
			return fmt.Errorf("user %q may not run it: root and %s may", q.User, ServiceUser)
		}
		return &otherError{fmt.Sprintf("the user %q", q.User)}
	}
	for _, l := range []struct {
		what      string
		used, may []string
		closed    bool // an empty list permits nothing
	}{
		{"attaching by ", q.Uses.Carriers, r.Carriers, false},
		{"the helper ", q.Uses.Helpers, r.Helpers, false},
		{"the kernel function ", q.Uses.Kfuncs, r.Helpers, false},
		{"the right ", q.Uses.Rights, r.Rights, true},
	} {
		if len(l.may) == 0 && !l.closed {
			continue
		}
		for _, x := range l.used {
			// What runs in the loader alone is no attachment.
			if !anyMatch(l.may, x) && x != "loader" {
				return fmt.Errorf("%s%s is not permitted", l.what, x)
			}
		}
	}
	return nil
}

func (r *rule) forUser(q *Request) bool {
	if len(r.Users) == 0 && len(r.Groups) == 0 {
		return q.UID == 0 || q.User == ServiceUser
	}
	return anyMatch(r.Users, q.User) || slices.ContainsFunc(q.Groups, func(g string) bool { return anyMatch(r.Groups, g) })
}

func anyMatch(patterns []string, s string) bool {
	for _, p := range patterns {
		if p == "*" {
			return true
		}
		if ok, err := path.Match(p, s); ok && err == nil {
			return true
		}
	}
	return false
}

func all(list, patterns []string) bool {
	for _, s := range list {
		if !anyMatch(patterns, s) {
			return false
		}
	}
	return true
}
