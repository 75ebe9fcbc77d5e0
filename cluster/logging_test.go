package cluster

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestGossipLogsAtItsLevels(t *testing.T) {
	for line, want := range map[string]string{
		"[DEBUG] memberlist: Stream connection from=10.0.0.1\n": `level=DEBUG msg="gossip: Stream connection from=10.0.0.1"` + "\n",
		"[INFO] memberlist: Suspect a has failed":               `level=INFO msg="gossip: Suspect a has failed"` + "\n",
		"[WARN] memberlist: Refuting a dead message":            `level=WARN msg="gossip: Refuting a dead message"` + "\n",
		"[ERR] memberlist: Failed to send gossip":               `level=WARN msg="gossip: Failed to send gossip"` + "\n",
		"[ERROR] Failed to shutdown":                            `level=WARN msg="gossip: Failed to shutdown"` + "\n",
		"a line of no level":                                    `level=INFO msg="gossip: a line of no level"` + "\n",
		"\n":                                                    `level=INFO msg="gossip: "` + "\n",
	} {
		var got bytes.Buffer
		log := slog.New(slog.NewTextHandler(&got, &slog.HandlerOptions{
			Level: slog.LevelDebug,
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			},
		}))
		gossipLogger(log).Print(line)
		if got.String() != want {
			t.Errorf("%q was logged as %q, want %q", line, got.String(), want)
		}
	}
}

// Of one kind ten pass at once and then one a second, which says how many didn't; other
// kinds and levels have their own.
func TestLogsAreThrottled(t *testing.T) {
	var out bytes.Buffer
	l := throttled(slog.New(slog.NewTextHandler(&out, nil))).With("a", 1).WithGroup("g")
	began := time.Now()
	say := func(after time.Duration, level slog.Level, message string) string {
		out.Reset()
		if err := l.Handler().Handle(t.Context(), slog.NewRecord(began.Add(after), level, message, 0)); err != nil {
			t.Error(err)
		}
		return out.String()
	}
	passed := 0
	for i := range 50 {
		if say(0, slog.LevelWarn, fmt.Sprint("gossip: line ", i)) != "" {
			passed++
		}
	}
	if passed != logBurst {
		t.Errorf("%d passed at once", passed)
	}
	if say(0, slog.LevelInfo, "gossip: a line") == "" || say(0, slog.LevelWarn, "view changed") == "" {
		t.Error("another kind was held back")
	}
	if got := say(999*time.Millisecond, slog.LevelWarn, "gossip: a line"); got != "" {
		t.Errorf("too early: %s", got)
	}
	if got := say(time.Second, slog.LevelWarn, "gossip: the next"); !strings.Contains(got, "a=1") || !strings.Contains(got, "suppressed=41") {
		t.Errorf("a second later: %q", got)
	}
	if got := say(time.Minute, slog.LevelWarn, "gossip: later"); got == "" || strings.Contains(got, "suppressed") {
		t.Errorf("a minute later: %q", got)
	}
	kinds := &logKinds{kinds: map[logKind]*logged{}}
	for i := range 10 * maxLogKinds {
		kinds.take(logKind{text: fmt.Sprint(i)}, began)
	}
	if len(kinds.kinds) > maxLogKinds {
		t.Errorf("%d kinds are remembered", len(kinds.kinds))
	}
}

func TestGRPCLogsAtItsLevels(t *testing.T) {
	var out bytes.Buffer
	l := GRPCLogger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	for want, say := range map[string]func(){
		`level=DEBUG msg="grpc: a b"`: func() { l.Infof("a %s", "b") },
		`level=DEBUG msg="grpc: a"`:   func() { l.Info("a") },
		`level=DEBUG msg="grpc: b c"`: func() { l.Infoln("b", "c") },
		`level=INFO msg="grpc: a b"`:  func() { l.Warningf("a %s", "b") },
		`level=INFO msg="grpc: a"`:    func() { l.Warning("a") },
		`level=INFO msg="grpc: b c"`:  func() { l.Warningln("b", "c") },
		`level=WARN msg="grpc: a b"`:  func() { l.Errorf("a %s", "b") },
		`level=WARN msg="grpc: a"`:    func() { l.Error("a") },
		`level=WARN msg="grpc: b c"`:  func() { l.Errorln("b", "c") },
	} {
		out.Reset()
		say()
		if got := out.String(); !strings.HasSuffix(got, " "+want+"\n") {
			t.Errorf("%q, want %s", got, want)
		}
	}
	if !l.V(0) || l.V(1) {
		t.Error("verbosity")
	}
}
