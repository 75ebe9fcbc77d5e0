package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// external is a server that isn't a Go program: the owner process starts it on a free
// port, with no file of its own left behind, and ends it. What it uses of the
// machine counts as the owner's.
type external struct {
	program string
	args    func(port string) []string
	process *os.Process
}

// redisServer keeps everything in memory, as a rate limiter's Redis does.
func redisServer() *external {
	return &external{program: "redis-server", args: func(port string) []string {
		return []string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"}
	}}
}

func memcachedServer() *external {
	return &external{program: "memcached", args: func(port string) []string {
		return []string{"-p", port, "-U", "0", "-l", "127.0.0.1", "-m", "256", "-c", "4096", "-u", "nobody"}
	}}
}

// missing says why the server can't be started here, or nothing.
func (e *external) missing() string {
	if _, err := exec.LookPath(e.program); err != nil {
		return e.program + " is not installed"
	}
	return ""
}

func (e *external) serve() (address string, stop func(), err error) {
	port, err := freePort()
	if err != nil {
		return "", nil, err
	}
	c := exec.Command(e.program, e.args(port)...)
	c.Dir, c.Stdout, c.Stderr = os.TempDir(), io.Discard, os.Stderr
	input, err := c.StdinPipe() // stays open as long as this process lives
	if err != nil {
		return "", nil, err
	}
	if err := c.Start(); err != nil {
		return "", nil, fmt.Errorf("%w; install it from your system's packages", err)
	}
	e.process = c.Process
	address = net.JoinHostPort("127.0.0.1", port)
	stop = func() {
		_ = input.Close()
		_ = c.Process.Kill()
		_ = c.Wait()
	}
	if err := listening(address); err != nil {
		stop()
		return "", nil, err
	}
	return address, stop, nil
}

// cpu is what the server has used of the machine until now.
func (e *external) cpu() (time.Duration, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(e.process.Pid), "stat"))
	if err != nil {
		return 0, err
	}
	// The name before the last parenthesis may hold anything; utime and stime are the
	// 14th and 15th field (proc_pid_stat(5)).
	_, rest, _ := strings.Cut(string(b[max(0, strings.LastIndexByte(string(b), ')')):]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("can't read the server's CPU time")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// listening waits until the server takes connections.
func listening(address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), answerTime/2)
	defer cancel()
	return retry(ctx, func() error {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
}
