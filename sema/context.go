package sema

import (
	"stapkit/target/ctype"
)

// context is what a probed place offers to the target variables of a handler.
type context struct {
	what string // for messages: "vfs_read"
	vars []ctxVar
	// ret is $return, nil if there is none.
	ret *ctxVar
	// entry offers the variables of the entry to a return probe.
	entry *context
	// consts are the string constants $$name, $$provider, $$system …
	consts map[string]string
	// lists are those of $$vars, $$parms, $$locals and $$return that the place has; nil
	// means all.
	lists []string
	// value: $value can be read and written.
	value bool
	// open: nothing is known; any variable is taken on trust.
	open   bool
	space  Space
	module string // kernel module
	binary string // user program
	// here is the code around the probed instruction, if handlers see its address.
	here *code
	// globals finds file-level variables of the program; nil if there are none.
	globals func(name string) *ctxVar
}

// context gives what the probed place offers, nil for a place without any.
func (p *Probe) context() *context {
	if p.ctx == nil && p.makeCtx != nil {
		p.ctx = p.makeCtx()
		p.makeCtx = nil
	}
	return p.ctx
}

// Variables lists the target variables that the probed place offers, as -L shows
// them: the return value first.
func (p *Probe) Variables() []Var {
	c := p.context()
	if c == nil {
		return nil
	}
	var out []Var
	if c.ret != nil {
		out = append(out, Var{Name: c.ret.name, Type: typeName(c.ret.typ)})
	}
	src := c
	if c.entry != nil {
		src = c.entry
	}
	for _, v := range src.vars {
		if !v.hidden && v.why == "" {
			out = append(out, Var{Name: v.name, Type: typeName(v.typ)})
		}
	}
	if c.value {
		out = append(out, Var{Name: "value", Type: "string"})
	}
	return out
}

func typeName(t ctype.Type) string {
	if t == nil {
		return "long"
	}
	return ctype.Name(t)
}

// noLists is for places that have no variables, or none that SystemTap lists.
var noLists = []string{}

// ctxVar is one variable of a context.
type ctxVar struct {
	name  string // without "$"
	typ   ctype.Type
	acc   Access
	local bool // of the function's body, not a parameter
	// prefix is the way from acc to the value.
	prefix []ctype.Step
	// hidden: not shown by $$vars and -L.
	hidden bool
	// why the value cannot be had although the name exists; "" if it can.
	why string
}

// lookup finds a variable by name without "$".
func (c *context) lookup(name string) *ctxVar {
	for i := range c.vars {
		if c.vars[i].name == name {
			return &c.vars[i]
		}
	}
	return nil
}

// names lists the variables with "$", for suggestions.
func (c *context) names() []string {
	var out []string
	for _, v := range c.vars {
		out = append(out, "$"+v.name)
	}
	if c.ret != nil {
		out = append(out, "$return")
	}
	if c.value {
		out = append(out, "$value")
	}
	return out
}
