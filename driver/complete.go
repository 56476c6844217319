package driver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"stapkit/query"
	"stapkit/target"
)

// completePoint is --complete: what a probe point can become, one to a line, for the
// completion scripts of shells. A shell replaces the whole word, so each line is one.
func (s *stap) completePoint(ctx context.Context) int {
	o := s.o
	if err := s.target(); err != nil {
		return s.fail(err)
	}
	defer s.close()
	var tgt *target.Target
	if len(s.targets) > 0 {
		tgt = s.targets[0]
	}
	env, err := query.Open(query.Config{Target: tgt, Includes: o.TapsetDirs, Guru: o.Guru, Command: o.Command, PID: o.PID})
	if err != nil {
		return s.fail(err)
	}
	defer env.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, w := range pointsFrom(ctx, env, o.Complete) {
		fmt.Fprintln(s.stdout, w)
	}
	return 0
}

// pointsFrom gives the probe points, or beginnings of some, that a word can become.
func pointsFrom(ctx context.Context, env *query.Env, word string) []string {
	const head = "probe "
	text := head + word
	c := env.Snapshot(InputName, []byte(text)).Complete(ctx, len(text))
	if c == nil {
		return nil
	}
	var out []string
	for _, it := range c.Items {
		switch it.Kind {
		case query.PointItem, query.EventItem, query.KernelItem, query.FileItem, query.FolderItem:
		default:
			continue
		}
		insert := it.Insert
		if insert == "" {
			insert = it.Label
		}
		if it.Snippet {
			// Up to where something has to be filled in.
			insert, _, _ = strings.Cut(insert, "$")
			insert = strings.ReplaceAll(insert, `\`, "")
		}
		w := text[len(head):max(c.Start, len(head))] + insert
		if strings.HasPrefix(w, word) && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}
