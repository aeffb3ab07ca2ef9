//go:build !unix

package app

import "context"

func lockDir(context.Context, string) (unlock func(), err error) { return func() {}, nil }

func lockFile(context.Context, string) (unlock func(), err error) { return func() {}, nil }
