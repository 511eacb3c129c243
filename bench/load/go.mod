// The bench's load and sink.
module outrider/bench/load

go 1.25.7

require golang.org/x/net v0.47.0
