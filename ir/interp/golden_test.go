package interp_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"stapkit/ir"
)

// recorded returns what SystemTap printed for a script in the golden folder,
// and the text of its first error, without the place.
func recorded(t *testing.T, name string) (out, failure string) {
	dir := os.Getenv("STAPKIT_GOLDEN")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "golden")
	}
	a, err := txtar.ParseFile(filepath.Join(dir, "run", name+".txtar"))
	if err != nil {
		t.Skipf("no recorded outputs here (set STAPKIT_GOLDEN): %v", err)
	}
	for _, f := range a.Files {
		switch f.Name {
		case "stdout":
			out = strings.TrimSuffix(string(f.Data), "\\ no newline at end of output\n")
		case "stderr":
			for line := range strings.Lines(string(f.Data)) {
				if text, ok := strings.CutPrefix(line, "ERROR: "); ok && failure == "" {
					failure, _, _ = strings.Cut(strings.TrimSpace(text), " near ")
				}
			}
		}
	}
	return out, failure
}

var (
	ints    = ir.Global{Keys: []ir.Type{ir.TInt}, Value: ir.TInt}
	byName  = ir.Global{Keys: []ir.Type{str512}, Value: ir.TInt}
	stats   = ir.StatShape{Sum: true, Min: true, Max: true}
	squares = ir.StatShape{Sum: true, Min: true, Max: true, Variance: true}
)

func scalarStat(s ir.StatShape) ir.Global { return ir.Global{Value: ir.TStat, Stat: s} }
func nameStat(s ir.StatShape) ir.Global {
	return ir.Global{Keys: []ir.Type{str512}, Value: ir.TStat, Stat: s}
}
func logStat() ir.StatShape { return ir.StatShape{Hist: ir.HistLog} }
func linStat(low, high, step int64) ir.StatShape {
	return ir.StatShape{Hist: ir.HistLinear, Low: low, High: high, Step: step}
}

// upTo is for (local id = from; id < to; id++) body.
func upTo(id int, from, to int64, body ...ir.Stmt) []ir.Stmt {
	return []ir.Stmt{
		eval(set(lv(id), ir.OpSet, num(from))),
		&ir.While{C: bin(ir.OpLt, local(id), num(to)), Body: body, Post: []ir.Stmt{eval(inc(lv(id)))}},
	}
}

