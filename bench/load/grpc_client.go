package main

import (
	"errors"
	"net"
	"strconv"
	"sync"

	"golang.org/x/net/http2/hpack"
)

const exportPath = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

var grpcCodes = []string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
	"DATA_LOSS", "UNAUTHENTICATED",
}

var errGone = errors.New("the connection ended before the answer")

// grpcConn is a connection that streams share. It is opened when there is none.
type grpcConn struct {
	address string

	mu      sync.Mutex
	changed *sync.Cond // a window has grown, the peer's settings have come, a stream or the connection has ended
	conn    net.Conn
	ready   bool // the peer's settings are known
	streams map[uint32]*grpcStream
	next    uint32
	window  int
	initial int
	out     []byte
	block   headerBlock
}

// grpcStream is one call after the other.
type grpcStream struct {
	conn   *grpcConn
	window int
	answer []byte // a message with its prefix
	code   string
	ended  bool
	done   chan error
}

func newGrpcConn(address string) *grpcConn {
	c := &grpcConn{address: address}
	c.changed = sync.NewCond(&c.mu)
	return c
}

func (c *grpcConn) caller() *grpcStream { return &grpcStream{conn: c, done: make(chan error, 1)} }

// call answers "200" for OK, else the code's name.
func (s *grpcStream) call(framed []byte) (string, error) {
	if err := s.conn.send(s, framed); err != nil {
		return "", err
	}
	if err := <-s.done; err != nil {
		return "", err
	}
	code, err := strconv.Atoi(s.code)
	switch {
	case err != nil || code >= len(grpcCodes):
		return "no grpc-status", nil
	case code > 0:
		return grpcCodes[code], nil
	case len(s.answer) > framePrefix && rejects(s.answer[framePrefix:]):
		return partialSuccess, nil
	}
	return "200", nil
}

func (c *grpcConn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		c.conn.Close()
	}
}

// open is called with the lock held.
func (c *grpcConn) open() error {
	conn, err := net.Dial("tcp", c.address)
	if err != nil {
		return err
	}
	if _, err := conn.Write(appendFrame([]byte(preface), frameSettings, 0, 0, nil)); err != nil {
		conn.Close()
		return err
	}
	c.conn, c.ready, c.streams, c.next = conn, false, map[uint32]*grpcStream{}, 1
	c.window, c.initial = defaultWindow, defaultWindow
	c.block = newHeaderBlock()
	go c.read(conn)
	return nil
}

// send writes a message as fast as the windows allow. Once the stream is known, whatever happens comes through its channel.
func (c *grpcConn) send(stream *grpcStream, framed []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		if err := c.open(); err != nil {
			return err
		}
	}
	conn := c.conn
	for !c.ready && c.conn == conn {
		c.changed.Wait()
	}
	if c.conn != conn {
		return errGone
	}
	id := c.next
	c.next += 2
	stream.window, stream.answer, stream.code, stream.ended = c.initial, stream.answer[:0], "", false
	c.streams[id] = stream
	c.out = appendFrame(c.out[:0], frameHeaders, flagEndHeaders, id, c.requestHeaders())
	for !stream.ended {
		size := min(len(framed), largestFrame, c.window, stream.window)
		if size <= 0 {
			c.flush(conn)
			c.changed.Wait()
			continue
		}
		flags := byte(0)
		if size == len(framed) {
			flags = flagEndStream
		}
		c.out = appendFrame(c.out, frameData, flags, id, framed[:size])
		c.window -= size
		stream.window -= size
		if framed = framed[size:]; len(framed) == 0 {
			break
		}
	}
	c.flush(conn)
	return nil
}

// flush is called with the lock held. A connection that cannot be written to is closed, and its reader tells.
func (c *grpcConn) flush(conn net.Conn) {
	if c.conn == conn && len(c.out) > 0 {
		if _, err := conn.Write(c.out); err != nil {
			conn.Close()
		}
	}
	c.out = c.out[:0]
}

func (c *grpcConn) requestHeaders() []byte {
	return c.block.encode(
		":method", "POST", ":scheme", "http", ":path", exportPath, ":authority", c.address, "te", "trailers",
		"content-type", "application/grpc", "user-agent", "OTel-OTLP-Exporter-Python/1.45.2 grpc-python/1.85.1",
	)
}

// read takes answers until the connection ends, then ends every stream on it.
func (c *grpcConn) read(conn net.Conn) {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		conn.Close()
		c.conn = nil
		c.changed.Broadcast()
		for id, stream := range c.streams {
			c.end(id, stream, errGone)
		}
	}()
	frames := newFrames(conn)
	for {
		read, err := frames.next()
		if err == nil {
			c.mu.Lock()
			err = c.take(conn, frames, read)
			c.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

func (c *grpcConn) end(id uint32, stream *grpcStream, err error) {
	delete(c.streams, id)
	stream.ended = true
	stream.done <- err
	c.changed.Broadcast()
}

// take is called with the lock held.
func (c *grpcConn) take(conn net.Conn, frames *frames, read frame) error {
	stream := c.streams[read.stream]
	switch read.kind {
	case frameHeaders:
		err := frames.fields(read, func(field hpack.HeaderField) {
			if stream != nil && field.Name == "grpc-status" {
				stream.code = field.Value
			}
		})
		if err != nil {
			return err
		}
	case frameData:
		if stream != nil {
			stream.answer = append(stream.answer, read.payload...)
		}
		if size := len(read.payload); size > 0 { // answers are a few bytes: no use in saving these up
			conn.Write(appendWindowUpdate(nil, 0, size))
		}
	case frameRST:
		if stream != nil {
			c.end(read.stream, stream, errors.New("the stream was reset"))
		}
	case frameSettings:
		c.settings(conn, read)
	case framePing:
		if read.flags&flagAck == 0 {
			conn.Write(appendFrame(nil, framePing, flagAck, 0, read.payload))
		}
	case frameGoaway:
		return errGone
	case frameWindowUpdate:
		by := windowUpdate(read.payload)
		if read.stream == 0 {
			c.window += by
		} else if stream != nil {
			stream.window += by
		}
		c.changed.Broadcast()
	}
	if stream != nil && !stream.ended && (read.kind == frameHeaders || read.kind == frameData) && read.flags&flagEndStream != 0 {
		c.end(read.stream, stream, nil)
	}
	return nil
}

func (c *grpcConn) settings(conn net.Conn, read frame) {
	if read.flags&flagAck != 0 {
		return
	}
	eachSetting(read.payload, func(id uint16, value uint32) {
		switch id {
		case settingTableSize:
			c.block.encoder.SetMaxDynamicTableSizeLimit(value)
		case settingInitialWindow:
			for _, stream := range c.streams {
				stream.window += int(value) - c.initial
			}
			c.initial = int(value)
		}
	})
	conn.Write(appendFrame(nil, frameSettings, flagAck, 0, nil))
	c.ready = true
	c.changed.Broadcast()
}
