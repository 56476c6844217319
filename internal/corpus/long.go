package corpus

import (
	"fmt"
	"strings"
)

// Long makes a script of so many lines as people write them: globals, functions,
// probes of several families.
func Long(lines int) string {
	var b strings.Builder
	n := 0
	for i := 0; n < lines; i++ {
		part := fmt.Sprintf(`// Part %[1]d of the script.
global counts%[1]d, sizes%[1]d

function scale%[1]d(value, by) {
	if (by == 0)
		return value
	return value * by / %[2]d
}

probe kernel.function("vfs_read") {
	counts%[1]d[execname(), pid()]++
	sizes%[1]d <<< scale%[1]d($count, 2)
	pos = $file->f_pos
	if (pos > 4096 && $count > 100)
		printf("%%s(%%d) %%d at %%d\n", execname(), tid(), $count, pos)
}

probe syscall.openat {
	if (counts%[1]d[execname(), pid()] > 10)
		printf("%%s %%s\n", name, argstr)
}

probe timer.s(%[3]d) {
	foreach ([who, id] in counts%[1]d- limit 10)
		printf("%%16s %%6d %%d\n", who, id, counts%[1]d[who, id])
	print(@hist_log(sizes%[1]d))
	delete counts%[1]d
}

`, i, i%7+1, i%60+1)
		b.WriteString(part)
		n += strings.Count(part, "\n")
	}
	return b.String()
}
