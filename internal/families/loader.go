package families

// Loader are scripts of the families that the loader carries, run by stap -m with the
// name of the script.
var Loader = append([]Script{
	{Name: "l_order",
		Text: `probe begin(3) { println("begin 3"); exit() } probe begin { println("begin") } probe begin(-1) { println("begin -1") }
probe end(2) { println("end 2") } probe end { println("end") } probe never { println("never") } probe error { println("error") } probe error(1) { println("error 1") }`,
		Want: "begin -1\nbegin\nbegin 3\nend\nend 2\n"},
	{Name: "l_error", Code: 1, Err: "ERROR: stop",
		Text: `probe begin { error("stop") } probe end { println("end") } probe error(1) { println("error 1") } probe error { println("error") }`,
		Want: "error\nerror 1\n"},
	{Name: "l_oneshot", Text: `probe oneshot { println("once") } probe end { println("end") }`, Want: "once\nend\n"},
	{Name: "l_lines", Input: "one\ntwo words\nlast\nunfinished",
		Text: `probe input.line { n++; printf("%d <%s>\n", n, text_str(line)); if (n == 3) exit() } global n`,
		Want: "1 <one\\n>\n2 <two words\\n>\n3 <last\\n>\n"},
	{Name: "l_chars", Input: "ab\nc",
		Text: `probe input.char { n++; printf("%s.", text_str(char)); if (n == 4) exit() } global n`,
		Want: "a.b.\\n.c."},
	{Name: "l_procfs", Args: []string{"-c", `sh -c 'cd /run/stapkit/l_procfs; for f in a b c d command; do test -r $f && echo $f $(stat -c %a $f) $(cat $f); done; for f in g h i command; do echo $f > $f; done; stat -c "%n %a" g h i'`},
		Text: `global got
probe procfs("a").read { $value = "A" }
probe procfs("b").read.maxsize(4096) { $value = "B" }
probe procfs("c").umask(077).read { $value = "C" }
probe procfs("d").umask(007).read.maxsize(64) { $value = "D" }
probe procfs.read { $value = "own" }
probe procfs("g").write { got .= $value }
probe procfs("h").umask(022).write { got .= $value }
probe procfs("i").umask(077).write { got .= $value }
probe procfs.write { got .= $value }
probe end { print(got) }`,
		Want: "a 400 A\nb 400 B\nc 400 C\nd 440 D\ncommand 600 own\ng 200\nh 200\ni 200\ng\nh\ni\ncommand\n"},
}, ownProcfs()...)

// ownProcfs are scripts of the file that a path is not given of: of one path there is one
// probe that is read and one that is written.
func ownProcfs() []Script {
	var out []Script
	for _, c := range []struct{ name, read, write string }{
		{"l_procfs_read", "procfs.umask(077).read", "procfs.umask(077).write"},
		{"l_procfs_size", "procfs.read.maxsize(64)", "procfs.umask(077).write"},
		{"l_procfs_both", "procfs.umask(077).read.maxsize(64)", "procfs.write"},
	} {
		out = append(out, Script{Name: c.name, Args: []string{"-c", "sh -c 'cd /run/stapkit/" + c.name + "; cat command; echo new > command; cat command'"},
			Text: "global v probe begin { v = \"old\\n\" } probe " + c.read + " { $value = v } probe " + c.write + " { v = $value }",
			Want: "old\nnew\n"})
	}
	return out
}

// Timers counts timers and the profiler, each of which goes off at least so often.
func Timers() *Batch {
	b := &Batch{Name: "timers", More: "probe timer.ms(2400) { exit() }\n"}
	for _, t := range []struct {
		unit   string
		n      string
		spread string
	}{
		{"s", "1", "1"}, {"sec", "1", "1"}, {"ms", "200", "50"}, {"msec", "200", "50"}, {"us", "100000", "5000"}, {"usec", "100000", "5000"},
		{"ns", "100000000", "5000000"}, {"nsec", "100000000", "5000000"}, {"jiffies", "50", "10"},
	} {
		at := "timer." + t.unit + "(" + t.n + ")"
		b.Points = append(b.Points, Point{at, "", 1, true}, Point{at + ".randomize(" + t.spread + ")", "", 1, true})
	}
	b.Points = append(b.Points,
		Point{"timer.hz(10)", "", 2, true}, Point{"timer.profile", "", 2, true}, Point{"timer.profile.tick", "", 2, true},
		Point{"timer.profile.freq.hz(97)", "", 2, true})
	return b
}
