package driver

import (
	"context"
	"errors"
	"strconv"

	"stapkit/compile/lower"
	"stapkit/diag"
	"stapkit/ir"
	"stapkit/plan"
	"stapkit/query"
	"stapkit/sema"
	"stapkit/target"
)

// Widths tells how much memory the strings of an elaborated script take, by lowering and
// planning it as a compilation does. The language server shows them. The error says why
// the script cannot be compiled as it stands, or that ctx ended.
func Widths(ctx context.Context, sp *sema.Program, t *target.Target) (*query.Widths, error) {
	if diag.HasErrors(sp.Diags) || diag.HasErrors(sp.Late) || sp.Unresolved || sp.Cancelled {
		return nil, errors.New("the script has errors, or nothing is known of its target")
	}
	c := Config{Target: t}
	type frame struct {
		src    *sema.Body
		locals *[]ir.Type
		f      *ir.Func
	}
	var frames []frame
	opt := lower.Options{Name: "script", Limits: ir.DefaultLimits(), Arch: c.goarch(), HZ: c.hz(), Context: ctx}
	opt.Made = func(src *sema.Body, f *ir.Func, h *ir.Handler) {
		if f != nil {
			frames = append(frames, frame{src, &f.Locals, f})
		} else {
			frames = append(frames, frame{src, &h.Locals, nil})
		}
	}
	p, ds := lower.Program(sp, opt)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if diag.HasErrors(ds) {
		return nil, errors.New(ds[0].Message)
	}
	if ds = plan.Apply(p); diag.HasErrors(ds) {
		return nil, errors.New(ds[0].Message)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	out := &query.Widths{
		Max:     p.Limits.MaxStringLen,
		Globals: map[*sema.Global]query.Width{}, Keys: map[*sema.Global][]query.Width{},
		Locals: map[*sema.Body][]query.Width{}, Results: map[*sema.Func]query.Width{},
	}
	for i, g := range sp.Globals { // lowering keeps their order
		out.Globals[g] = widthOf(p.Globals[i].Value)
		for _, k := range p.Globals[i].Keys {
			out.Keys[g] = append(out.Keys[g], widthOf(k))
		}
	}
	results := map[*sema.Body]*ir.Func{}
	for _, fr := range frames {
		if fr.f != nil {
			results[fr.src] = fr.f
		}
		// A body may have been lowered more than once, for carriers that differ, and what
		// was made the same as another handler is not planned.
		list := out.Locals[fr.src]
		if list == nil {
			list = make([]query.Width, len(fr.src.Locals))
			out.Locals[fr.src] = list
		}
		for i := range list {
			if w := widthOf((*fr.locals)[i]); w.Bytes > list[i].Bytes {
				list[i] = w
			}
		}
	}
	for _, f := range sp.Funcs {
		if made := results[f.Body]; made != nil {
			out.Results[f] = widthOf(made.Result)
		}
	}
	return out, nil
}

// widthOf is what a value of the type takes; nothing for types without a width.
func widthOf(t ir.Type) query.Width {
	switch t.Kind {
	case ir.Int:
		return query.Width{Bytes: 8}
	case ir.Str:
		return query.Width{Bytes: t.Width, Text: max(t.Width-1, 0)}
	case ir.Deferred:
		return query.Width{Bytes: t.Width, Late: true}
	}
	return query.Width{}
}

// hz is the target's CONFIG_HZ, 0 when it is not known.
func (c *Config) hz() int64 {
	if c.Target == nil {
		return 0
	}
	v, ok := c.Target.Config("CONFIG_HZ")
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
