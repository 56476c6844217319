package sema

import (
	_ "embed" // the list
	"strings"
	"sync"

	"stapkit/diag"
)

//go:embed gone.txt
var goneText string

// goneName is a name of the kernel that scripts of earlier years probe.
type goneName struct{ instead, why string }

// goneNames are those of gone.txt, by kind and name.
var goneNames = sync.OnceValue(func() map[string]goneName {
	out := map[string]goneName{}
	for line := range strings.Lines(goneText) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(f) != 3 {
			continue
		}
		out[f[0]] = goneName{f[1], f[2]}
	}
	return out
})

var codeGone = diag.Register(diag.Info{
	Code: "E1800", Severity: diag.Error, Title: "no kernel of today has this",
	Doc: "The function or tracepoint existed in earlier kernels. None of Linux 6.1, 6.12 and 6.18 has it, so the script " +
		"was written for other kernels. The message names the probe point that tells the same today. " +
		"Put \"?\" behind a probe point that may be missing.",
})

var codeGoneMember = diag.Register(diag.Info{
	Code: "E1801", Severity: diag.Error, Title: "no kernel of today has this member",
	Doc: "The structure had this member in earlier kernels. None of Linux 6.1, 6.12 and 6.18 has it, so the script was " +
		"written for other kernels. The message names where the same is found today. With `@defined` and " +
		"`@choose_defined` a script can go by what there is.",
})

// goneMember tells what became of a member of a structure of the kernel, given by the
// structure's name, or by the member that holds it if it has none.
func goneMember(holder, name string) (goneName, bool) {
	if g, ok := goneNames()["member "+holder+"."+name]; ok {
		return g, true
	}
	for what, g := range goneNames() {
		// Of an anonymous structure the member that holds it is named, too.
		if strings.HasPrefix(what, "member ") && strings.Count(what, ".") > 1 && strings.HasSuffix(what, "."+holder+"."+name) {
			return g, true
		}
	}
	return goneName{}, false
}

// gone makes of a failure to find a name one that tells what became of it, if that is
// known. Kind is "function" or "trace".
func (f *fail) gone(kind, name string) *fail {
	// A tracepoint may be given with its system.
	if i := strings.LastIndexByte(name, ':'); kind == "trace" && i >= 0 {
		name = name[i+1:]
	}
	g, ok := goneNames()[kind+" "+name]
	if !ok || f.code != codeNoMatch {
		return f
	}
	what := "function"
	if kind == "trace" {
		what = "tracepoint"
	}
	return failf(codeGone, f.node, "no match: none of Linux 6.1, 6.12 and 6.18 has the %s %s", what, name).withHelp("%s: %s", g.instead, g.why)
}
