// Package st4023 is the rule ST4023: overload that no call reaches.
package st4023

import (
	"stapkit/diag"
	"stapkit/lint"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4023",
	Doc: &lint.Doc{
		Title:    "overload of a function is never reached",
		Severity: diag.Warning,
		Why: `
Overloads with the same number of parameters are tried in order, and the next only when one says "next". The one
before does not, so this one never runs: the special case that it was written for is treated like all others.`,
		Before: `
function size_name(n) {
	return sprintf("%d", n)
}
function size_name(n) {
	if (n < 1024)
		next
	return sprintf("%dK", n / 1024)
}
probe begin {
	println(size_name(4096))
	exit()
}`,
		After: `
function size_name(n):1 {
	if (n < 1024)
		next
	return sprintf("%dK", n / 1024)
}
function size_name(n):2 {
	return sprintf("%d", n)
}
probe begin {
	println(size_name(4096))
	exit()
}`,
	},
	Adopts: []diag.Code{"E1511"},
})
