// Package points has what rules about probe points share: which places are hot, what a
// point is as it is written, which names a newer kernel has.
package points

import (
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/sema"
	"stapkit/syntax"
)

// hotFunctions are kernel functions that run tens of thousands of times a second, and
// what for.
var hotFunctions = map[string]string{
	"schedule": "every context switch", "__schedule": "every context switch", "try_to_wake_up": "every wake-up", "ttwu_do_activate": "every wake-up",
	"update_curr": "every scheduler tick and wake-up", "enqueue_task_fair": "every wake-up", "dequeue_task_fair": "every sleep", "pick_next_task_fair": "every context switch",
	"_raw_spin_lock": "every lock", "_raw_spin_lock_irqsave": "every lock", "_raw_spin_unlock": "every lock", "mutex_lock": "every mutex", "mutex_unlock": "every mutex",
	"kmem_cache_alloc": "every allocation", "kmem_cache_free": "every release", "kmem_cache_alloc_noprof": "every allocation", "kmalloc": "every allocation",
	"__kmalloc": "every allocation", "__kmalloc_noprof": "every allocation", "kfree": "every release", "kvfree": "every release",
	"__alloc_pages": "every page", "__alloc_pages_noprof": "every page", "get_page_from_freelist": "every page", "free_unref_page": "every page",
	"handle_mm_fault": "every page fault", "__handle_mm_fault": "every page fault", "do_user_addr_fault": "every page fault", "exc_page_fault": "every page fault", "do_page_fault": "every page fault",
	"copy_user_generic": "every copy from or to programs", "_copy_from_user": "every copy from programs", "_copy_to_user": "every copy to programs",
	"rcu_read_lock": "every RCU section", "__rcu_read_lock": "every RCU section", "call_rcu": "every RCU callback",
	"do_syscall_64": "every system call", "syscall_enter_from_user_mode": "every system call", "__fget_light": "every system call on a file", "fget": "every system call on a file", "fput": "every system call on a file",
	"irq_enter_rcu": "every interrupt", "handle_irq_event": "every interrupt", "__do_softirq": "every softirq", "handle_softirqs": "every softirq",
	"tick_sched_timer": "every tick", "hrtimer_interrupt": "every timer", "hrtimer_start_range_ns": "every timer", "run_local_timers": "every tick",
	"__netif_receive_skb": "every packet", "__netif_receive_skb_core": "every packet", "netif_receive_skb": "every packet", "ip_rcv": "every packet", "napi_gro_receive": "every packet",
	"dev_queue_xmit": "every packet", "__dev_queue_xmit": "every packet", "dev_hard_start_xmit": "every packet", "kfree_skb": "every packet", "consume_skb": "every packet", "__alloc_skb": "every packet",
	"dput": "every path lookup", "lookup_fast": "every path lookup", "link_path_walk": "every path lookup", "security_inode_permission": "every path lookup",
}

// hotTracepoints likewise.
var hotTracepoints = map[string]string{
	"sched_switch": "every context switch", "sched_waking": "every wake-up", "sched_wakeup": "every wake-up", "sched_stat_runtime": "every tick and switch",
	"kmalloc": "every allocation", "kfree": "every release", "kmem_cache_alloc": "every allocation", "kmem_cache_free": "every release",
	"mm_page_alloc": "every page", "mm_page_free": "every page", "rss_stat": "every page fault", "page_fault_user": "every page fault", "page_fault_kernel": "every page fault",
	"lock_acquire": "every lock", "lock_release": "every lock", "contention_begin": "every contended lock",
	"sys_enter": "every system call", "sys_exit": "every system call", "irq_handler_entry": "every interrupt", "irq_handler_exit": "every interrupt",
	"softirq_entry": "every softirq", "softirq_exit": "every softirq", "softirq_raise": "every softirq", "local_timer_entry": "every tick", "local_timer_exit": "every tick",
	"hrtimer_start": "every timer", "hrtimer_cancel": "every timer", "hrtimer_expire_entry": "every timer", "timer_start": "every timer", "timer_cancel": "every timer",
	"netif_receive_skb": "every packet", "net_dev_xmit": "every packet", "net_dev_queue": "every packet", "kfree_skb": "every packet", "consume_skb": "every packet", "napi_poll": "every packet",
	"rcu_utilization": "every RCU step", "cpu_idle": "every idle period", "page_cache_insert": "every page read",
}

// Name is the function or tracepoint that a written point names, without its system, file
// or line; "" when it names none.
func Name(pt *syntax.ProbePoint, word string) string {
	c := Component(pt, word)
	if c == nil {
		return ""
	}
	lit, ok := c.Arg.(*syntax.StringLit)
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(lit.Value, "@")
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		name = name[i+1:]
	}
	return name
}

// Component finds a part of a point by its name.
func Component(pt *syntax.ProbePoint, word string) *syntax.Component {
	if pt == nil {
		return nil
	}
	for _, c := range pt.Components {
		if c.Name == word {
			return c
		}
	}
	return nil
}

// First is the name of the first part of a point.
func First(pt *syntax.ProbePoint) string {
	if pt == nil || len(pt.Components) == 0 {
		return ""
	}
	return pt.Components[0].Name
}

// Hot says how often a probe fires when that is tens of thousands of times a second: "every
// context switch"; "" when it does not, as far as one knows.
func Hot(p *sema.Probe) string {
	pt := p.Written
	switch First(pt) {
	case "kernel", "module", "kprobe":
		for _, word := range []string{"function", "call"} {
			if why := hotFunctions[Name(pt, word)]; why != "" {
				return why
			}
		}
		for _, word := range []string{"trace", "tracepoint"} {
			if why := hotTracepoints[Name(pt, word)]; why != "" {
				return why
			}
		}
	case "scheduler":
		if Component(pt, "ctxswitch") != nil || Component(pt, "cpu_on") != nil || Component(pt, "cpu_off") != nil {
			return "every context switch"
		}
	case "vm":
		if Component(pt, "kmalloc") != nil || Component(pt, "kfree") != nil || Component(pt, "kmem_cache_alloc") != nil || Component(pt, "kmem_cache_free") != nil {
			return "every allocation"
		}
	case "syscall":
		if len(pt.Components) > 1 && pt.Components[1].Name == "*" {
			return "every system call"
		}
	case "perf":
		return "every sample"
	}
	if p.Family == sema.FamTimer && p.Interval > 0 && p.Interval < 1e6 {
		return "more than 1000 times a second"
	}
	return ""
}

// Replace adopts a finding of elaboration at a probe point, where the rule has a better
// one, and leaves others.
func Replace(p *lint.Pass, d *diag.Diagnostic) bool {
	at := false
	for _, f := range p.Files {
		if f.Name != d.Range.Start.File {
			continue
		}
		f.Inspect(func(n syntax.Node) bool {
			if pt, ok := n.(*syntax.ProbePoint); ok {
				r := syntax.Range(pt)
				at = at || d.Range.Start.Offset >= r.Start.Offset && d.Range.Start.Offset < r.End.Offset
			}
			return !at
		})
	}
	if at {
		d.Message = ""
	}
	return at
}
