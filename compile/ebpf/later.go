package ebpf

import (
	"github.com/cilium/ebpf/asm"

	"stapkit/ir"
)

func (p *prog) ngroups(e *ir.Intrinsic, dst asm.Register) { p.unsupported(e.Site, "regex") }
func (p *prog) match(e *ir.Match, want bool, to label)    { p.unsupported(e.Site, "regex") }
func (p *prog) matched(e *ir.Intrinsic, dst text)         { p.unsupported(e.Site, "regex") }
