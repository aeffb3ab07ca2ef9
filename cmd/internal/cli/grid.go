package cli

import (
	"strings"
	"unicode/utf8"
)

// grid is a table of text in aligned columns.
type grid struct {
	heads []string
	// right names the columns, by their heads, that are aligned to the right.
	right map[string]bool
	rows  [][]string
}

func newGrid(heads []string, right ...string) *grid {
	g := &grid{heads: heads, right: make(map[string]bool, len(right))}
	for _, r := range right {
		g.right[r] = true
	}
	return g
}

func (g *grid) row(cells ...string) { g.rows = append(g.rows, cells) }

func (g *grid) String() string {
	widths := make([]int, len(g.heads))
	for _, row := range append([][]string{g.heads}, g.rows...) {
		for i, c := range row {
			widths[i] = max(widths[i], columns(c))
		}
	}
	var b strings.Builder
	for _, row := range append([][]string{g.heads}, g.rows...) {
		var line strings.Builder
		for i, c := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			line.WriteString(padded(c, widths[i], g.right[g.heads[i]]))
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
	return b.String()
}

// columns is the width of text on a terminal; every rune counts as one.
func columns(s string) int { return utf8.RuneCountInString(s) }

func padded(s string, width int, right bool) string {
	fill := strings.Repeat(" ", max(width-columns(s), 0))
	if right {
		return fill + s
	}
	return s + fill
}

// clipped is s in at most width columns.
func clipped(s string, width int) string {
	if columns(s) <= width {
		return s
	}
	if width <= 0 {
		return ""
	}
	return string([]rune(s)[:width-1]) + "…"
}

// fields are named lines, the names in one column and long texts wrapped.
type fields struct {
	b     strings.Builder
	width int
}

const nameWidth = 11

func (f *fields) add(name, text string) {
	if text == "" {
		return
	}
	for i, line := range wrapped(text, max(f.width-nameWidth, 40)) {
		if i > 0 {
			name = ""
		}
		f.b.WriteString(padded(name, nameWidth, false))
		f.b.WriteString(line)
		f.b.WriteByte('\n')
	}
}

// raw adds a line that is not wrapped: something to copy.
func (f *fields) raw(name, text string) {
	if text != "" {
		f.b.WriteString(padded(name, nameWidth, false) + text + "\n")
	}
}

func wrapped(text string, width int) []string {
	var lines []string
	line := ""
	for _, w := range strings.Fields(text) {
		switch {
		case line == "":
			line = w
		case columns(line)+1+columns(w) <= width:
			line += " " + w
		default:
			lines = append(lines, line)
			line = w
		}
	}
	return append(lines, line)
}
