package driver

import "stapkit/diag"

var codeVersion = diag.Register(diag.Info{
	Code: "E2300", Severity: diag.Warning, Title: "the script depends on the version",
	Doc: "Only with `--check-version`: a conditional of the preprocessor asks for `systemtap_v`, so the script is another one with another `--compatible`, or elsewhere. Ask for what is needed instead, with `@defined`, `@probewrite` or an optional probe point (`?`).",
})
