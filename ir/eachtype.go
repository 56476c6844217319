package ir

// EachType visits the type of each argument of a format, of each global and its keys, and of
// each expression of the handlers and functions.
func (p *Program) EachType(see func(Type)) {
	for i := range p.Formats {
		for _, t := range p.Formats[i].Args {
			see(t)
		}
	}
	for i := range p.Globals {
		see(p.Globals[i].Value)
		for _, t := range p.Globals[i].Keys {
			see(t)
		}
	}
	expr := func(x Expr) { see(x.Type()) }
	for _, h := range p.Handlers {
		h.Walk(nil, expr)
	}
	for _, f := range p.Funcs {
		Walk(f.Body, nil, expr)
	}
}
