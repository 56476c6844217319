//go:build linux

// Peer runs a command under programs of peer.bpf.c, loaded by cilium/ebpf as a small C
// tool would be by libbpf: what the generated code of scripts is measured against.
//
//	peer [-multi] [-program FILE -symbol NAME | -offset N] OBJECT PROGRAM[,PROGRAM] COMMAND …
//
// It loads these programs only and what they refer to, attaches each as its section says,
// runs the command, and tells on standard error how often handlers ran and how many
// records came.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
)

func main() {
	var o options
	flag.BoolVar(&o.multi, "multi", false, "attach user probes by uprobe_multi, as kernels since 6.6 can")
	flag.StringVar(&o.program, "program", "", "the `FILE` that user probes are in")
	flag.StringVar(&o.symbol, "symbol", "callme", "the function that they are at")
	flag.Uint64Var(&o.offset, "offset", 0, "the `OFFSET` in the file that they are at, instead")
	flag.Parse()
	if flag.NArg() < 3 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(o, flag.Arg(0), strings.Split(flag.Arg(1), ","), flag.Args()[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

type options struct {
	multi           bool
	program, symbol string
	offset          uint64
}

func run(o options, object string, names, command []string) (err error) {
	began := time.Now()
	spec, err := ebpf.LoadCollectionSpec(object)
	if err != nil {
		return err
	}
	refs := map[string]bool{}
	for name, p := range spec.Programs {
		if !slices.Contains(names, name) {
			delete(spec.Programs, name)
			continue
		}
		for _, i := range p.Instructions {
			refs[i.Reference()] = true
		}
		if o.multi && p.Type == ebpf.Kprobe && strings.HasPrefix(p.SectionName, "u") {
			p.AttachType = ebpf.AttachTraceUprobeMulti
		}
	}
	for name := range spec.Maps {
		if !refs[name] && name != ".bss" { // the variables are in that
			delete(spec.Maps, name)
		}
	}
	coll, err := ebpf.NewCollection(spec)
	if err != nil {
		return err
	}
	defer coll.Close()
	var links []io.Closer
	defer func() {
		for _, l := range links {
			err = errors.Join(err, l.Close())
		}
	}()
	for _, name := range names {
		p := coll.Programs[name]
		if p == nil {
			return fmt.Errorf("no program %q", name)
		}
		l, err := o.attach(p, spec.Programs[name].SectionName)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		links = append(links, l)
	}
	records := make(chan int, 1)
	var ring *ringbuf.Reader
	if m := coll.Maps["ring"]; m != nil {
		if ring, err = ringbuf.NewReader(m); err != nil {
			return err
		}
		go drain(ring, records)
	} else {
		records <- 0
	}
	armed := time.Since(began)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	failed := cmd.Run()
	if ring != nil {
		if err := ring.Flush(); err != nil {
			return err
		}
	}
	got := <-records
	var hits uint64
	if v := coll.Variables["hits"]; v != nil {
		if err := v.Get(&hits); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "armed_us=%d hits=%d records=%d\n", armed.Microseconds(), hits, got)
	return failed
}

// drain counts records until the ring is flushed.
func drain(r *ringbuf.Reader, n chan<- int) {
	var rec ringbuf.Record
	got := 0
	for r.ReadInto(&rec) == nil {
		got++
	}
	n <- got
}

// attach attaches a program as libbpf would by the name of its section.
func (o options) attach(p *ebpf.Program, section string) (link.Link, error) {
	kind, target, _ := strings.Cut(section, "/")
	switch kind {
	case "raw_tp":
		return link.AttachRawTracepoint(link.RawTracepointOptions{Name: target, Program: p})
	case "tp_btf", "fentry", "fexit":
		return link.AttachTracing(link.TracingOptions{Program: p})
	case "tracepoint":
		group, name, _ := strings.Cut(target, "/")
		return link.Tracepoint(group, name, p, nil)
	case "kprobe":
		return link.Kprobe(target, p, nil)
	case "kretprobe":
		return link.Kretprobe(target, p, nil)
	case "uprobe", "uretprobe":
		exe, err := link.OpenExecutable(o.program)
		if err != nil {
			return nil, err
		}
		symbols, addresses := []string{o.symbol}, []uint64(nil)
		if o.offset != 0 {
			symbols, addresses = nil, []uint64{o.offset}
		}
		switch {
		case o.multi && kind == "uprobe":
			return exe.UprobeMulti(symbols, p, &link.UprobeMultiOptions{Addresses: addresses})
		case o.multi:
			return exe.UretprobeMulti(symbols, p, &link.UprobeMultiOptions{Addresses: addresses})
		case kind == "uprobe":
			return exe.Uprobe(o.symbol, p, &link.UprobeOptions{Address: o.offset})
		default:
			return exe.Uretprobe(o.symbol, p, &link.UprobeOptions{Address: o.offset})
		}
	}
	return nil, fmt.Errorf("section %s", section)
}
