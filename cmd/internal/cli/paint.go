package cli

import "strings"

type style string

const (
	plain  style = ""
	bold   style = "\x1b[1m"
	grey   style = "\x1b[90m"
	red    style = "\x1b[31m"
	green  style = "\x1b[32m"
	yellow style = "\x1b[33m"
	reset        = "\x1b[0m"
)

// paint says whether there are colors.
type paint bool

func (p paint) wrap(s style, text string) string {
	if !bool(p) || s == plain || text == "" {
		return text
	}
	return string(s) + text + reset
}

// span is text in one style.
type span struct {
	text  string
	style style
}

const separator = " · "

// line sets spans side by side in at most width columns.
func (p paint) line(spans []span, width int) string {
	var b strings.Builder
	left := width
	for i, s := range spans {
		if i > 0 {
			sep := clipped(separator, left)
			b.WriteString(p.wrap(grey, sep))
			left -= columns(sep)
		}
		text := clipped(s.text, left)
		b.WriteString(p.wrap(s.style, text))
		left -= columns(text)
	}
	return b.String()
}

// packed breaks spans into lines of at most width columns.
func packed(spans []span, width int) [][]span {
	var lines [][]span
	used := 0
	for _, s := range spans {
		n := columns(s.text)
		if len(lines) == 0 || used+columns(separator)+n > width {
			lines = append(lines, nil)
			used = -columns(separator)
		}
		lines[len(lines)-1] = append(lines[len(lines)-1], s)
		used += columns(separator) + n
	}
	return lines
}
