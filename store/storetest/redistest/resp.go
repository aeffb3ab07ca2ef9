package redistest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// readMessage appends the next message of either version of the protocol to a buffer, as it is.
func readMessage(r *bufio.Reader, to []byte) ([]byte, error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	to = append(to, line...)
	parts := 0
	switch line[0] {
	case '+', '-', ':', ',', '_', '#', '(':
		return to, nil
	case '$', '=', '!':
		return readBulk(r, to, line)
	case '*', '~', '>':
		parts, err = size(line)
	case '%':
		parts, err = size(line)
		parts *= 2
	case '|': // stands before a message
		parts, err = size(line)
		parts = 2*parts + 1
	default:
		err = fmt.Errorf("no message begins with %q", line)
	}
	for i := 0; i < parts && err == nil; i++ {
		to, err = readMessage(r, to)
	}
	return to, err
}

func readBulk(r *bufio.Reader, to, line []byte) ([]byte, error) {
	n, err := size(line)
	if err != nil || n < 0 {
		return to, err
	}
	begin := len(to)
	to = append(to, make([]byte, n+len("\r\n"))...)
	_, err = io.ReadFull(r, to[begin:])
	return to, err
}

// size reads the number after a message's first byte; that of what is missing is negative.
func size(line []byte) (int, error) { return strconv.Atoi(string(bytes.TrimSpace(line[1:]))) }

// readBatch reads the requests that have come so far, at least one, and the names of their commands.
func readBatch(r *bufio.Reader) (batch []byte, names []string, err error) {
	for first := true; first || r.Buffered() > 0; first = false {
		begin := len(batch)
		if batch, err = readMessage(r, batch); err != nil {
			return nil, nil, err
		}
		names = append(names, firstWord(batch[begin:]))
	}
	return batch, names, nil
}

// firstWord gives the first element of an array of strings, in upper case.
func firstWord(message []byte) string {
	lines := bytes.SplitN(message, []byte("\r\n"), 4)
	if len(lines) < 3 {
		return ""
	}
	return strings.ToUpper(string(lines[2]))
}

// subscribes reports whether a command has no reply of its own: what it brings is pushed.
func subscribes(name string) bool { return strings.HasSuffix(name, "SUBSCRIBE") }

// pushed reports whether a message came without having been asked for; the older protocol has no sign for these.
func pushed(message []byte, subscribed bool) bool {
	if message[0] == '>' {
		return true
	}
	if !subscribed || message[0] != '*' {
		return false
	}
	word := firstWord(message)
	return subscribes(word) || strings.HasSuffix(word, "MESSAGE")
}
