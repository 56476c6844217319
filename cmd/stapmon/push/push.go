// Package push sends what running scripts tell to a collector of OpenTelemetry, by its
// protocol over HTTP.
package push

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"

	"stapkit/cmd/stapmon/metrics"
	"stapkit/feed"
)

// Run pushes at each interval until the context ends, and once more then. With an
// interval of 0 it pushes once. The endpoint is the URL of the collector.
func Run(ctx context.Context, endpoint string, interval time.Duration, find func() []metrics.Script, log func(error)) error {
	exporter, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(endpoint))
	if err != nil {
		return fmt.Errorf("%s: %w", endpoint, err)
	}
	reader := metric.NewManualReader(metric.WithProducer(&producer{find: find, log: log, begun: time.Now()}))
	provider := metric.NewMeterProvider(metric.WithReader(reader), metric.WithResource(resource.NewSchemaless(
		attribute.String("service.name", "stapkit"),
	)))
	once := func(ctx context.Context) error {
		var data metricdata.ResourceMetrics
		if err := reader.Collect(ctx, &data); err != nil {
			return err
		}
		return exporter.Export(ctx, &data)
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		// The process ends; there is nothing left to lose.
		_ = provider.Shutdown(end)
		_ = exporter.Shutdown(end)
	}()
	if interval <= 0 {
		return once(ctx)
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := once(ctx); err != nil && ctx.Err() == nil {
			log(err) // the collector may come back
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			return once(end)
		}
	}
}

// producer makes OpenTelemetry's metrics of snapshots.
type producer struct {
	find  func() []metrics.Script
	log   func(error)
	mu    sync.Mutex
	begun time.Time
}

// Produce implements metric.Producer.
func (p *producer) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &builder{now: time.Now(), index: map[string]int{}}
	for _, s := range p.find() {
		b.script = []attribute.KeyValue{attribute.String("script", metrics.Name(s.Name)), attribute.Int("pid", s.PID)}
		snap, err := s.Snapshot()
		if err != nil {
			p.log(fmt.Errorf("%s (process %d): %w", s.Name, s.PID, err))
			b.gauge("stapkit.up", "", "Whether the script answers.", 0)
			continue
		}
		b.gauge("stapkit.up", "", "Whether the script answers.", 1)
		b.snapshot(snap)
	}
	return []metricdata.ScopeMetrics{{Scope: instrumentation.Scope{Name: "stapkit"}, Metrics: b.list}}, nil
}

type builder struct {
	now    time.Time
	start  time.Time
	script []attribute.KeyValue
	list   []metricdata.Metrics
	index  map[string]int
}

func (b *builder) attrs(more []attribute.KeyValue) attribute.Set {
	return attribute.NewSet(append(b.script[:len(b.script):len(b.script)], more...)...)
}

func (b *builder) metric(name, unit, help string, fresh metricdata.Aggregation) *metricdata.Metrics {
	i, ok := b.index[name]
	if !ok {
		i = len(b.list)
		b.index[name] = i
		b.list = append(b.list, metricdata.Metrics{Name: name, Unit: unit, Description: help, Data: fresh})
	}
	return &b.list[i]
}

func (b *builder) gauge(name, unit, help string, v int64, more ...attribute.KeyValue) {
	m := b.metric(name, unit, help, metricdata.Gauge[int64]{})
	if g, ok := m.Data.(metricdata.Gauge[int64]); ok {
		g.DataPoints = append(g.DataPoints, metricdata.DataPoint[int64]{Attributes: b.attrs(more), StartTime: b.start, Time: b.now, Value: v})
		m.Data = g
	}
}

func (b *builder) counter(name, unit, help string, v int64, more ...attribute.KeyValue) {
	m := b.metric(name, unit, help, metricdata.Sum[int64]{Temporality: metricdata.CumulativeTemporality, IsMonotonic: true})
	if c, ok := m.Data.(metricdata.Sum[int64]); ok {
		c.DataPoints = append(c.DataPoints, metricdata.DataPoint[int64]{Attributes: b.attrs(more), StartTime: b.start, Time: b.now, Value: v})
		m.Data = c
	}
}

func (b *builder) snapshot(s *feed.Snapshot) {
	b.start = b.now.Add(-time.Duration(s.Uptime))
	b.counter("stapkit.errors", "{error}", "Errors of handlers.", int64(s.Counters.Errors))
	b.counter("stapkit.output", "By", "What the script has printed.", int64(s.Counters.Output))
	for cause, n := range s.Counters.Skipped {
		b.counter("stapkit.skipped", "{hit}", "Hits that were not handled.", int64(n), attribute.String("cause", cause))
	}
	for cause, n := range s.Counters.Dropped {
		b.counter("stapkit.dropped", "{item}", "What was lost, or read while it changed.", int64(n), attribute.String("cause", cause))
	}
	for _, p := range s.Probes {
		at := []attribute.KeyValue{attribute.String("probe", text(p.Point)), attribute.String("place", text(p.Place))}
		b.counter("stapkit.probe.hits", "{hit}", "How often a probe was hit.", int64(p.Hits), at...)
		b.counter("stapkit.probe.time", "ns", "Time in the handlers of a probe.", int64(p.Time), at...)
	}
	for i := range s.Globals {
		g := &s.Globals[i]
		name, keys := "stapkit.global."+g.Name, metrics.Keys(g)
		help := "Global " + g.Name + " of the script."
		for j := range g.Elements {
			e := &g.Elements[j]
			var at []attribute.KeyValue
			for k, v := range metrics.Labels(e) {
				at = append(at, attribute.String(keys[k], text(v)))
			}
			switch {
			case e.Stat != nil:
				b.stat(name, help, e.Stat, at)
			case e.Value != nil && e.Value.IsText:
				b.gauge(name+".info", "", help, 1, append(at, attribute.String("value", text(e.Value.Text)))...)
			case e.Value != nil:
				b.gauge(name, "", help, e.Value.Number, at...)
			}
		}
	}
}

func (b *builder) stat(name, help string, s *feed.Stat, at []attribute.KeyValue) {
	point := metricdata.HistogramDataPoint[int64]{Attributes: b.attrs(at), StartTime: b.start, Time: b.now, Count: uint64(max(s.Count, 0))}
	if s.Sum != nil {
		point.Sum = *s.Sum
	}
	if s.Min != nil {
		point.Min = metricdata.NewExtrema(*s.Min)
	}
	if s.Max != nil {
		point.Max = metricdata.NewExtrema(*s.Max)
	}
	rest := point.Count
	if s.Hist != nil {
		for _, k := range s.Hist.Buckets {
			n := uint64(max(k.Count, 0))
			if k.High == nil || n > rest {
				continue // the last one, without a bound
			}
			point.Bounds = append(point.Bounds, float64(*k.High))
			point.BucketCounts = append(point.BucketCounts, n)
			rest -= n
		}
	}
	point.BucketCounts = append(point.BucketCounts, rest)
	m := b.metric(name, "", help, metricdata.Histogram[int64]{Temporality: metricdata.CumulativeTemporality})
	if h, ok := m.Data.(metricdata.Histogram[int64]); ok {
		h.DataPoints = append(h.DataPoints, point)
		m.Data = h
	}
}

// text makes text UTF-8, as the protocol wants it.
func text(s string) string { return strings.ToValidUTF8(s, "�") }
