package sema

import (
	"fmt"
	"strings"

	"stapkit/tapsets"
	"stapkit/target/ctype"
)

// inPlaceOf are words of C in kernel modules, and what scripts have for them; the first
// that occurs counts.
var inPlaceOf = []struct{ word, use string }{
	{"kread(", "@cast(address, \"type\")->member"},
	{"strncpy_from_user", "user_string(address)"},
	{"copy_from_user", "user_string(address), user_long(address) and their like"},
	{"get_user", "user_long(address) and its like"},
	{"copy_to_user", "set_user_long(address, value) and its like"},
	{"put_user", "set_user_long(address, value) and its like"},
	{"d_path", "task_dentry_path(task, dentry, mount)"},
	{"pid_task", "pid2task(pid)"},
	{"find_task_by", "pid2task(pid)"},
	{"send_sig", "raise(signal), for the current process"},
	{"kill_pid", "raise(signal), for the current process"},
	{"dump_stack", "print_backtrace()"},
	{"stack_trace", "backtrace() and print_stack(text)"},
	{"sprint_symbol", "symname(address)"},
	{"%pS", "symname(address)"},
	{"%pI", "ip_ntop(address)"},
	{"inet_ntoa", "ip_ntop(address)"},
	{"ntohs", "ntohs(number)"},
	{"ntohl", "ntohl(number)"},
	{"smp_processor_id", "cpu()"},
	{"ktime_get", "ktime_get_ns() and gettimeofday_ns()"},
	{"gettimeofday", "gettimeofday_ns() and its like"},
	{"sched_clock", "local_clock_ns()"},
	{"get_cycles", "get_cycles()"},
	{"rdtsc", "get_cycles()"},
	{"random", "randint(bound)"},
	{"simple_strto", "strtol(text, base)"},
	{"kstrto", "strtol(text, base)"},
	{"current->comm", "execname()"},
	{"current->tgid", "pid()"},
	{"current->pid", "tid()"},
	{"current_uid", "uid()"},
	{"->comm", "task_execname(task)"},
	{"->tgid", "task_pid(task)"},
	{"current", "task_current() and @cast(task, \"task_struct\")->member"},
	{"deref", "@kderef(size, address)"},
	{"user", "user_string(address), user_long(address) and their like"},
	{"printk", "log(text) or printf"},
	{"_stp_printf", "printf"},
	{"jiffies", "jiffies()"},
	{"snprintf", "sprintf"},
	{"strlcpy", "plain assignment of strings"},
	{"strlcat", "the '.' operator"},
	{"strstr", "strpos(text, part) and =~"},
	{"STAP_RETVALUE = STAP_ARG_", "a script function with return"},
	{"THIS->__retvalue", "a script function with return"},
}

// embeddedHelp names what stapkit has in place of embedded C: what replaces a function
// of SystemTap's library; or the library's function of nearly the same name; or by what
// the C text does. name is "" for C outside of functions.
func embeddedHelp(name, text string) string {
	if r, ok := tapsets.Refused(name); ok {
		return fmt.Sprintf("%s; there is %s", r.Why, r.Instead)
	}
	if name != "" {
		if near := ctype.Similar(name, tapsets.Funcs(), 1); len(near) > 0 && nearName(name, near[0]) {
			return "nearest: " + near[0] + "() of the library"
		}
	}
	for _, h := range inPlaceOf {
		if strings.Contains(text, h.word) {
			return "nearest: " + h.use
		}
	}
	return "write it as a script function; @cast, kernel_string() and @kderef() read kernel memory"
}

// nearName reports whether names of functions have all words but one in common, in any
// order: get_task_parent and task_parent.
func nearName(a, b string) bool {
	words := func(s string) []string { return strings.FieldsFunc(s, func(r rune) bool { return r == '_' }) }
	x, y := words(a), words(b)
	common := 0
	for _, w := range y {
		if strings.Contains("_"+a+"_", "_"+w+"_") {
			common++
		}
	}
	return len(y) > 1 && common == len(y) && len(x)-common <= 1
}
