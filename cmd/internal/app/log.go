package app

import (
	"context"
	"io"
	"log/slog"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"usher.internal/cmd/internal/config"
)

// Of lines with one message, this many a second are written, and of the rest one in as many.
const (
	sampleFirst = 100
	sampleRest  = 100
)

// newLogger writes to w. The level can be changed while it is used.
func newLogger(w io.Writer, terminal bool, opts config.Log) (*zap.Logger, zap.AtomicLevel) {
	level := zap.NewAtomicLevelAt(zapLevel(opts.Severity()))
	shape := zap.NewProductionEncoderConfig()
	shape.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	shape.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(shape)
	if opts.Format == "console" || opts.Format != "json" && terminal {
		shape.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		shape.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(shape)
	}
	out := zapcore.Lock(zapcore.AddSync(w))
	sampled := zapcore.NewSamplerWithOptions(zapcore.NewCore(encoder, out, level), time.Second, sampleFirst, sampleRest)
	return zap.New(sampled, zap.ErrorOutput(out)), level
}

func zapLevel(l slog.Level) zapcore.Level {
	switch {
	case l >= slog.LevelError:
		return zapcore.ErrorLevel
	case l >= slog.LevelWarn:
		return zapcore.WarnLevel
	case l >= slog.LevelInfo:
		return zapcore.InfoLevel
	default:
		return zapcore.DebugLevel
	}
}

// slogHandler lets core, which knows slog only, write into the same log. Groups become prefixes.
type slogHandler struct {
	core   zapcore.Core
	prefix string
}

func (h slogHandler) Enabled(_ context.Context, l slog.Level) bool {
	return h.core.Enabled(zapLevel(l))
}

func (h slogHandler) Handle(_ context.Context, r slog.Record) error {
	entry := zapcore.Entry{Level: zapLevel(r.Level), Time: r.Time, Message: r.Message}
	checked := h.core.Check(entry, nil)
	if checked == nil {
		return nil
	}
	fields := make([]zapcore.Field, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		fields = appendAttr(fields, h.prefix, a)
		return true
	})
	checked.Write(fields...)
	return nil
}

func (h slogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var fields []zapcore.Field
	for _, a := range attrs {
		fields = appendAttr(fields, h.prefix, a)
	}
	return slogHandler{core: h.core.With(fields), prefix: h.prefix}
}

func (h slogHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return slogHandler{core: h.core, prefix: h.prefix + name + "."}
}

func appendAttr(fields []zapcore.Field, prefix string, a slog.Attr) []zapcore.Field {
	value := a.Value.Resolve()
	if value.Kind() != slog.KindGroup {
		if a.Key == "" {
			return fields
		}
		return append(fields, zap.Any(prefix+a.Key, value.Any()))
	}
	if a.Key != "" {
		prefix += a.Key + "."
	}
	for _, inner := range value.Group() {
		fields = appendAttr(fields, prefix, inner)
	}
	return fields
}
