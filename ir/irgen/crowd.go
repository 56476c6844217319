package irgen

import (
	"fmt"
	"math/rand/v2"

	"stapkit/ir"
)

// Crowd makes n handlers of each handler of p, alike but for some of their
// constants, each of a probe of its own: what a pattern of probe points gives. The
// program must not have been planned.
func Crowd(p *ir.Program, n int, seed uint64) *ir.Program {
	q := clone(p)
	q.Handlers, q.Probes = nil, nil
	for _, h := range p.Handlers {
		for i := range n {
			c := *h
			c.Name = fmt.Sprintf("%s_%d", h.Name, i)
			c.Probe = len(q.Probes)
			c.Locals = append([]ir.Type(nil), h.Locals...)
			c.Body, c.Cond = ir.CloneStmts(h.Body), ir.CloneExpr(h.Cond)
			v := &variation{r: rand.New(rand.NewPCG(seed, 1)), n: i, most: p.Limits.MaxStringLen - 1}
			if c.Cond != nil {
				v.expr(&c.Cond)
			}
			v.list(c.Body)
			row := p.Probes[h.Probe]
			row.Point = fmt.Sprintf("%s/%d", row.Point, i)
			row.Attach = []ir.Attach{row.Attach[0]}
			row.Attach[0].Handler = len(q.Handlers)
			q.Probes = append(q.Probes, row)
			q.Handlers = append(q.Handlers, &c)
		}
	}
	return q
}

// variation changes some constants, the same in all copies, in the n-th its own way.
type variation struct {
	r    *rand.Rand
	n    int
	most int // length of a string
}

func (v *variation) list(list []ir.Stmt) {
	for _, s := range list {
		ir.StmtExprs(s, v.expr)
		ir.Bodies(s, func(b *[]ir.Stmt) { v.list(*b) })
	}
}

func (v *variation) expr(x *ir.Expr) {
	switch c := (*x).(type) {
	case *ir.IntConst:
		if v.r.IntN(3) == 0 {
			c.V += int64(v.n)
		}
	case *ir.StrConst:
		if v.r.IntN(3) == 0 && v.n > 0 {
			c.S = fmt.Sprint(v.n, c.S)
			c.S = c.S[:min(len(c.S), v.most)]
		}
	case *ir.Intrinsic:
		// Some want their literals.
		ir.Children(c, func(a *ir.Expr) {
			if _, ok := (*a).(*ir.IntConst); !ok {
				v.expr(a)
			}
		})
	case *ir.Seq:
		v.list(c.Body)
		v.expr(&c.R)
	default:
		ir.Children(c, v.expr)
	}
}
