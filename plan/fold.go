package plan

import "stapkit/ir"

// fold computes what is known when the program is made. Where a probe point's own
// constants ($$name, probefunc()) go through the library, handlers become shorter, and
// more alike.
func (pl *planner) fold() {
	f := ir.Folder{Limit: pl.p.Limits.MaxStringLen}
	for _, h := range append(append([]*ir.Handler{}, pl.p.Handlers...), pl.p.Regions...) {
		if h == nil {
			continue
		}
		f.Expr(&h.Cond)
		f.Stmts(&h.Body)
		f.Expr(&h.Result)
	}
	for _, fn := range pl.p.Funcs {
		f.Stmts(&fn.Body)
	}
}
