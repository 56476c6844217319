package driver

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"stapkit/bundle"
	"stapkit/compile/object"
	"stapkit/ir"
	loader "stapkit/runtime"
)

// compileFor compiles the script for each of the targets (one, or none for the
// running kernel), and keeps of those that come to the same program the first. The
// objects of the others go into the first one's.
func (s *stap) compileFor(targets []string) (first *Compiled, all []*Compiled, ok bool, err error) {
	if len(targets) == 0 {
		targets = []string{""}
	}
	seen := map[[32]byte]int{} // programs, by number
	kernels := map[string]bool{}
	var told strings.Builder
	var specs []*object.Spec
	var front *Frontend
	for _, t := range targets {
		s.o.Releases = nil
		if t != "" {
			s.o.Releases = []string{t}
		}
		s.o.Target = nil
		if err := s.target(); err != nil {
			return nil, nil, false, err
		}
		c, spec, ok, err := s.compile()
		if err == nil && ok {
			if c.Target = t; s.o.Target != nil && s.o.Target.Release() != "" {
				c.Target = s.o.Target.Release()
			}
		}
		release, types := "", ""
		if s.o.Target != nil && len(targets) > 1 {
			release = s.o.Target.Release()
			if b, err := s.o.Target.BTF(); err == nil {
				types = bundle.TypesHash(b.Raw())
			}
		}
		s.close()
		s.targets, s.o.Binaries = nil, nil
		if err != nil || !ok {
			if len(targets) > 1 {
				fmt.Fprintf(s.stderr, "stapc: the script cannot be compiled for %s\n", t)
			}
			return nil, nil, false, err
		}
		key, err := meaning(c.Program)
		if err != nil {
			return nil, nil, false, err
		}
		if front == nil {
			front = s.f
		}
		n, ok := seen[key]
		if !ok {
			n = len(all)
			seen[key] = n
			all, specs = append(all, c), append(specs, spec)
		}
		for _, k := range []struct{ kind, name string }{{"release", release}, {"types", types}} {
			line := fmt.Sprintf("%d %s %s\n", n, k.kind, k.name)
			if k.name == "" || strings.ContainsRune(k.name, '\n') || kernels[line] {
				continue
			}
			kernels[line] = true
			told.WriteString(line)
		}
	}
	s.f = front
	if len(all) == 1 {
		return all[0], all, true, nil
	}
	var names strings.Builder
	for i, c := range all {
		if strings.ContainsRune(c.Target, '\n') {
			return nil, nil, false, errors.New("the name of a target has several lines")
		}
		fmt.Fprintln(&names, c.Target)
		if i > 0 {
			specs[0].Sections = append(specs[0].Sections, object.Section{Name: bundle.VariantSection(i), Data: c.ELF})
		}
	}
	specs[0].Sections = append(specs[0].Sections, object.Section{Name: bundle.VariantsSection, Data: []byte(names.String())},
		object.Section{Name: bundle.KernelsSection, Data: []byte(told.String())})
	first = all[0]
	if first.ELF, err = object.Write(specs[0]); err != nil {
		return nil, nil, false, fmt.Errorf("internal error: %w", err)
	}
	return first, all, true, nil
}

// meaning is the same for programs that do the same where they are loaded: what
// relocations put right does not count.
func meaning(p *ir.Program) (sum [32]byte, err error) {
	h := sha256.New()
	if err := ir.DumpMeaning(h, p); err != nil {
		return sum, err
	}
	return [32]byte(h.Sum(nil)), nil
}

// usesOf is what the variants use, of which one runs.
func usesOf(list []*Compiled) (bundle.Uses, error) {
	var all bundle.Uses
	for i, c := range list {
		u, err := loader.Uses(c.image())
		if err != nil {
			return all, fmt.Errorf("internal error: %w", err)
		}
		if i == 0 {
			all = u
			continue
		}
		all = all.Union(&u)
	}
	return all, nil
}

// explainVariants prints what each variant costs.
func explainVariants(w io.Writer, list []*Compiled) error {
	for _, c := range list {
		if len(list) > 1 {
			if _, err := fmt.Fprintf(w, "# for %s\n", c.Target); err != nil {
				return err
			}
		}
		if err := c.Explain(w); err != nil {
			return err
		}
	}
	return nil
}
