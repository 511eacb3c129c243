package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"time"
)

var errHTTP = errors.New("not an HTTP/1.1 message that load understands")

// head is the part of a message's first line and headers that matters here.
type head struct {
	first  []byte // valid until the next read
	length int    // 0 when not given
	gzip   bool
	close  bool
}

func readHead(r *bufio.Reader, first []byte) (head, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return head{}, err
	}
	h := head{first: append(first[:0], line...)}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return h, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return h, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch len(name) { // most headers are told apart by their length
		case len("content-length"):
			if bytes.EqualFold(name, []byte("content-length")) {
				if h.length, err = strconv.Atoi(string(value)); err != nil {
					return h, errHTTP
				}
			}
		case len("content-encoding"):
			if bytes.EqualFold(name, []byte("content-encoding")) {
				h.gzip = string(value) == "gzip"
			}
		case len("transfer-encoding"):
			if bytes.EqualFold(name, []byte("transfer-encoding")) {
				return h, errHTTP
			}
		case len("connection"):
			if bytes.EqualFold(name, []byte("connection")) {
				h.close = bytes.EqualFold(value, []byte("close"))
			}
		}
	}
}

// httpCaller is one keep-alive connection with one request at a time.
type httpCaller struct {
	address string
	conn    net.Conn
	reader  *bufio.Reader
	out     []byte
	first   []byte
	body    []byte
}

func (c *httpCaller) call(framed []byte) (string, error) {
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.address)
		if err != nil {
			return "", err
		}
		c.conn, c.reader = conn, bufio.NewReader(conn)
	}
	status, err := c.exchange(framed[framePrefix:])
	if err != nil {
		c.stop()
	}
	return status, err
}

func (c *httpCaller) exchange(body []byte) (string, error) {
	c.out = fmt.Appendf(c.out[:0], "POST /v1/traces HTTP/1.1\r\nHost: %s\r\nUser-Agent: OTel-OTLP-Exporter-Python/1.45.2\r\n"+
		"Accept-Encoding: identity\r\nAccept: */*\r\nConnection: keep-alive\r\n"+
		"Content-Type: application/x-protobuf\r\nContent-Length: %d\r\n\r\n", c.address, len(body))
	c.out = append(c.out, body...)
	if err := c.conn.SetDeadline(time.Now().Add(answerWait)); err != nil {
		return "", err
	}
	if _, err := c.conn.Write(c.out); err != nil {
		return "", err
	}
	answer, err := readHead(c.reader, c.first)
	if err != nil {
		return "", err
	}
	c.first = answer.first
	c.body = slices.Grow(c.body[:0], answer.length)[:answer.length]
	if _, err := io.ReadFull(c.reader, c.body); err != nil {
		return "", err
	}
	if len(answer.first) < 12 {
		return "", errHTTP
	}
	status := string(answer.first[9:12])
	if status == "200" && rejects(c.body) {
		status = partialSuccess
	}
	if answer.close {
		c.stop()
	}
	return status, nil
}

func (c *httpCaller) stop() {
	c.conn.Close()
	c.conn = nil
}

const httpAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"

// serveHTTP takes requests from one connection until it ends.
func serveHTTP(conn net.Conn, taker *taker) {
	defer conn.Close()
	reader := bufio.NewReaderSize(conn, 64<<10)
	var body, first []byte
	for {
		request, err := readHead(reader, first)
		if err != nil {
			return
		}
		first = request.first
		if cap(body) < request.length {
			body = make([]byte, request.length)
		}
		body = body[:request.length]
		if _, err := io.ReadFull(reader, body); err != nil {
			return
		}
		take(taker.of(string(first)), request.gzip, body)
		taker.wait()
		if _, err := conn.Write([]byte(httpAnswer)); err != nil || request.close {
			return
		}
	}
}
