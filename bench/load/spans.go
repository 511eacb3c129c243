package main

import (
	"encoding/binary"
	"fmt"
	"math/rand"
)

// A span's id is its number, from 1 (an id of zeros is none), mixed by a bijection (splitmix64's finalizer) so that it compresses as badly as a real one.

func mix(v uint64) uint64 {
	v ^= v >> 30
	v *= 0xbf58476d1ce4e5b9
	v ^= v >> 27
	v *= 0x94d049bb133111eb
	return v ^ v>>31
}

func unmix(v uint64) uint64 {
	v ^= v>>31 ^ v>>62
	v *= 0x319642b2d24d8ec3
	v ^= v>>27 ^ v>>54
	v *= 0x96de1b173f119089
	return v ^ v>>30 ^ v>>60
}

const (
	spansPerTrace = 5
	epoch         = 1785000000000000000
)

// template is a request of a fixed number of spans, and where in it the parts stand that differ from request to request.
type template struct {
	body  []byte
	spans []places
}

type places struct{ trace, span, parent, start, end int }

// fill writes ids and times for spans numbered from first into a copy of the template's body.
func (t *template) fill(body []byte, first uint64) {
	for i, at := range t.spans {
		number := first + uint64(i)
		trace := number / spansPerTrace
		id := mix(number)
		start := epoch + number*1000 + id%1_000_000
		binary.BigEndian.PutUint64(body[at.trace:], mix(trace+1<<40))
		binary.BigEndian.PutUint64(body[at.trace+8:], mix(trace+1<<41))
		binary.BigEndian.PutUint64(body[at.span:], id)
		binary.BigEndian.PutUint64(body[at.parent:], mix(number+1<<42))
		binary.LittleEndian.PutUint64(body[at.start:], start)
		binary.LittleEndian.PutUint64(body[at.end:], start+id%100_000_000)
	}
}

// templates makes requests that differ in their attributes, together about 4,000 spans: a batch that joins small requests
// must not compress as if they were one. A span takes about 357 bytes.
func templates(spans int) []*template {
	made := make([]*template, min(64, max(8, 4096/spans)))
	for i := range made {
		made[i] = request(rand.New(rand.NewSource(int64(i))), spans)
	}
	return made
}

var resource = [][2]any{
	{"service.name", "checkout"},
	{"service.version", "1.14.2"},
	{"service.instance.id", "7f1a0c3e-9be2-4a53-a4b2-aa1b0cb10b5e"},
	{"telemetry.sdk.name", "opentelemetry"},
	{"telemetry.sdk.language", "python"},
	{"telemetry.sdk.version", "1.45.2"},
	{"host.name", "ip-10-0-3-17.ec2.internal"},
	{"process.pid", 4821},
	{"process.runtime.name", "cpython"},
	{"deployment.environment.name", "production"},
}

var scopes = []string{
	"opentelemetry.instrumentation.aiohttp_server",
	"opentelemetry.instrumentation.psycopg",
	"opentelemetry.instrumentation.redis",
}

func request(random *rand.Rand, spans int) *template {
	made := &template{spans: make([]places, 0, spans)}
	within := appendField(nil, 1, attributes(nil, 1, resource))
	// Where a span's parts stand is known when all that is around it is written: its id is looked for then.
	const mark = 0x6f75747269646572
	number := 0
	for s := range scopes[:min(spans, len(scopes))] {
		scope := appendField(appendField(nil, 1, []byte(scopes[s])), 2, []byte("0.66b2"))
		group := appendField(nil, 1, scope)
		for i := s; i < spans; i += len(scopes) {
			group = appendField(group, 2, span(random, i, mark+uint64(number)))
			number++
		}
		within = appendField(within, 2, group)
	}
	made.body = appendField(nil, 1, within)
	at := 0
	for i := range number {
		for binary.BigEndian.Uint64(made.body[at:]) != mark+uint64(i) {
			at++
		}
		// trace_id, span_id, parent_span_id as span writes them: 2 bytes of key and length before each.
		made.spans = append(made.spans, places{trace: at, span: at + 18, parent: at + 28, start: at + 37, end: at + 46})
	}
	return made
}

// span begins with its ids and times, each at a fixed distance from the mark in its trace id.
func span(random *rand.Rand, i int, mark uint64) []byte {
	b := appendField(nil, 1, binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, mark), 0))
	b = appendField(b, 2, make([]byte, 8))
	b = appendField(b, 4, make([]byte, 8))
	b = append(append(b, 7<<3|1), make([]byte, 8)...)
	b = append(append(b, 8<<3|1), make([]byte, 8)...)
	switch i % 3 {
	case 0:
		b = appendInt(appendField(b, 5, []byte("GET /api/v1/orders/{order_id}")), 6, 2)
		b = attributes(b, 9, [][2]any{
			{"http.request.method", "GET"},
			{"url.path", fmt.Sprintf("/api/v1/orders/%d", random.Intn(10_000_000))},
			{"http.route", "/api/v1/orders/{order_id}"},
			{"http.response.status_code", 200},
			{"server.address", "orders.internal"},
			{"server.port", 8080},
			{"user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) Chrome/126.0"},
			{"client.address", fmt.Sprintf("10.0.%d.%d", random.Intn(255), random.Intn(255))},
			{"network.protocol.version", "1.1"},
		})
	case 1:
		b = appendInt(appendField(b, 5, []byte("SELECT orders")), 6, 3)
		b = attributes(b, 9, [][2]any{
			{"db.system.name", "postgresql"},
			{"db.namespace", "orders"},
			{"db.query.text", "SELECT id, status, total, created_at FROM orders WHERE id = $1 AND tenant_id = $2"},
			{"db.operation.name", "SELECT"},
			{"server.address", "pg-0.db.internal"},
			{"server.port", 5432},
		})
	default:
		b = appendInt(appendField(b, 5, []byte("GET")), 6, 3)
		b = attributes(b, 9, [][2]any{
			{"db.system.name", "redis"},
			{"db.operation.name", "GET"},
			{"server.address", "redis.internal"},
			{"server.port", 6379},
			{"db.redis.key", fmt.Sprintf("session:%016x%016x", random.Uint64(), random.Uint64())},
			{"net.peer.name", "redis-master-0"},
		})
	}
	if i%10 == 0 {
		event := appendField(nil, 2, []byte("cache.miss"))
		b = appendField(b, 11, attributes(event, 3, [][2]any{{"key", fmt.Sprintf("user:%d", random.Intn(100_000))}}))
	}
	status := []byte{}
	if i%50 == 0 {
		status = appendInt(appendField(nil, 2, []byte("timeout")), 3, 2)
	}
	b = appendField(b, 15, status)
	return binary.LittleEndian.AppendUint32(appendVarint(b, 16<<3|5), 257)
}

// attributes appends KeyValues as field number; values are strings and ints.
func attributes(b []byte, number int, pairs [][2]any) []byte {
	for _, pair := range pairs {
		var value []byte
		switch v := pair[1].(type) {
		case string:
			value = appendField(nil, 1, []byte(v))
		case int:
			value = appendInt(nil, 3, uint64(v))
		}
		b = appendField(b, number, appendField(appendField(nil, 1, []byte(pair[0].(string))), 2, value))
	}
	return b
}
