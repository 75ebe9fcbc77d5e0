package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"google.golang.org/grpc/grpclog"
)

// GRPCLogger returns a logger for gRPC that writes to l, for main to give to gRPC before
// it starts anything:
//
//	grpclog.SetLoggerV2(cluster.GRPCLogger(slog.Default()))
//
// A node doesn't do that by itself: gRPC has one logger for the whole process, and it
// isn't a library's to change. Without it gRPC writes its errors to standard error, and
// what matters about the peers is in Config.Log all the same.
//
// What gRPC calls an error is a warning here, as a connection that breaks is nothing to
// wake somebody for; its warnings are information, and its information is for debugging.
// As with Config.Log, each level passes 10 messages at once and then one a second. No key
// and no secret is in them: gRPC doesn't log what it carries. It is safe for concurrent
// use.
func GRPCLogger(l *slog.Logger) grpclog.LoggerV2 { return grpcLog{throttled(l)} }

type grpcLog struct{ log *slog.Logger }

func (g grpcLog) say(level slog.Level, text string) {
	g.log.Log(context.Background(), level, "grpc: "+strings.TrimSpace(text))
}

func (g grpcLog) Info(args ...any)   { g.say(slog.LevelDebug, fmt.Sprint(args...)) }
func (g grpcLog) Infoln(args ...any) { g.say(slog.LevelDebug, fmt.Sprintln(args...)) }
func (g grpcLog) Infof(format string, args ...any) {
	g.say(slog.LevelDebug, fmt.Sprintf(format, args...))
}
func (g grpcLog) Warning(args ...any)   { g.say(slog.LevelInfo, fmt.Sprint(args...)) }
func (g grpcLog) Warningln(args ...any) { g.say(slog.LevelInfo, fmt.Sprintln(args...)) }
func (g grpcLog) Warningf(format string, args ...any) {
	g.say(slog.LevelInfo, fmt.Sprintf(format, args...))
}
func (g grpcLog) Error(args ...any)   { g.say(slog.LevelWarn, fmt.Sprint(args...)) }
func (g grpcLog) Errorln(args ...any) { g.say(slog.LevelWarn, fmt.Sprintln(args...)) }
func (g grpcLog) Errorf(format string, args ...any) {
	g.say(slog.LevelWarn, fmt.Sprintf(format, args...))
}

// gRPC expects its fatal messages to end the process.

func (g grpcLog) Fatal(args ...any)   { g.die(fmt.Sprint(args...)) }
func (g grpcLog) Fatalln(args ...any) { g.die(fmt.Sprintln(args...)) }
func (g grpcLog) Fatalf(format string, args ...any) {
	g.die(fmt.Sprintf(format, args...))
}

func (g grpcLog) die(text string) {
	g.say(slog.LevelError, text)
	os.Exit(1)
}

// V reports whether what is only for gRPC's developers is wanted.
func (g grpcLog) V(level int) bool {
	return level <= 0 && g.log.Enabled(context.Background(), slog.LevelDebug)
}
