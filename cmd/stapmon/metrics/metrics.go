// Package metrics makes metrics of what running scripts tell, for Prometheus.
package metrics

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"stapkit/feed"
)

// Source gives the state of a script.
type Source interface {
	Snapshot() (*feed.Snapshot, error)
}

// Script is a script with its name.
type Script struct {
	Name string
	PID  int
	Source
}

// Collector is a prometheus.Collector of scripts, which Find lists anew each time.
type Collector struct {
	Find func() []Script
	// Log is told of scripts that do not answer.
	Log func(error)

	mu sync.Mutex
}

// Describe sends nothing: which metrics there are depends on the scripts.
func (c *Collector) Describe(chan<- *prometheus.Desc) {}

// Collect asks all scripts.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.Find() {
		up := 1.0
		snap, err := s.Snapshot()
		if err != nil {
			up = 0
			if c.Log != nil {
				c.Log(fmt.Errorf("%s (process %d): %w", s.Name, s.PID, err))
			}
		}
		b := builder{out: out, labels: prometheus.Labels{"script": Name(s.Name), "pid": fmt.Sprint(s.PID)}}
		b.gauge("stapkit_up", "Whether the script answers.", up)
		if err == nil {
			b.snapshot(snap)
		}
	}
}

// Name is what a script is called in labels.
func Name(script string) string {
	base := filepath.Base(script)
	return strings.TrimSuffix(base, filepath.Ext(base))
}

type builder struct {
	out    chan<- prometheus.Metric
	labels prometheus.Labels
}

func (b *builder) metric(name, help string, kind prometheus.ValueType, v float64, labels, values []string) {
	d := prometheus.NewDesc(name, help, labels, b.labels)
	m, err := prometheus.NewConstMetric(d, kind, v, valid(values)...)
	if err != nil {
		m = prometheus.NewInvalidMetric(d, err)
	}
	b.out <- m
}

func (b *builder) gauge(name, help string, v float64) {
	b.metric(name, help, prometheus.GaugeValue, v, nil, nil)
}

// valid makes text UTF-8, which a traced program's names need not be.
func valid(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = strings.ToValidUTF8(v, "�")
	}
	return out
}

func (b *builder) snapshot(s *feed.Snapshot) {
	b.gauge("stapkit_uptime_seconds", "How long the script runs.", float64(s.Uptime)/1e9)
	b.metric("stapkit_errors_total", "Errors of handlers.", prometheus.CounterValue, float64(s.Counters.Errors), nil, nil)
	b.metric("stapkit_output_bytes_total", "What the script has printed.", prometheus.CounterValue, float64(s.Counters.Output), nil, nil)
	for cause, n := range s.Counters.Skipped {
		b.metric("stapkit_skipped_total", "Hits that were not handled.", prometheus.CounterValue, float64(n), []string{"cause"}, []string{cause})
	}
	for cause, n := range s.Counters.Dropped {
		b.metric("stapkit_dropped_total", "What was lost, or read while it changed.", prometheus.CounterValue, float64(n), []string{"cause"}, []string{cause})
	}
	// Probes of one place and point (several in one script) are one series.
	type key struct{ point, place string }
	hits, times := map[key]float64{}, map[key]float64{}
	var order []key
	for _, p := range s.Probes {
		k := key{p.Point, p.Place}
		if _, ok := hits[k]; !ok {
			order = append(order, k)
		}
		hits[k] += float64(p.Hits)
		times[k] += float64(p.Time) / 1e9
	}
	for _, k := range order {
		labels, values := []string{"probe", "place"}, []string{k.point, k.place}
		b.metric("stapkit_probe_hits_total", "How often a probe was hit.", prometheus.CounterValue, hits[k], labels, values)
		b.metric("stapkit_probe_seconds_total", "Time in the handlers of a probe.", prometheus.CounterValue, times[k], labels, values)
	}
	for i := range s.Globals {
		b.global(&s.Globals[i])
	}
}

// GlobalName is what a global's metric is called.
func GlobalName(g string) string {
	return "stapkit_global_" + strings.Map(func(c rune) rune {
		if c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return '_'
	}, g)
}

// Keys are the labels of an array's elements.
func Keys(g *feed.Global) []string {
	out := make([]string, len(g.Keys))
	for i := range out {
		out[i] = fmt.Sprintf("key%d", i+1)
	}
	return out
}

// Labels are those of one element.
func Labels(e *feed.Element) []string {
	out := make([]string, len(e.Keys))
	for i, k := range e.Keys {
		out[i] = k.String()
	}
	return out
}

func (b *builder) global(g *feed.Global) {
	name, keys := GlobalName(g.Name), Keys(g)
	help := "Global " + g.Name + " of the script."
	seen := map[string]bool{}
	for i := range g.Elements {
		e := &g.Elements[i]
		values := Labels(e)
		// Text that is not UTF-8 may have become the same.
		id := strings.Join(valid(values), "\x00")
		if seen[id] {
			continue
		}
		seen[id] = true
		switch {
		case e.Stat != nil:
			b.stat(name, help, keys, values, e.Stat)
		case e.Value != nil && e.Value.IsText:
			// As Prometheus has text: a label of a metric that is 1.
			b.metric(name+"_info", help, prometheus.GaugeValue, 1, append(keys[:len(keys):len(keys)], "value"), append(values, e.Value.Text))
		case e.Value != nil:
			b.metric(name, help, prometheus.GaugeValue, float64(e.Value.Number), keys, values)
		}
	}
}

// stat is a histogram where the script keeps one, else a summary with what there is.
func (b *builder) stat(name, help string, keys, values []string, s *feed.Stat) {
	sum := 0.0
	if s.Sum != nil {
		sum = float64(*s.Sum)
	}
	d := prometheus.NewDesc(name, help, keys, b.labels)
	if s.Hist != nil {
		buckets := map[float64]uint64{}
		var total uint64
		for _, k := range s.Hist.Buckets {
			total += uint64(max(k.Count, 0))
			if k.High != nil {
				buckets[float64(*k.High)] = total
			}
		}
		m, err := prometheus.NewConstHistogram(d, uint64(max(s.Count, 0)), sum, buckets, valid(values)...)
		if err != nil {
			m = prometheus.NewInvalidMetric(d, err)
		}
		b.out <- m
	} else {
		m, err := prometheus.NewConstSummary(d, uint64(max(s.Count, 0)), sum, nil, valid(values)...)
		if err != nil {
			m = prometheus.NewInvalidMetric(d, err)
		}
		b.out <- m
	}
	for _, x := range []struct {
		suffix string
		v      *int64
	}{{"_min", s.Min}, {"_max", s.Max}} {
		if x.v != nil {
			b.metric(name+x.suffix, help, prometheus.GaugeValue, float64(*x.v), keys, values)
		}
	}
}
