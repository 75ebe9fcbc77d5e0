package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// A proxy must close its idle connections before the server does, or a request
// may meet one that is just being closed. So the balancer's idleTime is below
// every time after which a replica gives up a silent connection.
const (
	idleTime       = 5 * time.Second // of the balancer's connections to replicas
	headerTime     = 10 * time.Second
	requestTime    = 30 * time.Second
	keepAliveTime  = 2 * time.Minute
	maxHeaderBytes = 64 << 10
	drainTime      = maxHold + time.Second // net/http closes new, silent connections after 5 s
)

// server is an HTTP server on a listener of its own.
type server struct {
	listener net.Listener
	http     *http.Server
	ended    chan struct{}
}

// serve begins to serve, and never panics: net/http recovers handlers.
func serve(l net.Listener, h http.Handler, log *slog.Logger) *server {
	s := &server{
		listener: l,
		http: &http.Server{
			Handler:                      h,
			ReadHeaderTimeout:            headerTime,
			ReadTimeout:                  requestTime,
			WriteTimeout:                 requestTime,
			IdleTimeout:                  keepAliveTime,
			MaxHeaderBytes:               maxHeaderBytes,
			DisableGeneralOptionsHandler: true, // it would answer without X-Served-By
			ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelInfo),
		},
		ended: make(chan struct{}),
	}
	go func() {
		defer close(s.ended)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("no longer serving", "address", l.Addr(), "error", err)
		}
	}()
	return s
}

// close lets the requests under way finish.
func (s *server) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("cut off requests that were still under way at %s: %w", s.address(), err)
		_ = s.http.Close()
	}
	<-s.ended
	return err
}

// address is where this host reaches the server.
func (s *server) address() string { return reachable(s.listener) }

// reachable is a listener's address, with a host that can be dialled.
func reachable(l net.Listener) string {
	a := l.Addr().(*net.TCPAddr).AddrPort()
	if a.Addr().IsUnspecified() {
		_, port, _ := net.SplitHostPort(l.Addr().String())
		return net.JoinHostPort("127.0.0.1", port)
	}
	return a.String()
}

// poll calls done every few milliseconds until it says yes.
func poll(ctx context.Context, done func() bool) error {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
	return nil
}
