package ir_test

import (
	"fmt"
	"strings"
	"testing"

	"stapkit/ir"
)

// TestCheck damages a well-formed program in one place at a time.
func TestCheck(t *testing.T) {
	if err := ir.Check(sample()); err != nil {
		t.Fatal(err)
	}
	num := func(v int64) ir.Expr { return &ir.IntConst{V: v} }
	str := func(s string) ir.Expr { return &ir.StrConst{S: s} }
	str16 := ir.TStr(15)
	a := func(k ...ir.Expr) ir.LValue { return ir.LValue{Global: true, ID: 2, Keys: k, T: ir.TInt} }
	stat := ir.LValue{Global: true, ID: 3, Keys: []ir.Expr{str("k")}, T: ir.TStat}
	sym := ir.Type{Kind: ir.Deferred, Width: 8, Text: ir.TextKSym}
	global := func(i int, f func(*ir.Global)) func(*ir.Program) {
		return func(p *ir.Program) { f(&p.Globals[i]) }
	}
	// do puts a statement into the loader's handler, kernel into the other.
	do := func(s ir.Stmt) func(*ir.Program) {
		return func(p *ir.Program) { p.Handlers[0].Body = append(p.Handlers[0].Body, s) }
	}
	kernel := func(x ir.Expr) func(*ir.Program) {
		return func(p *ir.Program) { p.Handlers[1].Body = append(p.Handlers[1].Body, &ir.Eval{X: x}) }
	}
	later := func(tag ir.Lazy, index int, args ...ir.Expr) func(*ir.Program) {
		return kernel(&ir.MakeText{Kind: ir.TextFormat, Tag: tag, Format: index, Args: args,
			T: ir.Type{Kind: ir.Deferred, Width: 16, Text: ir.TextFormat}})
	}
	eval := func(x ir.Expr) func(*ir.Program) { return do(&ir.Eval{X: x}) }
	fn := func(s ir.Stmt) func(*ir.Program) {
		return func(p *ir.Program) { p.Funcs[0].Body = append(p.Funcs[0].Body, s) }
	}
	for name, tt := range map[string]struct {
		damage func(*ir.Program)
		want   string
	}{
		"string limit":       {func(p *ir.Program) { p.Limits.MaxStringLen = 0 }, "MaxStringLen"},
		"string limit high":  {func(p *ir.Program) { p.Limits.MaxStringLen = 5000 }, "MaxStringLen"},
		"nesting":            {func(p *ir.Program) { p.Limits.MaxNesting = -1 }, "MaxNesting"},
		"locks":              {func(p *ir.Program) { p.Locks = 1 << 20 }, "lock words"},
		"key type":           {global(2, func(g *ir.Global) { g.Keys[0] = ir.TStat }), "type of kind stat"},
		"many keys":          {global(2, func(g *ir.Global) { g.Keys = make([]ir.Type, 65) }), "65 keys"},
		"value type":         {global(0, func(g *ir.Global) { g.Value = ir.TVoid }), "type of kind void"},
		"string width":       {global(1, func(g *ir.Global) { g.Value.Width = 12 }), "string width 12"},
		"no width":           {global(1, func(g *ir.Global) { g.Value.Width = 0 }), "string width 0"},
		"wide string":        {global(1, func(g *ir.Global) { g.Value.Width = 8192 }), "string width"},
		"payload":            {global(5, func(g *ir.Global) { g.Value.Width = 7 }), "payload width"},
		"text kind":          {global(5, func(g *ir.Global) { g.Value.Text = 200 }), "deferred text of kind"},
		"array limit":        {global(2, func(g *ir.Global) { g.MaxEntries = 0 }), "limit 0"},
		"scalar wrap":        {global(0, func(g *ir.Global) { g.Wrap = true }), "properties of an array"},
		"share":              {global(0, func(g *ir.Global) { g.Share = 9 }), "share 9"},
		"global lock":        {global(0, func(g *ir.Global) { g.Lock = 1 }), "lock 1"},
		"slot":               {global(0, func(g *ir.Global) { g.Slot = 1 << 40 }), "slot"},
		"histogram":          {global(3, func(g *ir.Global) { g.Stat.Hist = 7 }), "histogram kind"},
		"histogram bounds":   {global(4, func(g *ir.Global) { g.Stat.Step = 0 }), "interval must be positive"},
		"histogram size":     {global(4, func(g *ir.Global) { g.Stat.High = 1 << 40 }), "too many"},
		"variance shift":     {global(3, func(g *ir.Global) { g.Stat.VarShift = 63 }), "variance shift"},
		"format text":        {func(p *ir.Program) { p.Formats[1].Text = "%y" }, "conversion specifier"},
		"format parsed":      {func(p *ir.Program) { p.Formats[1].Text = "%d" }, "was parsed as"},
		"format args":        {func(p *ir.Program) { p.Formats[1].Args = nil }, "argument types"},
		"format arg type":    {func(p *ir.Program) { p.Formats[1].Args[0] = str16 }, "type of kind str"},
		"regexp":             {func(p *ir.Program) { p.Regexps[0].Pattern = "(" }, "unmatched ("},
		"table order":        {func(p *ir.Program) { p.Tables[0].Entries[1].Value = 1 }, "not in order"},
		"table kind":         {func(p *ir.Program) { p.Tables[0].Kind = 2 }, "kind 2"},
		"table default":      {func(p *ir.Program) { p.Tables[0].Default = "%d%d" }, "more than one number"},
		"table default 2":    {func(p *ir.Program) { p.Tables[0].Default = "%s" }, "more than one number"},
		"type kind":          {func(p *ir.Program) { p.Types[0].Kind = "class" }, `kind "class"`},
		"handler name":       {func(p *ir.Program) { p.Handlers[0].Name = "1x" }, "not a C identifier"},
		"no handler name":    {func(p *ir.Program) { p.Handlers[0].Name = "" }, "not a C identifier"},
		"long handler name":  {func(p *ir.Program) { p.Handlers[0].Name = strings.Repeat("x", 64) }, "not a C identifier"},
		"same handler name":  {func(p *ir.Program) { p.Regions[0].Name = p.Handlers[0].Name }, "occurs twice"},
		"no handler":         {func(p *ir.Program) { p.Handlers[0] = nil }, "missing"},
		"no function":        {func(p *ir.Program) { p.Funcs[0] = nil }, ""},
		"handler context":    {func(p *ir.Program) { p.Handlers[0].Ctx = 99 }, "context 99"},
		"loader context":     {func(p *ir.Program) { p.Handlers[0].Ctx = ir.CtxRawTP }, "kernel false"},
		"kernel no context":  {func(p *ir.Program) { p.Handlers[1].Ctx = ir.CtxNone }, "kernel true"},
		"handler as region":  {func(p *ir.Program) { p.Handlers[1].Ctx = ir.CtxRegion }, "context"},
		"region as handler":  {func(p *ir.Program) { p.Regions[0].Ctx = ir.CtxRawTP }, "context"},
		"params of handler":  {func(p *ir.Program) { p.Handlers[0].Params = p.Regions[0].Params }, "no region"},
		"region param":       {func(p *ir.Program) { p.Regions[0].Params[0].Local = 3 }, "parameter 3"},
		"handler probe":      {func(p *ir.Program) { p.Handlers[0].Probe = 2 }, "probe 2"},
		"handler local":      {func(p *ir.Program) { p.Handlers[0].Locals = []ir.Type{ir.TStat} }, "type of kind stat"},
		"condition":          {func(p *ir.Program) { p.Handlers[0].Cond = str("x") }, "str where int"},
		"probe family":       {func(p *ir.Program) { p.Probes[0].Family = 99 }, "family 99"},
		"probe interval":     {func(p *ir.Program) { p.Probes[0].Interval = -1 }, "negative interval"},
		"attach":             {func(p *ir.Program) { p.Probes[0].Attach[0].Handler = 7 }, "handler 7"},
		"function params":    {func(p *ir.Program) { p.Funcs[0].Params = 4 }, "4 parameters"},
		"function result":    {func(p *ir.Program) { p.Funcs[0].Result = ir.TStat }, "type of kind stat"},
		"recursion":          {func(p *ir.Program) { p.Funcs[0].Recursive = false }, "calls itself"},
		"site":               {func(p *ir.Program) { p.Funcs[0].Site = 2 }, "site 2"},
		"negative site":      {func(p *ir.Program) { p.Funcs[0].Site = -1 }, "site -1"},
		"return type":        {fn(&ir.Return{X: num(1)}), "int where str64"},
		"return value":       {do(&ir.Return{X: num(1)}), "value returned"},
		"nil statement":      {do(nil), "statement <nil>"},
		"nil expression":     {eval(nil), "expression missing"},
		"break":              {do(&ir.Break{}), "outside of a loop"},
		"return in seq":      {eval(&ir.Seq{Body: []ir.Stmt{&ir.Return{}}, R: num(1)}), "return in an expression"},
		"next in seq":        {eval(&ir.Seq{Body: []ir.Stmt{&ir.If{C: num(1), Then: []ir.Stmt{&ir.Next{}}}}, R: num(1)}), "next in an expression"},
		"break out of seq":   {do(&ir.While{Body: []ir.Stmt{&ir.Eval{X: &ir.Seq{Body: []ir.Stmt{&ir.Break{}}, R: num(1)}}}}), "outside of a loop"},
		"if string":          {do(&ir.If{C: str("")}), "str where int"},
		"while string":       {do(&ir.While{C: str("")}), "str where int"},
		"foreach global":     {do(&ir.Foreach{G: 9}), "global 9"},
		"foreach scalar":     {do(&ir.Foreach{G: 0, Value: -1}), "no array"},
		"foreach keys":       {do(&ir.Foreach{G: 2, Keys: []int{0}, Value: -1}), "1 loop variables"},
		"foreach key kind":   {do(&ir.Foreach{G: 2, Keys: []int{1, 1}, Value: -1}), "loop variable of kind str"},
		"foreach local":      {do(&ir.Foreach{G: 2, Keys: []int{0, 5}, Value: -1}), "local 5"},
		"foreach slice":      {do(&ir.Foreach{G: 2, Keys: []int{-1, -1}, Value: -1, Slice: []ir.Expr{nil}}), "slice of 1"},
		"foreach slice type": {do(&ir.Foreach{G: 2, Keys: []int{-1, -1}, Value: -1, Slice: []ir.Expr{str(""), nil}}), "where int is wanted"},
		"foreach sort":       {do(&ir.Foreach{G: 2, Keys: []int{-1, -1}, Value: -1, Sort: ir.Sort{By: 3}}), "sort by 3"},
		"foreach stat value": {do(&ir.Foreach{G: 3, Keys: []int{-1}, Value: 0}), "value of an aggregate"},
		"foreach sort fn":    {do(&ir.Foreach{G: 3, Keys: []int{-1}, Value: -1, Sort: ir.Sort{By: -1, Fn: 77}}), "does not keep"},
		"foreach limit":      {do(&ir.Foreach{G: 2, Keys: []int{-1, -1}, Value: -1, Limit: str("")}), "str where int"},
		"hist of number":     {do(&ir.ForeachHist{L: ir.LValue{Global: true, T: ir.TInt}, Key: -1, Value: -1}), "aggregate operation"},
		"hist not kept":      {func(p *ir.Program) { p.Globals[4].Stat.Hist = ir.HistNone }, "no histogram"},
		"hist sort":          {do(&ir.ForeachHist{L: stat, Key: -1, Value: -1, Sort: ir.Sort{By: 2}}), "sort by 2"},
		"catch variable":     {do(&ir.Try{Var: 0}), "no string"},
		"catch local":        {do(&ir.Try{Var: 3}), "local 3"},
		"delete local":       {do(&ir.Delete{L: ir.LValue{ID: 3}}), "local 3"},
		"delete keys":        {do(&ir.Delete{L: a(num(1))}), "1 keys"},
		"delete local key":   {do(&ir.Delete{L: ir.LValue{ID: 0, Keys: []ir.Expr{num(1)}}}), "keys of a local"},
		"print args":         {do(&ir.Print{Format: 0, Args: []ir.Expr{num(1)}}), "1 arguments"},
		"print arg kind":     {do(&ir.Print{Format: 1, Args: []ir.Expr{str("")}}), "where int is wanted"},
		"print format":       {do(&ir.Print{Format: 2}), "format 2"},
		"tick":               {do(&ir.Tick{}), "tick 0"},
		"lock in loader":     {do(&ir.Lock{}), "lock outside"},
		"lock number":        {func(p *ir.Program) { p.Handlers[1].Body = []ir.Stmt{&ir.Lock{ID: 1}} }, "lock 1"},
		"long string":        {eval(str(strings.Repeat("x", 5000))), "string of 5000 bytes"},
		"NUL":                {eval(str("a\x00")), "NUL"},
		"local range":        {eval(&ir.Local{ID: 3, T: ir.TInt}), "local 3"},
		"local type":         {eval(&ir.Local{ID: 1, T: ir.TInt}), "taken for int"},
		"scalar as array":    {eval(&ir.IndexGet{G: 0, T: ir.TInt}), "no element"},
		"array as scalar":    {eval(&ir.GlobalGet{G: 2, T: ir.TInt}), "0 keys"},
		"global type":        {eval(&ir.GlobalGet{G: 1, T: str16}), "taken for str16"},
		"aggregate as value": {eval(&ir.GlobalGet{G: 4, T: ir.TStat}), "aggregate as a value"},
		"wildcard read":      {eval(&ir.IndexGet{G: 2, Keys: []ir.Expr{nil, str("")}, T: ir.TInt}), "expression missing"},
		"in scalar":          {eval(&ir.IndexIn{G: 0}), "no array"},
		"in range":           {eval(&ir.IndexIn{G: -1}), "global -1"},
		"update operator":    {eval(&ir.Update{L: a(num(1), str("")), Op: ir.OpConcat, R: num(1)}), "operator ."},
		"update comparison":  {eval(&ir.Update{L: a(num(1), str("")), Op: ir.OpLt, R: num(1)}), "operator <"},
		"update type":        {eval(&ir.Update{L: a(num(1), str("")), R: str("")}), "where int is wanted"},
		"update stat":        {eval(&ir.Update{L: stat, R: num(1)}), "update of stat"},
		"statadd":            {eval(&ir.StatAdd{L: a(num(1), str("")), V: num(1)}), "aggregate operation"},
		"statadd value":      {eval(&ir.StatAdd{L: stat, V: str("")}), "str where int"},
		"statget":            {eval(&ir.StatGet{L: ir.LValue{Global: true, ID: 4, T: ir.TStat}, Fn: ir.StatSum}), "does not keep"},
		"statget local":      {eval(&ir.StatGet{L: ir.LValue{ID: 0, T: ir.TInt}}), "aggregate operation"},
		"unary":              {eval(&ir.Unary{Op: ir.OpAdd, X: num(1)}), "unary operator"},
		"unary string":       {eval(&ir.Unary{Op: ir.OpNeg, X: str("")}), "str where int"},
		"binary kinds":       {eval(&ir.Binary{Op: ir.OpEq, X: num(1), Y: str(""), T: ir.TInt}), "operator =="},
		"binary strings":     {eval(&ir.Binary{Op: ir.OpAdd, X: str(""), Y: str(""), T: ir.TInt}), "operator +"},
		"binary type":        {eval(&ir.Binary{Op: ir.OpConcat, X: str(""), Y: str(""), T: ir.TInt}), "where str"},
		"binary set":         {eval(&ir.Binary{Op: ir.OpSet, X: num(1), Y: num(1), T: ir.TInt}), "operator ="},
		"deferred order": {eval(&ir.Binary{Op: ir.OpLt, X: &ir.GlobalGet{G: 5, T: sym}, Y: &ir.GlobalGet{G: 5, T: sym}, T: ir.TInt}),
			"operator <"},
		"logical":          {eval(&ir.Logical{X: str(""), Y: num(1)}), "str where int"},
		"cond":             {eval(&ir.Cond{C: num(1), X: num(1), Y: str(""), T: ir.TInt}), "where int is wanted"},
		"call nothing":     {eval(&ir.Call{T: ir.TVoid}), "call of nothing"},
		"call range":       {eval(&ir.Call{Chain: []int{2}, T: ir.TVoid}), "function 2"},
		"call arity":       {eval(&ir.Call{Chain: []int{0}, T: ir.TStr(63)}), "0 arguments"},
		"call kinds":       {eval(&ir.Call{Chain: []int{0}, Args: []ir.Expr{str(""), str("")}, T: ir.TStr(63)}), "argument 0"},
		"call result":      {eval(&ir.Call{Chain: []int{1}, T: ir.TInt}), "yields void"},
		"call narrow":      {eval(&ir.Call{Chain: []int{0}, Args: []ir.Expr{num(1), str("")}, T: str16}), "yields str64"},
		"intrinsic":        {eval(&ir.Intrinsic{ID: 999}), "intrinsic 999"},
		"intrinsic args":   {eval(&ir.Intrinsic{ID: ir.IStrLen, T: ir.TInt}), "0 arguments for strlen"},
		"intrinsic kind":   {eval(&ir.Intrinsic{ID: ir.IStrLen, Args: []ir.Expr{num(1)}, T: ir.TInt}), "int where str"},
		"intrinsic result": {eval(&ir.Intrinsic{ID: ir.IPid, T: str16}), "where int"},
		"intrinsic where":  {eval(&ir.Intrinsic{ID: ir.IRetval, T: ir.TInt}), "retval cannot be used here"},
		"memory size":      {eval(&ir.Intrinsic{ID: ir.IKernelMem, Args: []ir.Expr{num(1), num(3)}, T: ir.TInt}), "size of kernel_mem"},
		"memory size var":  {eval(&ir.Intrinsic{ID: ir.IKernelMem, Args: []ir.Expr{num(1), &ir.Local{T: ir.TInt}}, T: ir.TInt}), "size of kernel_mem"},
		"sprintf type":     {eval(&ir.Sprintf{Format: 1, Args: []ir.Expr{num(1)}, T: ir.TInt}), "where str"},
		"match":            {eval(&ir.Match{X: str(""), Re: 1}), "regular expression 1"},
		"match number":     {eval(&ir.Match{X: num(1)}), "int where str"},
		"context word":     {kernel(&ir.CtxArg{N: 0, Size: 3}), "3 bytes"},
		"context loader":   {eval(&ir.CtxArg{N: 0, Size: 8}), "no context"},
		"context field":    {kernel(&ir.CtxField{Off: -1, Size: 8}), "field at -1"},
		"load size":        {kernel(&ir.Load{Addr: num(1), Size: 16}), "16 bytes"},
		"load space":       {kernel(&ir.Load{Addr: num(1), Size: 8, Space: 2}), "space 2"},
		"field type":       {kernel(&ir.Field{Base: num(1), TypeID: 2, Access: "0", Size: 8}), "type 2"},
		"field access":     {kernel(&ir.Field{Base: num(1), Access: "0::1", Size: 8}), "access string"},
		"field long":       {kernel(&ir.Field{Base: num(1), Access: "0:12345678901", Size: 8}), "access string"},
		"field offset":     {kernel(&ir.Field{Base: num(1), Access: "0:1", Off: -8, Size: 8}), "offset -8"},
		"field bits":       {kernel(&ir.Field{Base: num(1), Access: "0:1", Size: 4, BitOff: 30, BitSize: 3}), "bit-field"},
		"exists":           {kernel(&ir.Exists{Access: ":"}), "access string"},
		"text kind 2":      {kernel(&ir.MakeText{Kind: ir.TextKMod, Args: []ir.Expr{num(1)}, T: sym}), "with type"},
		"text words":       {kernel(&ir.MakeText{Kind: ir.TextKSym, T: sym}), "0 words"},
		"text layout":      {kernel(&ir.MakeText{Kind: ir.TextParms, Layout: 1, T: ir.Type{Kind: ir.Deferred, Width: 8, Text: ir.TextParms}}), "layout 1"},
		"text size":        {kernel(&ir.MakeText{Kind: ir.TextType, Size: 1 << 20, Args: []ir.Expr{num(1)}, T: ir.Type{Kind: ir.Deferred, Width: 8, Text: ir.TextType}}), "bytes in address space"},
		"later format":     {later(ir.LazyFormat, 1), "0 arguments"},
		"later plain":      {later(ir.LazyPlain, 0), "plain text of 0"},
		"later plain kind": {later(ir.LazyPlain, 0, num(1)), "int where str"},
		"later table":      {later(ir.LazyTable, 2, num(1)), "table 2"},
		"later table args": {later(ir.LazyTable, 0), "look-up of 0"},
		"later call":       {later(ir.LazyCall, 2), "function 2"},
		"later call void":  {later(ir.LazyCall, 1), "deferred call of function 1"},
		"later call kind":  {later(ir.LazyCall, 0, str(""), str("")), "str where int"},
		"later tag":        {later(9, 0), "lazy text of kind 9"},
		"lookup":           {kernel(&ir.Lookup{Table: 2, X: num(1), T: str16}), "table 2"},
		"region kernel":    {kernel(&ir.Region{ID: 0, T: ir.TVoid}), "region in a kernel handler"},
		"region range":     {eval(&ir.Region{ID: 1, T: ir.TVoid}), "region 1"},
		"region locals":    {func(p *ir.Program) { p.Regions[0].Locals = []ir.Type{ir.TStr(63), ir.TInt, ir.TInt} }, ""},
		"region result":    {eval(&ir.Region{ID: 0, T: str16, Result: str("")}), "yields nothing that fits"},
		"deep": {func(p *ir.Program) {
			x := num(1)
			for range 20000 {
				x = &ir.Unary{Op: ir.OpNot, X: x}
			}
			eval(x)(p)
		}, "nested deeper"},
	} {
		t.Run(name, func(t *testing.T) {
			p := sample()
			tt.damage(p)
			err := ir.Check(p)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// TestErrText: every code has a text and a name of its own.
func TestErrText(t *testing.T) {
	texts, names := map[string]ir.ErrCode{}, map[string]bool{}
	for c := ir.ErrNone + 1; !strings.HasPrefix(c.String(), "ErrCode("); c++ {
		text := ir.ErrText(c, 3, "said so")
		if strings.HasPrefix(text, "unknown error") || text == "" {
			t.Errorf("%s: %q", c, text)
		}
		if o, ok := texts[text]; ok && o != ir.ErrKernelFault {
			t.Errorf("%s and %s: %q", c, o, text)
		}
		texts[text] = c
		if names[c.String()] {
			t.Errorf("name %s twice", c)
		}
		names[c.String()] = true
	}
	if ir.ErrText(ir.ErrArrayFull, 4, "") != "Array overflow, check size limit (4)" {
		t.Error(ir.ErrText(ir.ErrArrayFull, 4, ""))
	}
	if got := ir.ErrText(999, 1, ""); !strings.HasPrefix(got, "unknown error 999") {
		t.Error(got)
	}
}

// TestNames: every kind of text has a name of its own, and stacks are known as
// such.
func TestNames(t *testing.T) {
	names := map[string]bool{}
	stacks := 0
	for k := ir.TextNone; k.String() != fmt.Sprintf("text%d", uint8(k)); k++ {
		name := k.String()
		if name == "" || names[name] {
			t.Errorf("kind %d is called %q", k, name)
		}
		names[name] = true
		user, stack := k.IsStack()
		if stack != strings.Contains(name, "stack") || user != strings.HasPrefix(name, "ustack") {
			t.Errorf("%s: stack %v, user %v", name, stack, user)
		}
		if stack {
			stacks++
		}
	}
	if stacks < 6 {
		t.Errorf("%d kinds of stacks", stacks)
	}
	for _, tt := range []struct {
		t    ir.Type
		want string
	}{{ir.TInt, "int"}, {ir.TStr(20), "str24"}, {ir.Type{Kind: ir.Deferred, Width: 8, Text: ir.TextKSym}, "text:ksym/8"}, {ir.Type{Kind: 99}, "kind99"}} {
		if got := tt.t.String(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
