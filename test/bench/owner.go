package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// The owner process answers each line on its standard input by one of JSON on
// its standard output, and one more when it begins to serve:
//
//	                  {"address": "127.0.0.1:1234"}
//	usage             {"usage": {...}}
//	profile FILE      {}
//	profile           {}                    the profile is complete
//
// {"error": "..."} is the answer to what can't be done. The end of its input
// ends the process, so it never outlives the asker.
type answer struct {
	Address string `json:"address,omitempty"`
	Usage   *usage `json:"usage,omitempty"`
	Error   string `json:"error,omitempty"`
}

const (
	ownerCommand = "owner"
	answerTime   = 10 * time.Second
	stopTime     = 5 * time.Second
)

func isOwner(args []string) bool { return len(args) > 0 && args[0] == ownerCommand }

// ownerMain is the owner process.
func ownerMain(args []string) error {
	if len(args) != 1 {
		return errors.New("the owner process is started by bench itself")
	}
	e, err := findSystem(args[0])
	if err != nil {
		return err
	}
	return own(e, os.Stdin, os.Stdout)
}

// own serves a system until in ends.
func own(s system, in io.Reader, out io.Writer) error {
	address, stop, err := s.serve()
	if err != nil {
		return err
	}
	defer stop()
	answers := json.NewEncoder(out)
	if err := answers.Encode(answer{Address: address}); err != nil {
		return err
	}
	var p profile
	defer p.end()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if err := answers.Encode(reply(s, lines.Text(), &p)); err != nil {
			return err
		}
	}
	return lines.Err()
}

// server is a system whose server is a process beside the owner's.
type server interface{ cpu() (time.Duration, error) }

func reply(s system, line string, p *profile) answer {
	command, file, _ := strings.Cut(line, " ")
	var err error
	switch {
	case command == "usage":
		u, err := readUsage()
		if beside, ok := serverOf(s); ok && err == nil {
			var more time.Duration
			more, err = beside.cpu()
			u.CPU += more
		}
		if err != nil {
			return answer{Error: err.Error()}
		}
		return answer{Usage: &u}
	case command == "profile" && file != "":
		err = p.begin(file)
	case command == "profile":
		err = p.end()
	default:
		err = fmt.Errorf("unknown command %q", command)
	}
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{}
}

// serverOf looks behind the system's name, too.
func serverOf(s system) (server, bool) {
	if e, ok := s.(entry); ok {
		s = e.system
	}
	beside, ok := s.(server)
	return beside, ok
}

// owner is the owner process as the asker sees it.
type owner struct {
	name    string
	address string
	command *exec.Cmd
	in      io.WriteCloser
	answers chan answer
	gone    chan struct{} // closed when the process has ended
}

// startOwner starts the owner process of a system. When the process ends, for
// whatever reason, gone is called with it.
func startOwner(ctx context.Context, name string, gone context.CancelCauseFunc) (*owner, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	o := &owner{name: name, answers: make(chan answer), gone: make(chan struct{})}
	o.command = exec.CommandContext(ctx, program, ownerCommand, name)
	o.command.Stderr = os.Stderr
	if o.in, err = o.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := o.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := o.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		o.read(ctx, out)
		gone(o.obituary(o.command.Wait()))
		close(o.gone)
	}()
	first, err := o.await(ctx)
	if err != nil {
		o.stop()
		return nil, err
	}
	o.address = first.Address
	return o, nil
}

func (o *owner) obituary(err error) error {
	if err == nil {
		err = errors.New("by itself")
	}
	return fmt.Errorf("the owner process of %s ended: %w", o.name, err)
}

// read passes the answers on until there are no more.
func (o *owner) read(ctx context.Context, out io.Reader) {
	for d := json.NewDecoder(out); ; {
		var a answer
		if d.Decode(&a) != nil {
			return
		}
		select {
		case o.answers <- a:
		case <-ctx.Done():
			return
		}
	}
}

// call has the owner process carry out a command.
func (o *owner) call(ctx context.Context, command string) (answer, error) {
	// A process that can't be written to has ended, which await reports.
	_, _ = io.WriteString(o.in, command+"\n")
	return o.await(ctx)
}

func (o *owner) await(ctx context.Context) (answer, error) {
	late := time.NewTimer(answerTime)
	defer late.Stop()
	select {
	case a := <-o.answers:
		if a.Error != "" {
			return a, fmt.Errorf("owner process of %s: %s", o.name, a.Error)
		}
		return a, nil
	case <-ctx.Done():
		return answer{}, context.Cause(ctx)
	case <-late.C:
		return answer{}, fmt.Errorf("the owner process of %s has not answered for %v", o.name, answerTime)
	}
}

// stop ends the process, by force if it doesn't end by itself, and waits for it.
func (o *owner) stop() {
	_ = o.in.Close()
	late := time.AfterFunc(stopTime, func() { _ = o.command.Process.Kill() })
	defer late.Stop()
	<-o.gone
}
