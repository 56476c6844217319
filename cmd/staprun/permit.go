//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"runtime"
	"slices"
	"strconv"

	"github.com/cilium/ebpf"

	"stapkit/bundle"
	"stapkit/bundle/trust"
	loader "stapkit/runtime"
)

// The limits of a run where neither policy nor --limit says otherwise.
var defaultLimits = trust.Limits{MapMemory: 1 << 30, OutputRate: 256 << 20, CPU: 50}

// permit asks the host's policy about a bundle that is otherwise good. It returns the
// verdict, the limits of the run, and what the bundle uses when it is run with the options.
func permit(v trust.Verdict, img loader.Image, o *options) (trust.Verdict, trust.Limits, bundle.Uses) {
	limits := defaultLimits
	uses, err := loader.Uses(img)
	if errors.Is(err, loader.ErrForbidden) {
		return v.ByPolicy(err.Error()), limits, uses
	}
	if err != nil {
		v.Kind, v.Reason = trust.Altered, err.Error()
		return v, limits, uses
	}
	claim, told, err := v.Bundle.Manifest.Uses()
	if err == nil && told {
		if what := claim.Understates(&uses); what != "" {
			err = fmt.Errorf("it uses more than its manifest tells: %s", what)
		}
		// A command can stand in a record of the kernel's part, where no
		// instruction shows it.
		for _, r := range claim.Rights {
			if !slices.Contains(uses.Rights, r) {
				uses.Rights = append(uses.Rights, r)
			}
		}
	}
	if err != nil {
		v.Kind, v.Reason = trust.Altered, err.Error()
		return v, limits, uses
	}
	uses.MapBytes += o.MoreMemory(img)
	policy, err := trust.LoadPolicy(trust.LoadOptions{})
	if err != nil {
		return v.ByPolicy(err.Error()), limits, uses
	}
	name, groups := whoami()
	set, err := policy.Check(trust.Request{
		Signer: v.Principal, Unsigned: v.Kind == trust.Unsigned, Script: v.Bundle.Manifest.Script,
		UID: os.Getuid(), User: name, Groups: groups, Uses: uses, Memory: memory(&uses),
	})
	if err != nil {
		return v.ByPolicy(err.Error()), limits, uses
	}
	// What the policy sets takes the place of the default, in either direction.
	if set.MapMemory > 0 {
		limits.MapMemory = set.MapMemory
	}
	if set.OutputRate > 0 {
		limits.OutputRate = set.OutputRate
	}
	if set.CPU > 0 {
		limits.CPU = set.CPU
	}
	limits.Runtime = set.Runtime
	what := "map_memory in the policy permits more"
	// Read once already, so there is no error.
	if narrower, err := narrow(limits, o.limits); err == nil && narrower != limits {
		if narrower.MapMemory < limits.MapMemory {
			what = "--limit map_memory"
		}
		limits = narrower
	}
	if m := memory(&uses); m > limits.MapMemory {
		v = v.ByPolicy(fmt.Sprintf("the maps take about %d KiB, more than %d KiB (%s)", m>>10, limits.MapMemory>>10, what))
	}
	return v, limits, uses
}

// memory is what maps take on this host: those with values for each CPU have them for every
// possible one, on whichever of them this process may run.
func memory(u *bundle.Uses) int64 {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		cpus = runtime.NumCPU()
	}
	return u.MapBytes + u.MapBytesPerCPU*int64(cpus)
}

// whoami names the user and the groups of this process. What has no name goes by its
// number.
func whoami() (name string, groups []string) {
	name = strconv.Itoa(os.Getuid())
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	gids, err := os.Getgroups()
	if err != nil {
		gids = nil // then only the user's name counts
	}
	for _, g := range append(gids, os.Getgid()) {
		group := strconv.Itoa(g)
		if l, err := user.LookupGroupId(group); err == nil {
			group = l.Name
		}
		if !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
	}
	return name, groups
}

// narrow applies the --limit NAME=VALUE, which can only narrow what the policy sets.
func narrow(limits trust.Limits, list []string) (trust.Limits, error) {
	for _, text := range list {
		l, err := trust.ParseLimit(text)
		if err != nil {
			return limits, err
		}
		limits = limits.Narrow(l)
	}
	return limits, nil
}

// apply gives the limits to a run.
func apply(o *loader.Options, l trust.Limits) {
	o.OutputRate, o.CPULimit = l.OutputRate, l.CPU
	if l.Runtime > 0 && (o.Timeout == 0 || l.Runtime < o.Timeout) {
		o.Timeout, o.TimeoutIsLimit = l.Runtime, true
	}
}
