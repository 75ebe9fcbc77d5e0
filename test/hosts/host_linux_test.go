package hosts

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// host is one machine of a lab.
type host struct {
	lab          *lab
	name, ns, ip string
	process      *process // nil while no replica runs
}

// process is a replica that was started.
type process struct {
	name    string // of the host
	cmd     *exec.Cmd
	in      io.WriteCloser
	replies chan reply // closed when it writes no more
	journal string
	log     *os.File
	ended   int64 // on the clock, or MaxInt64
}

// start starts a replica on the host, where none runs.
func (h *host) start() {
	l := h.lab
	l.Helper()
	p := &process{name: h.name, journal: filepath.Join(l.dir, fmt.Sprint("journal-", len(l.past))), ended: math.MaxInt64}
	o := order{Name: h.name, Bind: h.ip + port, Journal: p.journal, Secret: l.secret, Classes: l.classes}
	for _, seed := range l.hosts[:min(3, len(l.hosts))] {
		o.Seeds = append(o.Seeds, seed.ip+port)
	}
	text, err := json.Marshal(o)
	if err != nil {
		l.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		l.Fatal(err)
	}
	// ip becomes the program, so the process is the replica's own.
	p.cmd = exec.Command("ip", "netns", "exec", h.ns, program)
	p.cmd.Env = append(os.Environ(), orderVariable+"="+string(text))
	if p.log, err = os.Create(p.journal + ".log"); err != nil {
		l.Fatal(err)
	}
	p.cmd.Stderr = p.log
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		l.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		l.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		l.Fatal(err)
	}
	p.replies = make(chan reply)
	go p.read(out)
	h.process = p
	l.note(fmt.Sprintf("%s starts as process %d", h.name, len(l.past)))
	l.past = append(l.past, p)
}

// read passes replies on until the process ends, whether or not anybody waits.
func (p *process) read(out io.Reader) {
	defer close(p.replies)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var a reply
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			a.Error = fmt.Sprintf("%v: %q", err, lines.Bytes())
		}
		p.replies <- a
	}
}

// end kills the process, if it still runs, and waits for it.
func (p *process) end() {
	if p.ended != math.MaxInt64 {
		return
	}
	_ = p.cmd.Process.Kill()
	for range p.replies { // until it is gone
	}
	_ = p.in.Close()
	_ = p.cmd.Wait() // says that it was killed
	_ = p.log.Close()
	p.ended = clock()
}

// answerTime bounds how long a command may take.
const answerTime = 20 * time.Second

// tell sends a command without waiting for its reply.
func (h *host) tell(c command) {
	h.lab.Helper()
	if err := json.NewEncoder(h.process.in).Encode(c); err != nil {
		h.lab.Fatalf("%s: %v\n%s", h.name, err, h.process.said())
	}
}

// hear waits for the reply to a command.
func (h *host) hear(c command) reply {
	h.lab.Helper()
	select {
	case a, ok := <-h.process.replies:
		if !ok {
			h.lab.Fatalf("%s has ended\n%s", h.name, h.process.said())
		}
		if a.Error != "" {
			h.lab.Errorf("%s, told to %s: %s", h.name, c.Do, a.Error)
		}
		return a
	case <-time.After(answerTime):
		h.lab.Fatalf("%s has not obeyed for %v: %s\n%s", h.name, answerTime, c.Do, h.process.said())
		return reply{}
	}
}

func (h *host) ask(c command) reply {
	h.lab.Helper()
	h.tell(c)
	return h.hear(c)
}

// all tells the hosts something at once, each its own, and returns all replies.
func (l *lab) all(hs []*host, c func(i int) command) []reply {
	l.Helper()
	replies := make([]reply, len(hs))
	for i, h := range hs {
		h.tell(c(i))
	}
	for i, h := range hs {
		replies[i] = h.hear(c(i))
	}
	return replies
}

// said is the end of what the process has logged.
func (p *process) said() []byte {
	text, _ := os.ReadFile(p.log.Name())
	lines := bytes.SplitAfter(text, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-30):], nil)
}

// kill is kill -9. It returns when it began.
func (h *host) kill() int64 {
	now := h.lab.note(h.name + " is killed")
	h.process.end()
	h.process = nil
	return now
}

// close has the replica leave, and ends it.
func (h *host) close() {
	h.lab.Helper()
	h.lab.note(h.name + " closes")
	h.ask(command{Do: "close"})
	h.kill()
}

// freeze stops the process, as kill -STOP; thaw lets it go on.
func (h *host) freeze() int64 { return h.signal(syscall.SIGSTOP) }
func (h *host) thaw() int64   { return h.signal(syscall.SIGCONT) }

func (h *host) signal(s syscall.Signal) int64 {
	h.lab.Helper()
	now := h.lab.note(fmt.Sprintf("%s: %v", h.name, s))
	if err := h.process.cmd.Process.Signal(s); err != nil {
		h.lab.Fatal(err)
	}
	return now
}
