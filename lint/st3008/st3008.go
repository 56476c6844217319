// Package st3008 is the rule ST3008: array changed in a loop over it.
package st3008

import (
	"stapkit/diag"
	"stapkit/lint"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST3008",
	Doc: &lint.Doc{
		Title:    "array is changed in a loop over it",
		Severity: diag.Error,
		Why: `
Neither the body of a foreach nor a function that it calls may change the array that the loop walks; the script does
not start. Delete afterwards: remember the keys in a second array, or empty the whole array behind the loop.`,
		Before: `
global last, old
probe timer.ms(2) {
	last[cpu()] = gettimeofday_s()
}
probe timer.s(1) {
	foreach (c in last)
		if (last[c] < gettimeofday_s() - 10)
			delete last[c]
}`,
		After: `
global last, old
probe timer.ms(2) {
	last[cpu()] = gettimeofday_s()
}
probe timer.s(1) {
	foreach (c in last)
		if (last[c] < gettimeofday_s() - 10)
			old[c] = 1
	foreach (c in old)
		delete last[c]
	delete old
}`,
	},
	Adopts: []diag.Code{"E1109"},
})