// TestRecorded runs scripts of the golden folder, translated by hand, and
// compares with what SystemTap did.
func TestRecorded(t *testing.T) {
	i1 := []ir.Type{ir.TInt}
	s1 := []ir.Type{str512}
	st := glob(0, ir.TStat)
	key := func(s string) ir.LValue { return elem(0, ir.TInt, str(s)) }
	skey := func(s string) ir.LValue { return elem(0, ir.TStat, str(s)) }
	in := func(keys ...ir.Expr) ir.Expr { return &ir.IndexIn{G: 0, Keys: keys} }
	tests := map[string]func() *builder{
		"agg_array_empty": func() *builder {
			b := newBuilder(nameStat(stats))
			return b.body(nil, add(skey("a"), num(1)),
				b.printf("%d\\n", stat(ir.StatCount, skey("b"))), b.printf("%d\\n", stat(ir.StatAvg, skey("b"))))
		},
		"agg_delete": func() *builder {
			b := newBuilder(scalarStat(stats), nameStat(stats))
			e := func(k ir.Expr) ir.LValue { return elem(1, ir.TStat, k) }
			return b.body(s1, add(st, num(5)), &ir.Delete{L: st}, b.printf("%d\\n", stat(ir.StatCount, st)),
				add(e(str("k")), num(3)), add(e(str("l")), num(4)), &ir.Delete{L: e(str("k"))},
				&ir.Foreach{G: 1, Keys: []int{0}, Value: -1, Body: []ir.Stmt{b.printf("%s%d\\n", slocal(0), stat(ir.StatSum, e(slocal(0))))}},
				&ir.Delete{L: ir.LValue{Global: true, ID: 1, T: ir.TStat}})
		},
		"agg_ops": func() *builder {
			b := newBuilder(scalarStat(squares))
			return b.body(i1, append(upTo(0, 1, 11, add(st, local(0))),
				b.printf("%d %d %d %d %d\\n", stat(ir.StatCount, st), stat(ir.StatSum, st), stat(ir.StatMin, st), stat(ir.StatMax, st), stat(ir.StatAvg, st)),
				b.printf("%d\\n", stat(ir.StatVariance, st)))...)
		},
		"agg_empty_min": func() *builder {
			b := newBuilder(scalarStat(stats))
			return b.body(nil, b.printf("%d\\n", stat(ir.StatMin, st)))
		},
		"agg_variance_bitshift": func() *builder {
			b := newBuilder(scalarStat(ir.StatShape{Sum: true, Min: true, Max: true, Variance: true, VarShift: 4}))
			return b.body(nil, add(st, num(1)), add(st, num(2)), add(st, num(4)),
				b.printf("%d\\n", stat(ir.StatVariance, st)), b.printf("%d\\n", stat(ir.StatVariance, st)))
		},
		"array_in": func() *builder {
			b := newBuilder(byName)
			return b.body(nil, eval(set(key("x"), ir.OpSet, num(0))), b.printf("%d%d\\n", in(str("x")), in(str("y"))),
				b.printf("%d\\n", get(0, ir.TInt, str("zz"))), b.printf("%d\\n", in(str("zz"))),
				eval(inc(key("n"))), eval(inc(key("n"))), b.printf("%d\\n", get(0, ir.TInt, str("n"))),
				&ir.Delete{L: key("x")}, b.printf("%d\\n", in(str("x"))), &ir.Delete{L: key("never")})
		},
		"array_size": func() *builder {
			g := ints
			g.MaxEntries = 3
			b := newBuilder(g)
			return b.body(i1, upTo(0, 0, 10, eval(set(elem(0, ir.TInt, local(0)), ir.OpSet, local(0))), b.printf("%d\\n", local(0)))...)
		},
		"array_wrap": func() *builder {
			g := ints
			g.MaxEntries, g.Wrap = 4, true
			b := newBuilder(g)
			return b.body(i1, append(upTo(0, 0, 10, eval(set(elem(0, ir.TInt, local(0)), ir.OpSet, local(0)))),
				&ir.Foreach{G: 0, Keys: []int{0}, Value: -1, Sort: ir.Sort{By: -1}, Body: []ir.Stmt{b.printf("%d ", local(0))}},
				b.printf("\\n"))...)
		},
		"div0": func() *builder {
			b := newBuilder()
			return b.body(i1, b.printf("before\\n"), b.printf("%d\\n", bin(ir.OpDiv, num(5), local(0))), b.printf("after\\n"))
		},
		"div0_caught": func() *builder {
			b := newBuilder()
			return b.body([]ir.Type{ir.TInt, str512}, &ir.Try{Var: 1,
				Body:  []ir.Stmt{b.printf("%d\\n", bin(ir.OpDiv, num(5), local(0)))},
				Catch: []ir.Stmt{b.printf("caught: %s\\n", slocal(1))}})
		},
		"mod0": func() *builder {
			b := newBuilder()
			return b.body(i1, b.printf("%d\\n", bin(ir.OpMod, num(5), local(0))))
		},
		"foreach_agg_sort": func() *builder {
			b := newBuilder(nameStat(stats))
			var list []ir.Stmt
			for _, v := range []struct {
				k string
				v int64
			}{{"p", 10}, {"p", 1}, {"q", 5}, {"q", 5}, {"q", 5}, {"r", 100}} {
				list = append(list, add(skey(v.k), num(v.v)))
			}
			loop := func(s ir.Sort, limit ir.Expr, text string, fn ir.StatFn) {
				args := []ir.Expr{slocal(0)}
				if strings.Contains(text, "%d") {
					args = append(args, stat(fn, elem(0, ir.TStat, slocal(0))))
				}
				list = append(list, &ir.Foreach{G: 0, Keys: []int{0}, Value: -1, Sort: s, Limit: limit,
					Body: []ir.Stmt{b.printf(text, args...)}}, b.printf("\\n"))
			}
			loop(ir.Sort{By: -1, Desc: true}, nil, "%s cnt=%d ", ir.StatCount)
			loop(ir.Sort{By: -1, Fn: ir.StatSum}, nil, "%s sum=%d ", ir.StatSum)
			loop(ir.Sort{By: -1, Fn: ir.StatAvg, Desc: true}, num(2), "%s avg=%d ", ir.StatAvg)
			loop(ir.Sort{By: -1, Fn: ir.StatMax, Desc: true}, nil, "%s ", ir.StatMax)
			return b.body(s1, list...)
		},
		"foreach_break": func() *builder {
			b := newBuilder(ints)
			return b.body([]ir.Type{ir.TInt, ir.TInt}, append(upTo(0, 0, 9, eval(set(elem(0, ir.TInt, local(0)), ir.OpSet, local(0)))),
				&ir.Foreach{G: 0, Keys: []int{1}, Value: -1, Sort: ir.Sort{By: -1}, Body: []ir.Stmt{
					&ir.If{C: bin(ir.OpEq, local(1), num(2)), Then: []ir.Stmt{&ir.Continue{}}},
					&ir.If{C: bin(ir.OpEq, local(1), num(5)), Then: []ir.Stmt{&ir.Break{}}},
					b.printf("%d ", local(1))}},
				b.printf("\\n"))...)
		},
		"foreach_multikey": func() *builder {
			b := newBuilder(ir.Global{Keys: []ir.Type{str512, ir.TInt}, Value: ir.TInt})
			e := func(s, n ir.Expr) ir.LValue { return elem(0, ir.TInt, s, n) }
			return b.body([]ir.Type{str512, ir.TInt},
				eval(set(e(str("b"), num(2)), ir.OpSet, num(1))), eval(set(e(str("a"), num(9)), ir.OpSet, num(2))), eval(set(e(str("b"), num(1)), ir.OpSet, num(3))),
				&ir.Foreach{G: 0, Keys: []int{0, 1}, Value: -1, Sort: ir.Sort{By: 1},
					Body: []ir.Stmt{b.printf("%s,%d=%d\\n", slocal(0), local(1), get(0, ir.TInt, slocal(0), local(1)))}},
				&ir.Foreach{G: 0, Keys: []int{0, 1}, Value: -1, Sort: ir.Sort{By: 2, Desc: true}, Limit: num(2),
					Body: []ir.Stmt{b.printf("%s,%d\\n", slocal(0), local(1))}})
		},
		"foreach_nosort": func() *builder {
			b := newBuilder(ints)
			i7 := bin(ir.OpMod, bin(ir.OpMul, local(0), num(7)), num(8))
			return b.body([]ir.Type{ir.TInt, ir.TInt}, append(upTo(0, 0, 8, eval(set(elem(0, ir.TInt, i7), ir.OpSet, local(0)))),
				&ir.Foreach{G: 0, Keys: []int{1}, Value: -1, Body: []ir.Stmt{b.printf("%d=%d ", local(1), get(0, ir.TInt, local(1)))}},
				b.printf("\\n"))...)
		},
		"foreach_slice": func() *builder {
			b := newBuilder(ir.Global{Keys: []ir.Type{ir.TInt, str512}, Value: ir.TInt})
			e := func(n, s ir.Expr) ir.LValue { return elem(0, ir.TInt, n, s) }
			l := []ir.Type{ir.TInt, str512}
			return b.body(l, eval(set(e(num(1), str("x")), ir.OpSet, num(1))), eval(set(e(num(1), str("y")), ir.OpSet, num(2))), eval(set(e(num(2), str("x")), ir.OpSet, num(3))),
				&ir.Foreach{G: 0, Keys: []int{0, 1}, Value: -1, Slice: []ir.Expr{num(1), nil},
					Body: []ir.Stmt{b.printf("%d %s %d\\n", local(0), slocal(1), get(0, ir.TInt, local(0), slocal(1)))}},
				&ir.If{C: in(nil, str("y")), Then: []ir.Stmt{b.printf("has y\\n")}},
				&ir.If{C: in(num(3), nil), Then: []ir.Stmt{b.printf("has 3\\n")}, Else: []ir.Stmt{b.printf("no 3\\n")}},
				&ir.Delete{L: e(num(1), nil)},
				&ir.Foreach{G: 0, Keys: []int{0, 1}, Value: -1, Body: []ir.Stmt{b.printf("%d %s\\n", local(0), slocal(1))}})
		},
		"foreach_sort": func() *builder {
			b := newBuilder(byName)
			list := []ir.Stmt{eval(set(key("x"), ir.OpSet, num(3))), eval(set(key("y"), ir.OpSet, num(1))), eval(set(key("z"), ir.OpSet, num(2)))}
			for i, s := range []ir.Sort{{By: -1}, {By: -1, Desc: true}, {By: 1}, {By: 1, Desc: true}, {By: -1, Desc: true}, {By: -1, Desc: true}} {
				f := &ir.Foreach{G: 0, Keys: []int{0}, Value: -1, Sort: s, Body: []ir.Stmt{b.printf("%s=%d ", slocal(0), get(0, ir.TInt, slocal(0)))}}
				switch i {
				case 4:
					f.Limit = num(2)
				case 5:
					f.Value = 1
					f.Body = []ir.Stmt{b.printf("%s=%d ", slocal(0), local(1))}
				}
				list = append(list, f, b.printf("\\n"))
			}
			return b.body([]ir.Type{str512, ir.TInt}, list...)
		},
		"foreach_ties": func() *builder {
			b := newBuilder(ints)
			list := upTo(0, 0, 8, eval(set(elem(0, ir.TInt, local(0)), ir.OpSet, bin(ir.OpMod, local(0), num(2)))))
			for _, desc := range []bool{true, false} {
				list = append(list, &ir.Foreach{G: 0, Keys: []int{1}, Value: 0, Sort: ir.Sort{By: -1, Desc: desc},
					Body: []ir.Stmt{b.printf("%d=%d ", local(1), local(0))}}, b.printf("\\n"))
			}
			return b.body([]ir.Type{ir.TInt, ir.TInt}, list...)
		},
		"hist_bucket_index2": func() *builder {
			b := newBuilder(scalarStat(logStat()))
			return b.body(i1, add(st, num(3)), add(st, num(12)), add(st, num(13)),
				&ir.ForeachHist{L: st, Key: 0, Value: -1, Body: []ir.Stmt{b.printf("%d: %d\\n", local(0), &ir.HistGet{L: st, Bucket: local(0)})}})
		},
		"hist_linear_index": func() *builder {
			b := newBuilder(scalarStat(linStat(0, 20, 5)))
			h := func(x ir.Expr) ir.Expr { return &ir.HistGet{L: st, Bucket: x} }
			return b.body(i1, add(st, num(7)), add(st, num(-1)), add(st, num(99)), b.printf("%d %d\\n", h(num(1)), h(num(0))),
				&ir.ForeachHist{L: st, Key: 0, Value: -1, Body: []ir.Stmt{b.printf("%d: %d\\n", local(0), h(local(0)))}})
		},
		"hist_empty_array_elem": func() *builder {
			b := newBuilder(nameStat(logStat()))
			return b.body(nil, add(skey("x"), num(1)), b.printf("%d\\n", stat(ir.StatCount, skey("nope"))), &ir.PrintHist{L: skey("nope")})
		},
		"hist_linear": func() *builder {
			b := newBuilder(scalarStat(linStat(0, 100, 10)))
			return b.body(i1, append(upTo(0, 0, 100, add(st, local(0))), &ir.PrintHist{L: st})...)
		},
		"hist_log": func() *builder {
			b := newBuilder(scalarStat(logStat()))
			return b.body(i1, append(upTo(0, 1, 1001, add(st, bin(ir.OpMul, local(0), local(0)))), &ir.PrintHist{L: st})...)
		},
		"minmax_div": func() *builder {
			b := newBuilder()
			return b.body([]ir.Type{ir.TInt, ir.TInt},
				eval(set(lv(0), ir.OpSet, bin(ir.OpSub, num(-9223372036854775807), num(1)))), eval(set(lv(1), ir.OpSet, num(-1))),
				b.printf("%d\\n", bin(ir.OpDiv, local(0), local(1))), b.printf("%d\\n", bin(ir.OpMod, local(0), local(1))))
		},
		"shift64": func() *builder {
			b := newBuilder()
			return b.body(i1, eval(set(lv(0), ir.OpSet, num(64))),
				b.printf("%d\\n", bin(ir.OpShl, num(1), local(0))), b.printf("%d\\n", bin(ir.OpShl, num(1), num(-1))))
		},
		"strops": func() *builder {
			b := newBuilder()
			return b.body(s1, b.printf("%d%d%d%d%d\\n", bin(ir.OpLt, str("a"), str("b")), bin(ir.OpGt, str("b"), str("abc")),
				bin(ir.OpEq, str("x"), str("x")), bin(ir.OpNe, str("x"), str("y")), bin(ir.OpLe, str("a"), str("a"))),
				eval(set(slv(0), ir.OpSet, str("p"))), eval(set(slv(0), ir.OpConcat, str("q"))),
				b.printf("%s\\n", bin(ir.OpConcat, slocal(0), str("r"))), b.printf("litcat\\n"),
				b.printf("%s\\n", &ir.Cond{C: num(1), X: str("t"), Y: str("f"), T: str512}))
		},
		"strtrunc": func() *builder {
			b := newBuilder()
			return b.body([]ir.Type{str512, ir.TInt}, append(append([]ir.Stmt{eval(set(slv(0), ir.OpSet, str("0123456789")))},
				upTo(1, 0, 7, eval(set(slv(0), ir.OpSet, bin(ir.OpConcat, slocal(0), slocal(0)))))...),
				b.printf("%d\\n", intrinsic(ir.IStrLen, slocal(0))), b.printf("%s\\n", slocal(0)),
				b.printf("%s|\\n", bin(ir.OpConcat, slocal(0), str("tail"))))...)
		},
		"strtrunc_d": func() *builder {
			b := newBuilder()
			b.p.Limits.MaxStringLen = 16
			args := []ir.Expr{num(12345), slocal(0)}
			return b.body(s1, eval(set(slv(0), ir.OpSet, str("0123456789"))), eval(set(slv(0), ir.OpSet, bin(ir.OpConcat, slocal(0), slocal(0)))),
				b.printf("%d %s\\n", intrinsic(ir.IStrLen, slocal(0)), slocal(0)),
				b.printf("%s\\n", &ir.Sprintf{Format: b.format("%d%s", args), Args: args, T: str512}))
		},
		"substr": func() *builder {
			b := newBuilder()
			sub := func(from, n int64) ir.Expr { return intrinsic(ir.IStrSub, slocal(0), num(from), num(n)) }
			return b.body(s1, eval(set(slv(0), ir.OpSet, str("hello"))),
				b.printf("[%s][%s][%s][%s][%s][%s]\\n", sub(0, 2), sub(1, 100), sub(5, 1), sub(-1, 2), sub(2, 0), sub(0, -1)))
		},
		"regex": func() *builder {
			b := newBuilder()
			b.p.Regexps = []ir.Regexp{{Pattern: "w(or)ld"}, {Pattern: "^b"}, {Pattern: "z"}}
			m := func(n int64) ir.Expr { return intrinsic(ir.IMatched, num(n)) }
			return b.body(nil, &ir.If{C: &ir.Match{X: str("hello world"), Re: 0}, Then: []ir.Stmt{
				b.printf("%s %s\\n", m(0), m(1)), b.printf("%d\\n", intrinsic(ir.INgroups))}},
				b.printf("%d%d\\n", &ir.Match{X: str("abc"), Re: 1}, &ir.Match{X: str("abc"), Re: 2, Negate: true}))
		},
		"trycatch": func() *builder {
			b := newBuilder()
			return b.body([]ir.Type{str512, str512},
				&ir.Try{Var: 0, Body: []ir.Stmt{fail("boom")}, Catch: []ir.Stmt{b.printf("<%s>\\n", slocal(0))}},
				&ir.Try{Var: 1, Body: []ir.Stmt{&ir.Try{Var: -1, Body: []ir.Stmt{fail("in")}, Catch: []ir.Stmt{fail("rethrow")}}},
					Catch: []ir.Stmt{b.printf("%s\\n", slocal(1))}})
		},
		"maxaction": func() *builder {
			b := newBuilder()
			return b.body(i1, &ir.Try{Var: -1, Body: []ir.Stmt{&ir.While{Body: []ir.Stmt{&ir.Tick{N: 1}, eval(inc(lv(0)))}}}})
		},
	}
	for name, build := range tests {
		t.Run(name, func(t *testing.T) {
			out, failure := recorded(t, name)
			switch name {
			case "shift64":
				// Version 4.8 took 1<<-1 for 1; 5.6 takes the count modulo 64.
				out = strings.Replace(out, "1\n1\n", "1\n-9223372036854775808\n", 1)
			case "foreach_agg_sort":
				// p and q have the same average: here the older one comes first.
				out = strings.Replace(out, "q avg=5 \n", "p avg=5 \n", 1)
			}
			build().want(t, out, failure)
		})
	}
}

