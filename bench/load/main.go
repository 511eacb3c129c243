// Command load offers OTLP traces (`send`) and takes them (`sink`). Both print one line of JSON on standard output. Every
// span has a number of its own, so that the sink can tell what arrived, what did not and what arrived twice.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "send":
			exit(send(os.Args[2:]))
		case "sink":
			exit(sink(os.Args[2:]))
		}
	}
	fmt.Fprintln(os.Stderr, "load send|sink, each with -h")
	os.Exit(2)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
