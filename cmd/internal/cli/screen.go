package cli

import (
	"io"
	"os"
	"strings"

	usherv1 "usher.internal/gen/usher/v1"
)

// What a terminal is told: the alternate screen keeps what stood there before.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// screen is the display that redraws in place.
type screen struct {
	std  IO
	view topView
	size chan os.Signal
	stop func()
}

func newScreen(std IO, v topView) *screen {
	s := &screen{std: std, view: v, size: make(chan os.Signal, 1)}
	s.stop = notifyResize(s.size)
	s.view.status = "connecting"
	fprint(std.Out, enterScreen)
	_ = s.redraw()
	return s
}

// close gives the terminal back as it was.
func (s *screen) close() {
	s.stop()
	fprint(s.std.Out, leaveScreen)
}

func (s *screen) snapshot(m *usherv1.MetricsSnapshot, skipped uint64) error {
	s.view.prev, s.view.cur, s.view.skipped, s.view.status = s.view.cur, m, skipped, ""
	return s.redraw()
}

func (s *screen) lost(why string) error {
	s.view.status = "reconnecting: " + why
	return s.redraw()
}

func (s *screen) resized() <-chan os.Signal { return s.size }

func (s *screen) redraw() error {
	var terminal bool
	s.view.width, s.view.height, terminal = s.std.size()
	s.view.color = s.std.colored(terminal)
	frame := strings.TrimSuffix(renderTop(s.view), "\n")
	frame = strings.ReplaceAll(frame, "\n", clearLine+"\r\n")
	_, err := io.WriteString(s.std.Out, home+frame+clearLine+clearBelow)
	return err
}

func fprint(w io.Writer, s string) { _, _ = io.WriteString(w, s) }
