package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// resolveEvery is how often names are resolved again.
	resolveEvery = time.Second
	// probeEvery is how often each replica is asked whether it is ready: twice in the
	// half second for which one that ends serves on.
	probeEvery = 250 * time.Millisecond
	// checkTime is how long it may take to answer. One that took longer once may be
	// busy, twice in a row it is given up.
	checkTime = time.Second
	maxMisses = 2
)

// resolver returns the addresses of a host, as net.Resolver.LookupHost does.
type resolver func(ctx context.Context, host string) ([]string, error)

// lookout finds the replicas behind some names and asks each of them again and again
// whether it is ready. A name that can't be resolved keeps its addresses: a name
// server that is away takes nobody down.
type lookout struct {
	names   []string
	resolve resolver
	publish func(ready []string) // called with those that are, sorted, at each change
	client  *http.Client
	log     *slog.Logger

	ctx     context.Context // ends everything that runs
	stop    context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	replicas map[string]*upstream // by address
	now      []string             // those that are ready, sorted
}

// upstream is one address, and what is known of it.
type upstream struct {
	names  map[string]bool // that stand for it
	stop   context.CancelFunc
	misses int // in a row
	ready  bool
}

// newLookout prepares one, and start lets it run until close.
func newLookout(names []string, resolve resolver, publish func([]string), log *slog.Logger) *lookout {
	l := &lookout{
		names:   names,
		resolve: resolve,
		publish: publish,
		log:     log,
		client: &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true}, // whether it can be dialled is part of the question
			Timeout:       checkTime,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		replicas: map[string]*upstream{},
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l
}

func (l *lookout) start() {
	for _, name := range l.names {
		l.running.Go(func() {
			for ok := true; ok; ok = hold(l.ctx, resolveEvery) {
				l.look(name)
			}
		})
	}
}

// close ends it, and waits for that.
func (l *lookout) close() {
	l.stop()
	l.running.Wait()
}

// ready returns the addresses of the replicas that are, sorted.
func (l *lookout) ready() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// look resolves a name, and watches whom it stands for.
func (l *lookout) look(name string) {
	host, port, _ := net.SplitHostPort(name) // parseBalance has looked at it
	ctx, cancel := context.WithTimeout(l.ctx, resolveEvery)
	defer cancel()
	hosts, err := l.resolve(ctx, host)
	if err != nil {
		if l.ctx.Err() == nil {
			l.log.Info("can't be resolved", "name", host, "error", err)
		}
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	found := map[string]bool{}
	for _, h := range hosts {
		address := net.JoinHostPort(h, port)
		found[address] = true
		l.add(name, address)
	}
	for address, u := range l.replicas {
		if found[address] || !u.names[name] {
			continue
		}
		if delete(u.names, name); len(u.names) == 0 {
			u.stop()
			delete(l.replicas, address)
		}
	}
	l.tell()
}

// add has an address that a name stands for watched. The caller holds mu.
func (l *lookout) add(name, address string) {
	u := l.replicas[address]
	if u == nil {
		ctx, stop := context.WithCancel(l.ctx)
		u = &upstream{names: map[string]bool{}, stop: stop}
		l.replicas[address] = u
		l.running.Go(func() { l.watch(ctx, address) })
	}
	u.names[name] = true
}

// watch asks one replica until its context ends.
func (l *lookout) watch(ctx context.Context, address string) {
	for ok := true; ok; ok = hold(ctx, probeEvery) {
		err := l.ask(ctx, address)
		if ready, changed := l.note(ctx, address, err); changed {
			l.log.Info("a replica", "address", address, "ready", ready, "error", err)
		}
	}
}

// note takes down what a replica has answered to the watch that runs under ctx.
func (l *lookout) note(ctx context.Context, address string, answer error) (ready, changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.replicas[address]
	if u == nil || ctx.Err() != nil {
		return false, false
	}
	was := u.ready
	switch {
	case answer == nil:
		u.ready, u.misses = true, 0
	case late(answer):
		u.misses++
		u.ready = u.ready && u.misses < maxMisses
	default:
		u.ready, u.misses = false, maxMisses
	}
	l.tell()
	return u.ready, u.ready != was
}

// ask returns nil if a replica says that it is ready.
func (l *lookout) ask(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := l.client.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody))
	if resp.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("it answers %s", resp.Status))
	}
	return errors.Join(err, resp.Body.Close())
}

// lost takes a replica out at once that can't be reached. It is asked as before, and
// may come back.
func (l *lookout) lost(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if u := l.replicas[address]; u != nil {
		u.ready = false
		l.tell()
	}
}

// tell publishes who is ready, if that has changed. The caller holds mu.
func (l *lookout) tell() {
	var now []string
	for _, address := range slices.Sorted(maps.Keys(l.replicas)) {
		if l.replicas[address].ready {
			now = append(now, address)
		}
	}
	if !slices.Equal(now, l.now) {
		l.now = now
		l.publish(now)
	}
}
