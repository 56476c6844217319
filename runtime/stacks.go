//go:build linux

package loader

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"stapkit/ir"
	"stapkit/ir/interp"
	"stapkit/profile"
)

// stackSink collects the stacks of a run, for a profile: those that are keys of arrays,
// with what is counted of them, or, if there are none, each stack that is printed.
type stackSink struct {
	s     *session
	file  *os.File
	shown map[string]*profile.Sample // printed ones, by payload
	order []string
}

func newStackSink(s *session, name string) (*stackSink, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("the file of stacks: %w", err)
	}
	return &stackSink{s: s, file: f, shown: map[string]*profile.Sample{}}, nil
}

// printed notes the stacks among printed values: together they are one.
func (k *stackSink) printed(vals []interp.Value) {
	key := ""
	for _, v := range vals {
		if v.Kind == ir.Deferred {
			if _, ok := v.Text.IsStack(); ok {
				key += fmt.Sprint(v.Text, len(v.S), v.S)
			}
		}
	}
	if key == "" {
		return
	}
	k.s.texts.mu.Lock()
	defer k.s.texts.mu.Unlock()
	p := k.shown[key]
	if p == nil {
		sample, _ := k.sample(vals, false)
		p = &sample
		k.shown[key] = p
		k.order = append(k.order, key)
	}
	p.Count++
}

// lines notes a stack that is printed from a list of addresses. The caller holds the
// lock of texts.
func (k *stackSink) lines(pid int, addrs []uint64) {
	if len(addrs) == 0 {
		return
	}
	key := fmt.Sprint(pid, addrs)
	p := k.shown[key]
	if p == nil {
		p = &profile.Sample{Frames: k.s.texts.profileFrames(pid, addrs)}
		k.shown[key] = p
		k.order = append(k.order, key)
	}
	p.Count++
}

// sample makes one stack of values: stacks of the kernel above those of the program, and
// labels of the rest. It reports whether there is a stack among them.
func (k *stackSink) sample(vals []interp.Value, labels bool) (p profile.Sample, ok bool) {
	var user []profile.Frame
	for _, v := range vals {
		if v.Kind == ir.Deferred {
			if isUser, stack := v.Text.IsStack(); stack {
				ok = true
				w := words(v.S)
				switch {
				case isUser && len(w) > 0:
					user = append(user, k.s.texts.profileFrames(int(int32(w[0])), frames(w[1:]))...)
				case !isUser:
					p.Frames = append(p.Frames, k.s.texts.profileFrames(0, k.s.texts.probed(frames(w)))...)
				}
				continue
			}
		}
		if labels {
			text := fmt.Sprint(v.I)
			switch v.Kind {
			case ir.Str:
				text = v.S
			case ir.Deferred:
				text = k.s.texts.render(v.Text, v.S)
			}
			p.Labels = append(p.Labels, profile.Label{Key: "key", Value: text})
		}
	}
	p.Frames = append(p.Frames, user...)
	return p, ok
}

// profileFrames names the addresses of a process, or of the kernel (0).
func (t *texts) profileFrames(tgid int, addrs []uint64) []profile.Frame {
	out := make([]profile.Frame, 0, len(addrs))
	for i, a := range addrs {
		f := profile.Frame{Addr: a}
		if tgid == 0 {
			if s, _, _, ok := t.kernel(a); ok {
				f.Func, f.Object = s.Name, "["+moduleName(s)+"]"
			} else {
				f.Object = "[kernel]"
			}
			out = append(out, f)
			continue
		}
		m, name, _, _ := t.users.lookup(tgid, a)
		f.Func = name
		if m != nil {
			f.Object, f.Start, f.Limit, f.Offset = m.path, m.start, m.end, m.offset
			if m.file != nil {
				f.Build = m.file.tables[len(m.file.tables)-1].BuildID
			}
			at := a
			if i > 0 {
				at--
			}
			f.File, f.Line, _ = t.users.line(m, at)
		}
		out = append(out, f)
	}
	return out
}

// stackArrays are the arrays with stacks among their keys.
func stackArrays(p *ir.Program) (arrays []int) {
	for i := range p.Globals {
		if slices.ContainsFunc(p.Globals[i].Keys, func(t ir.Type) bool {
			_, ok := t.Text.IsStack()
			return t.Kind == ir.Deferred && ok
		}) {
			arrays = append(arrays, i)
		}
	}
	return arrays
}

// gather adds what the arrays hold, which programs do not change any more.
func (k *stackSink) gather() (*profile.Stacks, error) {
	s := k.s
	out := &profile.Stacks{Time: s.began, Length: time.Since(s.began)}
	arrays := stackArrays(s.p)
	for _, i := range arrays {
		g := &s.p.Globals[i]
		var from interp.Globals = s.env
		if g.Share == ir.LoaderOnly {
			from = s.machine.Store()
		}
		list, err := from.Snapshot(i)
		if err != nil {
			return nil, err
		}
		s.texts.mu.Lock()
		for j := range list {
			p, _ := k.sample(list[j].Keys, true)
			if len(arrays) > 1 {
				p.Labels = append([]profile.Label{{Key: "global", Value: g.Name}}, p.Labels...)
			}
			switch {
			case g.Value.Kind == ir.Stat && list[j].Stat != nil:
				p.Count, p.Sum = list[j].Stat.Count, list[j].Stat.Sum
				out.Summed = out.Summed || g.Stat.Sum
			case g.Value.Kind == ir.Int:
				p.Count, p.Sum = list[j].Val.I, list[j].Val.I
			default:
				p.Count, p.Sum = 1, 1
			}
			out.Samples = append(out.Samples, p)
		}
		s.texts.mu.Unlock()
	}
	return out, nil
}

// write writes the profile.
func (k *stackSink) write(stacks *profile.Stacks) error {
	if len(stacks.Samples) == 0 {
		k.s.texts.mu.Lock()
		for _, key := range k.order {
			stacks.Samples = append(stacks.Samples, *k.shown[key])
		}
		k.s.texts.mu.Unlock()
	}
	if len(stacks.Samples) == 0 {
		k.s.out.warn("the script has collected no stacks: use backtrace(), ubacktrace() or their like as keys of an array, or print them")
	}
	name := k.file.Name()
	if strings.HasSuffix(name, ".svg") && k.s.p.Name != "" {
		name = LeftName(k.s.p) + ".svg" // the title
	}
	return errors.Join(stacks.Write(k.file, name), k.file.Close())
}
