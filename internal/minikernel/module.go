package minikernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf/btf"

	"stapkit/target/desc"
)

// ModuleName is the name of the kernel's one module.
const ModuleName = "mininet"

// Module is the type information of a module, as a file /sys/kernel/btf/mininet has it:
// its types go on where the kernel's end. It has functions mininet_send and mininet_drop,
// a tracepoint mininet_lost and a structure of its own.
func Module() ([]byte, error) {
	base, err := BTF()
	if err != nil {
		return nil, err
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(base))
	if err != nil {
		return nil, err
	}
	var list []btf.Type
	named := map[string]btf.Type{}
	for t, err := range spec.All() {
		if err != nil {
			return nil, err
		}
		if _, void := t.(*btf.Void); void {
			continue
		}
		list = append(list, t)
		if n := t.TypeName(); n != "" {
			named[n] = t
		}
	}
	file, i32, u32 := named["file"], named["int"], named["unsigned int"]
	if file == nil || i32 == nil || u32 == nil {
		return nil, errors.New("the kernel lacks types that its module uses")
	}
	queue := layout("mininet_queue", btf.Member{Name: "q_len", Type: u32}, btf.Member{Name: "q_file", Type: &btf.Pointer{Target: file}})
	fn := func(name string, params ...btf.FuncParam) btf.Type {
		return &btf.Func{Name: name, Linkage: btf.StaticFunc, Type: &btf.FuncProto{Return: i32, Params: params}}
	}
	ptr := &btf.Pointer{Target: queue}
	both, err := encode(append(list,
		fn("mininet_send", btf.FuncParam{Name: "queue", Type: ptr}, btf.FuncParam{Name: "flags", Type: i32}),
		fn("mininet_drop", btf.FuncParam{Name: "queue", Type: ptr}),
		fn("__traceiter_mininet_lost", btf.FuncParam{Name: "__data", Type: &btf.Pointer{Target: &btf.Void{}}}, btf.FuncParam{Name: "queue", Type: ptr}, btf.FuncParam{Name: "bytes", Type: u32}),
		&btf.Typedef{Name: "btf_trace_mininet_lost", Type: &btf.Pointer{Target: &btf.FuncProto{Return: &btf.Void{}, Params: []btf.FuncParam{
			{Type: &btf.Pointer{Target: &btf.Void{}}}, {Type: ptr}, {Type: u32}}}}}))
	if err != nil {
		return nil, err
	}
	// The module's part is what both have and the kernel alone has not.
	kernelTypes, kernelStrings, err := sections(base)
	if err != nil {
		return nil, err
	}
	types, strings, err := sections(both)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(types, kernelTypes) || !bytes.HasPrefix(strings, kernelStrings) {
		return nil, errors.New("the kernel's types are not numbered the same beside its module's")
	}
	types, strings = types[len(kernelTypes):], strings[len(kernelStrings):]
	out := append([]byte(nil), base[:headerLen]...)
	for i, v := range []int{0, len(types), len(types), len(strings)} { // offset and length of each
		binary.NativeEndian.PutUint32(out[8+4*i:], uint32(v))
	}
	return append(append(out, types...), strings...), nil
}

// headerLen is the length of BTF's header: magic, version, flags, its length, then offset
// and length of types and strings.
const headerLen = 24

func sections(raw []byte) (types, strings []byte, err error) {
	if len(raw) < headerLen || binary.NativeEndian.Uint32(raw[4:]) != headerLen {
		return nil, nil, errors.New("no BTF header of the known length")
	}
	field := func(i int) int { return int(binary.NativeEndian.Uint32(raw[8+4*i:])) }
	body := raw[headerLen:]
	return body[field(0) : field(0)+field(1)], body[field(2) : field(2)+field(3)], nil
}

// WriteHost describes a host that runs the kernel with its module loaded, and
// names the systems of tracepoints, to a file as "staprun --describe" writes it.
func WriteHost(path string) (err error) {
	root, err := os.MkdirTemp("", "minihost")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	kernel, err := BTF()
	if err != nil {
		return err
	}
	module, err := Module()
	if err != nil {
		return err
	}
	for name, data := range map[string]string{
		"/proc/sys/kernel/osrelease":                        release,
		"/proc/modules":                                     ModuleName + " 16384 0 - Live 0xffffffffc0201000\n",
		"/sys/kernel/btf/vmlinux":                           string(kernel),
		"/sys/kernel/btf/" + ModuleName:                     string(module),
		"/sys/kernel/tracing/available_events":              "sched:sched_switch\nmininet:mininet_lost\n",
		"/boot/config-" + strings.TrimSuffix(release, "\n"): "CONFIG_HZ=250\n",
	} {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(p, []byte(data), 0o644); err != nil {
			return err
		}
	}
	live := desc.NewLive(root)
	live.FeatureProbe = func() (map[string]bool, error) { return map[string]bool{}, nil }
	f, err := desc.Collect(host{live}, desc.Options{})
	if err == nil {
		err = f.Save(path)
	}
	return errors.Join(err, live.Close())
}

const release = "6.1.0-mini\n"

// host is one of the same architecture everywhere.
type host struct{ *desc.Live }

func (h host) Info() (desc.Info, error) {
	info, err := h.Live.Info()
	info.Machine = "x86_64"
	return info, err
}
