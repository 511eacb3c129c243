package main

import "errors"

var errMalformed = errors.New("not a protobuf message")

func appendVarint(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// appendField appends a length-delimited field.
func appendField(b []byte, number int, value []byte) []byte {
	b = appendVarint(b, uint64(number)<<3|2)
	b = appendVarint(b, uint64(len(value)))
	return append(b, value...)
}

func appendInt(b []byte, number int, value uint64) []byte {
	return appendVarint(appendVarint(b, uint64(number)<<3), value)
}

func varint(b []byte, at int) (uint64, int, error) {
	var v uint64
	for shift := 0; shift < 64 && at < len(b); shift += 7 {
		c := b[at]
		at++
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, at, nil
		}
	}
	return 0, 0, errMalformed
}

// each calls found with every length-delimited field of a message.
func each(b []byte, found func(number int, value []byte) error) error {
	for at := 0; at < len(b); {
		key, next, err := varint(b, at)
		if err != nil {
			return err
		}
		at = next
		switch key & 7 {
		case 0:
			if _, at, err = varint(b, at); err != nil {
				return err
			}
		case 1:
			at += 8
		case 5:
			at += 4
		case 2:
			size, start, err := varint(b, at)
			if err != nil || size > uint64(len(b)-start) {
				return errMalformed
			}
			at = start + int(size)
			if err := found(int(key>>3), b[start:at]); err != nil {
				return err
			}
		default:
			return errMalformed
		}
		if at > len(b) {
			return errMalformed
		}
	}
	return nil
}

const partialSuccess = "partial success"

// rejects tells whether an ExportTraceServiceResponse says that something was not accepted. An empty partial_success, which
// the Collector sends, says nothing.
func rejects(response []byte) bool {
	said := false
	err := each(response, func(number int, value []byte) error {
		said = said || len(value) > 0
		return nil
	})
	return said || err != nil
}
