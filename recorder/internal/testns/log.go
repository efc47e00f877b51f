//go:build linux

package testns

import (
	"context"
	"log/slog"
)

// Log gives a log whose sentences go to say, without levels and attributes.
func Log(say func(sentence string)) *slog.Logger { return slog.New(sayer(say)) }

type sayer func(string)

func (s sayer) Enabled(context.Context, slog.Level) bool { return true }

func (s sayer) Handle(_ context.Context, r slog.Record) error {
	s(r.Message)
	return nil
}

func (s sayer) WithAttrs([]slog.Attr) slog.Handler { return s }

func (s sayer) WithGroup(string) slog.Handler { return s }
