package sema

import (
	"fmt"

	"stapkit/target"
	"stapkit/target/ctype"
)

// open makes a probe of a point about which nothing is known, so that it is taken
// on trust.
func (r *resolver) open(f Family, in *request, what string) []*Probe {
	r.e.note("target", in.node, "%s is taken on trust: nothing is known of the target", what)
	p := in.make(f, pointText(in.comps))
	p.ctx = &context{what: what, open: true}
	return []*Probe{p}
}

var famTrace = &family{resolve: func(r *resolver, in *request) ([]*Probe, *fail) {
	return r.tracepoints(in, "trace", FamTrace)
}}

var famTracepoint = &family{resolve: func(r *resolver, in *request) ([]*Probe, *fail) {
	return r.tracepoints(in, "tracepoint", FamTracepoint)
}}

// tracepoints resolves kernel.trace and kernel.tracepoint, and these of a module.
func (r *resolver) tracepoints(in *request, word string, f Family) ([]*Probe, *fail) {
	name, module := in.str(word), in.str("module")
	t := r.e.opt.Target
	if in.unknown() {
		return r.open(f, in, "tracepoint"), nil
	}
	if t == nil {
		return r.open(f, in, "tracepoint "+name), nil
	}
	tps, err := t.Tracepoints(module, name)
	if err != nil {
		return r.open(f, in, "tracepoint "+name), nil
	}
	if len(tps) == 0 && module == "" {
		if tps, err = t.Tracepoints("*", name); err != nil {
			return nil, failf(codeNoMatch, nil, "%v", err)
		}
	}
	if len(tps) == 0 {
		fl := failf(codeNoMatch, nil, "no match").
			suggesting("similar tracepoints", func() []string { return t.SimilarTracepoints(module, name, 5) })
		if module == "" {
			fl.help = fmt.Sprintf("%s has no tracepoint %q; those of a module exist once it is loaded", t.Name(), name)
		}
		return nil, fl.gone("trace", name)
	}
	var out []*Probe
	for i := range tps {
		out = append(out, r.tracepoint(in, word, f, &tps[i]))
	}
	return out, nil
}

func (r *resolver) tracepoint(in *request, word string, f Family, tp *target.Tracepoint) *Probe {
	shown := tp.FullName()
	where := "kernel"
	if in.has("module") {
		where = fmt.Sprintf("module(%q)", tp.Module)
	}
	if f == FamTracepoint {
		shown = tp.Name
	}
	p := in.make(f, fmt.Sprintf("%s.%s(%q)", where, word, shown))
	p.Func, p.Provider, p.Module = tp.Name, tp.System, tp.Module
	p.makeCtx = func() *context { return tracepointContext(f, tp) }
	p.Carriers = []Carrier{
		{Kind: "tp_btf", Target: tp.Name, Module: tp.Module, Reason: "typed arguments that need no checked reads"},
		{Kind: "raw_tp", Target: tp.Name, Module: tp.Module, Reason: "the same arguments, without the kernel's types"},
	}
	return p
}

func tracepointContext(f Family, tp *target.Tracepoint) *context {
	c := &context{
		what: "tracepoint " + tp.FullName(), module: tp.Module,
		consts: map[string]string{"$$name": tp.Name, "$$system": tp.System},
	}
	for i, prm := range tp.Params {
		name := prm.Name
		if f == FamTracepoint {
			name = fmt.Sprintf("arg%d", i+1)
		}
		c.vars = append(c.vars, ctxVar{name: name, typ: prm.Type, acc: Access{
			Base: BaseArg, N: i, BaseType: prm.Type, Module: tp.Module, Trusted: isPointer(prm.Type)}})
	}
	return c
}

func isPointer(t ctype.Type) bool {
	_, ok := ctype.AsPointer(t)
	return ok
}
