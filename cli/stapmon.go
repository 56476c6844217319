package cli

// Stapmon is the stapmon command.
var Stapmon = &Command{
	Name:    "stapmon",
	Summary: "watch running SystemTap scripts, and carry bundles to hosts",
	Forms: []Form{
		{"stapmon top [options] [SCRIPT]", "Show a running script live in the terminal."},
		{"stapmon metrics [options] [SCRIPT ...]", "Serve the metrics of running scripts to Prometheus."},
		{"stapmon send --endpoint URL [SCRIPT ...]", "Send them to a collector of OpenTelemetry."},
		{"stapmon snapshot [SCRIPT ...]", "Print the state of running scripts as JSON."},
		{"stapmon read FILE [SCRIPT]", "Print what a procfs probe answers."},
		{"stapmon push BUNDLE REFERENCE", "Put a bundle into a registry of images."},
		{"stapmon pull [options] REFERENCE", "Get a bundle from a registry, and verify it."},
	},
	About: `stapmon turns what staprun --socket tells into what people and systems look at. SCRIPT is the path of a socket, or
the process id or name of a running script; without one, all sockets in /run/stapkit are meant.

A bundle in a registry is an artefact like an image: REFERENCE is HOST/NAME[:TAG], or with a digest for pull. The
signatures are in the bundle, so they travel with it, and pull verifies them against the allowed signers of this host
without asking anybody. Credentials are those that docker login or podman login has kept.`,
	Sections: []Section{
		{"Watching", []*Option{
			{Long: "interval", Arg: "SECONDS", Help: "top: the time between pictures (1); send: between messages (10), 0 once"},
			{Long: "output-fd", Arg: "N", Hidden: true, Help: "top: what the script prints comes from file descriptor N"},
			{Long: "listen", Arg: "ADDRESS", Help: "metrics: serve at ADDRESS (127.0.0.1:9839), path /metrics"},
			{Long: "once", Help: "metrics: print the text once instead of serving it"},
			{Long: "endpoint", Arg: "URL", Help: "send: the collector, as in http://HOST:4318/v1/metrics"},
		}},
		{"Registries", []*Option{
			{Long: "output", Short: "o", Arg: "FILE", Complete: Files, Help: "pull: write the bundle to FILE (default: the name that it had)"},
			{Long: "unverified", Help: "pull: keep the bundle whoever has signed it"},
			{Long: "plain-http", Help: "the registry speaks HTTP, not HTTPS"},
		}},
		{"Messages", []*Option{&helpOption, &versionOption}},
	},
	Exits:   []Entry{{"0", "done"}, {"1", "something failed"}, {"2", "wrong options"}, {"20-27", "pull: the verdict on the bundle, as staprun --verify has it"}},
	Files:   []Entry{{"/run/stapkit/*.sock", "sockets of running scripts"}},
	SeeAlso: []string{"staprun(8)", "stap(1)"},
}
