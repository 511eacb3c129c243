package main

import (
	"io"
	"net"
	"sync"

	"golang.org/x/net/http2/hpack"
)

const (
	sinkStreamWindow = 1 << 20
	sinkConnWindow   = 16 << 20
)

// grpcServed is one connection to the sink.
type grpcServed struct {
	conn    net.Conn
	taker   *taker
	streams map[uint32]*incoming
	owed    int // bytes of the connection's window to give back

	mu    sync.Mutex // for what is written
	block headerBlock
}

type incoming struct {
	kind *later
	body []byte
	owed int
}

// serveGRPC takes calls from one connection until it ends.
func serveGRPC(conn net.Conn, taker *taker) {
	defer conn.Close()
	s := &grpcServed{conn: conn, taker: taker, streams: map[uint32]*incoming{}, block: newHeaderBlock()}
	frames := newFrames(conn)
	if start, err := frames.reader.Peek(len(preface)); err != nil || string(start) != preface {
		return
	}
	frames.reader.Discard(len(preface))
	hello := appendFrame(nil, frameSettings, 0, 0, appendSetting(nil, settingInitialWindow, sinkStreamWindow))
	s.write(appendWindowUpdate(hello, 0, sinkConnWindow-defaultWindow))
	for {
		read, err := frames.next()
		if err == nil {
			err = s.take(frames, read)
		}
		if err != nil {
			return
		}
	}
}

func (s *grpcServed) write(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn.Write(b) // where it fails, reading does too
}

func (s *grpcServed) take(frames *frames, read frame) error {
	stream := s.streams[read.stream]
	switch read.kind {
	case frameHeaders:
		stream = &incoming{}
		s.streams[read.stream] = stream
		err := frames.fields(read, func(field hpack.HeaderField) {
			if field.Name == ":path" {
				stream.kind = s.taker.of(field.Value)
			}
		})
		if err != nil {
			return err
		}
	case frameData:
		if stream == nil || read.flags&flagPadded != 0 {
			return errHTTP2
		}
		stream.body = append(stream.body, read.payload...)
		s.giveBack(read, stream)
	case frameRST:
		delete(s.streams, read.stream)
	case frameSettings:
		if read.flags&flagAck == 0 {
			eachSetting(read.payload, func(id uint16, value uint32) {
				if id == settingTableSize {
					s.block.encoder.SetMaxDynamicTableSizeLimit(value)
				}
			})
			s.write(appendFrame(nil, frameSettings, flagAck, 0, nil))
		}
	case framePing:
		if read.flags&flagAck == 0 {
			s.write(appendFrame(nil, framePing, flagAck, 0, read.payload))
		}
	case frameGoaway:
		return io.EOF
	}
	if stream != nil && read.flags&flagEndStream != 0 && read.kind <= frameHeaders {
		delete(s.streams, read.stream)
		if len(stream.body) < framePrefix {
			return errHTTP2
		}
		take(stream.kind, stream.body[0] == 1, stream.body[framePrefix:])
		s.taker.after(func() { s.answer(read.stream) })
	}
	return nil
}

func (s *grpcServed) giveBack(read frame, stream *incoming) {
	var out []byte
	s.owed += len(read.payload)
	stream.owed += len(read.payload)
	if s.owed >= sinkConnWindow/2 {
		out = appendWindowUpdate(out, 0, s.owed)
		s.owed = 0
	}
	if stream.owed >= sinkStreamWindow/2 && read.flags&flagEndStream == 0 {
		out = appendWindowUpdate(out, read.stream, stream.owed)
		stream.owed = 0
	}
	if out != nil {
		s.write(out)
	}
}

// answer sends an empty response and OK.
func (s *grpcServed) answer(id uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := appendFrame(nil, frameHeaders, flagEndHeaders, id, s.block.encode(":status", "200", "content-type", "application/grpc"))
	out = appendFrame(out, frameData, 0, id, make([]byte, framePrefix))
	trailers := s.block.encode("grpc-status", "0", "grpc-message", "")
	s.conn.Write(appendFrame(out, frameHeaders, flagEndHeaders|flagEndStream, id, trailers))
}
