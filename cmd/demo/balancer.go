package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
)

// balancerName is the balancer's X-Served-By, on what no replica has answered.
const balancerName = "balancer"

// pagePath is where the dashboard is.
const pagePath = "/_shoal/"

// maxBody is the longest body that the balancer passes on. A replica that reads
// none of it still takes in this much, so that its answer is always read.
const maxBody = 128 << 10

// balancer is a reverse proxy that goes round robin over the replicas.
type balancer struct {
	server    *server
	upstreams *upstreams
}

// newBalancer serves on l. It is ready when settled says so. pass is what the replicas
// know it by; nil means by its address. page is what it has of its own below pagePath;
// nil is nothing.
func newBalancer(l net.Listener, replicas *upstreams, pass *pass, settled func() bool, page http.Handler, log *slog.Logger) *balancer {
	b := &balancer{upstreams: replicas}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "http"
			r.Out.URL.Host = "replica"             // upstreams puts an address here
			r.Out.URL.RawQuery = r.In.URL.RawQuery // to be judged by the replica alone
			r.SetXForwarded()                      // the inbound ones have been removed
			if pass != nil {
				pass.stamp(r.Out.Header)
			}
		},
		Transport:    b.upstreams,
		ErrorHandler: failed(log),
		ErrorLog:     slog.NewLogLogger(log.Handler(), slog.LevelInfo),
	}
	health, ready := healthz(), readyz(settled)
	b.server = serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == "/healthz":
			servedBy(balancerName, health).ServeHTTP(w, r)
		case path == "/readyz":
			servedBy(balancerName, ready).ServeHTTP(w, r)
		case page != nil && strings.HasPrefix(path+"/", pagePath):
			servedBy(balancerName, page).ServeHTTP(w, r)
		default:
			if r.Body != http.NoBody {
				r.Body = body{http.MaxBytesReader(w, r.Body, maxBody)}
			}
			proxy.ServeHTTP(w, r)
		}
	}), log)
	return b
}

// failed answers what no replica could.
func failed(log *slog.Logger) func(http.ResponseWriter, *http.Request, error) {
	return func(w http.ResponseWriter, r *http.Request, err error) {
		w.Header().Set(servedByHeader, balancerName)
		var long *http.MaxBytesError
		var unread bodyError
		switch {
		case errors.As(err, &long):
			w.Header().Set("Connection", "close")
			refuse(w, http.StatusRequestEntityTooLarge, "the body is too long")
		case r.Context().Err() != nil: // the client has gone
			w.WriteHeader(http.StatusBadGateway)
		case errors.As(err, &unread):
			w.Header().Set("Connection", "close")
			refuse(w, http.StatusBadRequest, "the body can't be read")
		case errors.Is(err, errNoReplica):
			w.Header().Set("Retry-After", "1")
			refuse(w, http.StatusServiceUnavailable, "no replica is ready")
		case late(err) && !undialled(err):
			log.Warn("a replica did not answer in time", "path", r.URL.Path, "error", err)
			refuse(w, http.StatusGatewayTimeout, "the replica did not answer in time")
		default:
			log.Warn("no replica answered", "path", r.URL.Path, "error", err)
			refuse(w, http.StatusBadGateway, "no replica could be reached")
		}
	}
}

// body is a client's: what goes wrong with it is not the replica's fault.
type body struct{ io.ReadCloser }

type bodyError struct{ error }

func (e bodyError) Unwrap() error { return e.error }

func (b body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = bodyError{err}
	}
	return n, err
}

// close answers the requests under way.
func (b *balancer) close(ctx context.Context) error {
	err := b.server.close(ctx)
	b.upstreams.close()
	return err
}