// TestOperators checks arithmetic against the script intops4 and the rules of
// the package comment of ir.
func TestOperators(t *testing.T) {
	const lowest = -9223372036854775808
	for _, tt := range []struct {
		op         ir.Op
		x, y, want int64
	}{
		{ir.OpDiv, -7, 2, -3}, {ir.OpMod, -7, 2, -1}, {ir.OpMod, 7, -2, 1}, {ir.OpDiv, 7, -2, -3},
		{ir.OpShl, 1, 3, 8}, {ir.OpShr, -8, 1, -4}, {ir.OpShl, 1, 63, lowest}, {ir.OpShl, 1, 65, 2}, {ir.OpShr, -1, 64, -1},
		{ir.OpAnd, 5, 3, 1}, {ir.OpOr, 5, 3, 7}, {ir.OpXor, 5, 3, 6},
		{ir.OpAdd, 9223372036854775807, 1, lowest}, {ir.OpMul, 1 << 62, 4, 0}, {ir.OpDiv, lowest, -1, lowest}, {ir.OpMod, lowest, -1, 0},
		{ir.OpGt, 3, 2, 1}, {ir.OpGe, 2, 3, 0}, {ir.OpLt, lowest, 1, 1}, {ir.OpLe, 2, 2, 1}, {ir.OpEq, 1, 1, 1}, {ir.OpNe, 1, 1, 0},
	} {
		// With constants, locals and as an update: different closures.
		b := newBuilder()
		list := []ir.Stmt{
			eval(set(lv(0), ir.OpSet, num(tt.x))), eval(set(lv(1), ir.OpSet, num(tt.y))),
			b.printf("%d %d %d", bin(tt.op, num(tt.x), num(tt.y)), bin(tt.op, local(0), local(1)), bin(tt.op, local(0), num(tt.y))),
		}
		want := strings.TrimSpace(strings.Repeat(" "+itoa(tt.want), 3))
		if tt.op <= ir.OpShr {
			list = append(list, b.printf(" %d", set(lv(0), tt.op, local(1))), b.printf(" %d", local(0)))
			want += " " + itoa(tt.want) + " " + itoa(tt.want)
		}
		b.body([]ir.Type{ir.TInt, ir.TInt}, list...).want(t, want, "")
	}
}
