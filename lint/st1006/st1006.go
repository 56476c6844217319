// Package st1006 is the rule ST1006: deprecated or removed probe point.
package st1006

import (
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/points"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST1006",
	Doc: &lint.Doc{
		Title:    "probe point is deprecated, or gone from newer kernels",
		Severity: diag.Warning,
		Why: `
The kernel renamed or removed the function years ago, or the alias has a successor. Scripts from books and blogs are full
of such names: do_fork, sys_open and generic_make_request work on the machine on which the book was written.`,
		Limits: `Points that may be missing ("?", "!") are fine: the author knows.`,
		Before: `
probe kernel.function("do_fork") {
	println(execname())
}`,
		After: `
probe kernel.function("kernel_clone") !, kernel.function("do_fork") {
	println(execname())
}`,
	},
	Run: run,
})

// gone are kernel functions that are no more, and what came in their place.
var gone = map[string]string{
	"do_fork":                     "5.10 and newer have kernel_clone (before, _do_fork)",
	"_do_fork":                    "5.10 and newer have kernel_clone",
	"do_execve":                   "newer kernels have do_execveat_common; syscall.execve or kprocess.exec are stable",
	"vfs_readdir":                 "3.11 and newer have iterate_dir",
	"do_sync_read":                "4.1 and newer have vfs_read or new_sync_read",
	"do_sync_write":               "4.1 and newer have vfs_write or new_sync_write",
	"generic_file_aio_read":       "3.16 and newer have generic_file_read_iter",
	"generic_file_aio_write":      "3.16 and newer have generic_file_write_iter",
	"generic_make_request":        "5.9 and newer have submit_bio_noacct",
	"blk_start_request":           "5.0 and newer have blk_mq_start_request",
	"blk_account_io_start":        "5.16 and newer have it inlined; the tracepoint block_io_start is in 6.5",
	"blk_account_io_done":         "5.16 and newer have it inlined; the tracepoint block_io_done is in 6.5",
	"__alloc_pages_nodemask":      "5.13 and newer have __alloc_pages",
	"do_page_fault":               "5.8 and newer have exc_page_fault on x86, and handle_mm_fault everywhere",
	"__do_page_fault":             "5.8 and newer have exc_page_fault on x86, and handle_mm_fault everywhere",
	"__do_softirq":                "6.11 and newer have handle_softirqs; the tracepoints softirq_entry and softirq_exit are stable",
	"add_to_page_cache_lru":       "6.0 and newer have filemap_add_folio",
	"mark_page_accessed":          "5.16 and newer have folio_mark_accessed",
	"account_page_dirtied":        "5.16 and newer have folio_account_dirtied",
	"sock_aio_read":               "3.19 and newer have sock_read_iter",
	"sock_aio_write":              "3.19 and newer have sock_write_iter",
	"tcp_v4_hnd_req":              "4.4 and newer have none; tcp_v4_conn_request is near",
	"try_to_free_pages_memcg":     "the function was renamed to try_to_free_mem_cgroup_pages",
	"scsi_dispatch_command":       "the function is scsi_dispatch_cmd",
	"ext3_file_write":             "ext3 is served by ext4 since 4.3: ext4_file_write_iter",
	"ext4_file_write":             "4.1 and newer have ext4_file_write_iter",
	"nfs_file_direct_read":        "newer kernels have nfs_file_direct_read through nfs_file_read; see the alias nfs.fop.read_iter",
	"wait_on_page_bit":            "5.16 and newer have folio_wait_bit",
	"shrink_page_list":            "5.18 and newer have shrink_folio_list",
	"generic_file_buffered_write": "3.16 and newer have generic_perform_write",
}

// aliases are deprecated ones, by their first parts.
var aliases = []struct{ name, text string }{
	{"signal.send.return", "it has been deprecated since SystemTap 2.1: signal.send tells the same"},
	{"signal.handle.return", "it has been deprecated since SystemTap 2.1"},
	{"kernel.inline", `it is kernel.function("…").inline`},
	{"syscall.compat_sysctl", "it is deprecated"},
}

func run(p *lint.Pass) (any, error) {
	for _, f := range p.Files {
		f.Inspect(func(n syntax.Node) bool {
			pt, ok := n.(*syntax.ProbePoint)
			if !ok || pt.Optional || pt.Sufficient {
				return true
			}
			if text := old(pt); text != "" && !alternative(f, pt) {
				d := p.At(pt, "%s", text)
				d.Tags = []diag.Tag{diag.Deprecated}
				p.Report(d)
			}
			return true
		})
	}
	return nil, nil
}

func old(pt *syntax.ProbePoint) string {
	if points.First(pt) == "kernel" || points.First(pt) == "kprobe" {
		name := points.Name(pt, "function")
		if why := gone[name]; why != "" {
			return "newer kernels have no function " + name + ": " + why
		}
		if rest, ok := strings.CutPrefix(name, "sys_"); ok && !target(rest) {
			return "since 4.17 system calls are no functions sys_" + rest + "; syscall." + rest + " works on all kernels"
		}
	}
	var names []string
	for _, c := range pt.Components {
		names = append(names, c.Name)
	}
	written := strings.Join(names, ".")
	for _, a := range aliases {
		if written == a.name || strings.HasPrefix(written, a.name+".") {
			return a.name + ": " + a.text
		}
	}
	return ""
}

// target reports whether a name is a pattern, which may be meant for anything.
func target(name string) bool { return strings.ContainsAny(name, "*?[") }

// alternative reports whether a point is the last of a list that others of come first
// with "!".
func alternative(f *syntax.File, pt *syntax.ProbePoint) bool {
	found := false
	f.Inspect(func(n syntax.Node) bool {
		var list []syntax.Point
		switch n := n.(type) {
		case *syntax.ProbeDecl:
			list = n.Points
		case *syntax.AliasDecl:
			list = n.Points
		}
		sufficient := false
		for _, o := range list {
			if o == syntax.Point(pt) && sufficient {
				found = true
			}
			if q, ok := o.(*syntax.ProbePoint); ok && q.Sufficient {
				sufficient = true
			}
		}
		return !found
	})
	return found
}
