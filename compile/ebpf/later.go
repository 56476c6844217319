package ebpf

import (
	"github.com/cilium/ebpf/asm"

	"stapkit/ir"
)

func (p *prog) ngroups(e *ir.Intrinsic, dst asm.Register) { p.unsupported(e.Site, "regex") }
func (p *prog) match(e *ir.Match, want bool, to label)    { p.unsupported(e.Site, "regex") }
func (p *prog) matched(e *ir.Intrinsic, dst text)         { p.unsupported(e.Site, "regex") }
func (p *prog) sprintf(e *ir.Sprintf, dst text)           { p.unsupported(e.Site, "sprintf") }
func (p *prog) makeText(e *ir.MakeText, dst text)         { p.unsupported(e.Site, "text") }
func (p *prog) tableLookup(e *ir.Lookup, dst text)        { p.unsupported(p.site, "table") }
