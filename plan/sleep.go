package plan

import "stapkit/ir"

// sleepable marks the handlers that can wait for memory of the probed program: those
// of probes in programs that read it. Where the loader exchanges arrays none may
// sleep, since it could not tell when the last user of an old one has ended.
func (pl *planner) sleepable() {
	for i := range pl.p.Globals {
		if pl.p.Globals[i].Generations {
			return
		}
	}
	elsewhere := make([]bool, len(pl.p.Handlers))
	attached := make([]bool, len(pl.p.Handlers))
	for i := range pl.p.Probes {
		for _, a := range pl.p.Probes[i].Attach {
			switch a.Carrier {
			case "uprobe", "uretprobe", "usdt":
				attached[a.Handler] = true
			default:
				elsewhere[a.Handler] = true
			}
		}
	}
	funcs := map[int]bool{} // reads user memory
	var reads func(walk func(stmt func(ir.Stmt), expr func(ir.Expr))) bool
	reads = func(walk func(stmt func(ir.Stmt), expr func(ir.Expr))) bool {
		found := false
		walk(func(ir.Stmt) {}, func(x ir.Expr) {
			switch x := x.(type) {
			case *ir.Intrinsic:
				found = found || x.ID == ir.IUserStr || x.ID == ir.IUserMem
			case *ir.Load:
				found = found || x.Space == ir.UserSpace
			case *ir.Field:
				found = found || x.Space == ir.UserSpace
			case *ir.MakeText:
				found = found || x.Kind == ir.TextType && x.Space == ir.UserSpace
			case *ir.Call:
				for _, id := range x.Chain {
					if _, seen := funcs[id]; !seen {
						funcs[id] = false
						body := pl.p.Funcs[id].Body
						funcs[id] = reads(func(stmt func(ir.Stmt), expr func(ir.Expr)) { ir.Walk(body, stmt, expr) })
					}
					found = found || funcs[id]
				}
			}
		})
		return found
	}
	for i, h := range pl.p.Handlers {
		if h.Kernel && h.Ctx == ir.CtxKprobe && attached[i] && !elsewhere[i] {
			h.Sleepable = reads(h.Walk)
		}
	}
}
