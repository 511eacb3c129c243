package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"

	"golang.org/x/net/http2/hpack"
)

// As much of HTTP/2 as two well-behaved peers of gRPC need (RFC 9113): no padding, no priority, no CONTINUATION.

const (
	preface      = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	largestFrame = 16 << 10
	framePrefix  = 5 // of a gRPC message: compressed or not, and its length

	frameData         = 0
	frameHeaders      = 1
	frameRST          = 3
	frameSettings     = 4
	framePing         = 6
	frameGoaway       = 7
	frameWindowUpdate = 8

	flagAck        = 1
	flagEndStream  = 1
	flagEndHeaders = 4
	flagPadded     = 8
	flagPriority   = 32

	settingTableSize     = 1
	settingInitialWindow = 4

	defaultWindow = 65535
)

var errHTTP2 = errors.New("not an HTTP/2 frame that load understands")

type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte // valid until the next read
}

func appendFrame(b []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	b = append(b, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

func appendWindowUpdate(b []byte, stream uint32, by int) []byte {
	return appendFrame(b, frameWindowUpdate, 0, stream, binary.BigEndian.AppendUint32(nil, uint32(by)))
}

func appendSetting(b []byte, id uint16, value uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(b, id), value)
}

// frames reads frames, and header blocks by the connection's table.
type frames struct {
	reader *bufio.Reader
	buffer []byte
	table  *hpack.Decoder
}

func newFrames(conn net.Conn) *frames {
	return &frames{bufio.NewReaderSize(conn, 64<<10), make([]byte, largestFrame), hpack.NewDecoder(4096, nil)}
}

func (f *frames) next() (frame, error) {
	start, err := f.reader.Peek(9)
	if err != nil {
		return frame{}, err
	}
	size := int(start[0])<<16 | int(start[1])<<8 | int(start[2])
	read := frame{kind: start[3], flags: start[4], stream: binary.BigEndian.Uint32(start[5:9]) & 0x7fffffff}
	f.reader.Discard(9)
	if size > len(f.buffer) {
		return read, errHTTP2
	}
	read.payload = f.buffer[:size]
	_, err = io.ReadFull(f.reader, read.payload)
	return read, err
}

// fields reads a header block.
func (f *frames) fields(read frame, found func(hpack.HeaderField)) error {
	if read.flags&flagEndHeaders == 0 || read.flags&(flagPadded|flagPriority) != 0 {
		return errHTTP2
	}
	f.table.SetEmitFunc(found)
	if _, err := f.table.Write(read.payload); err != nil {
		return err
	}
	return f.table.Close()
}

func eachSetting(payload []byte, found func(id uint16, value uint32)) {
	for ; len(payload) >= 6; payload = payload[6:] {
		found(binary.BigEndian.Uint16(payload), binary.BigEndian.Uint32(payload[2:]))
	}
}

func windowUpdate(payload []byte) int {
	if len(payload) != 4 {
		return 0
	}
	return int(binary.BigEndian.Uint32(payload) & 0x7fffffff)
}

// headerBlock writes header blocks by the connection's table.
type headerBlock struct {
	encoder *hpack.Encoder
	buffer  *bytes.Buffer
}

func newHeaderBlock() headerBlock {
	buffer := &bytes.Buffer{}
	return headerBlock{hpack.NewEncoder(buffer), buffer}
}

// encode takes names and values in turn. The block is valid until the next call.
func (h headerBlock) encode(fields ...string) []byte {
	h.buffer.Reset()
	for i := 0; i < len(fields); i += 2 {
		h.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return h.buffer.Bytes()
}
