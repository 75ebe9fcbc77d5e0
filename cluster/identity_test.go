package cluster

import (
	"crypto/tls"
	"errors"
	"net"
	"testing"
)

// shake has a client and a server shake hands, and returns what each thinks of it.
func shake(t *testing.T, client, server *tls.Config) (asked, answered error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	done := make(chan error, 1)
	go func() {
		s := tls.Server(b, server)
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte("x"))
		}
		b.Close()
		done <- err
	}()
	c := tls.Client(a, client)
	if asked = c.Handshake(); asked == nil {
		_, asked = c.Read(make([]byte, 1)) // TLS 1.3 tells a client of its refusal only here
	}
	a.Close()
	return asked, <-done
}

func mustIdentity(t *testing.T, secret string, others ...[]byte) *identity {
	t.Helper()
	id, err := newIdentity([]byte(secret), others...)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestWhoMayAskAndAnswer(t *testing.T) {
	a, b, c := mustIdentity(t, "ours"), mustIdentity(t, "ours"), mustIdentity(t, "ours")
	stranger := mustIdentity(t, "theirs")
	tolerant := mustIdentity(t, "ours", []byte("theirs"))
	client := func(id *identity, print string) *tls.Config {
		c, err := id.client(print)()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, tt := range []struct {
		name            string
		client, server  *tls.Config
		asked, answered error // nil for any, if the other isn't
	}{
		{"two boots", client(a, b.print), b.server(), nil, nil},
		{"a boot that answers for another", client(a, b.print), c.server(), errImpostor, nil},
		{"a stranger who answers", client(a, b.print), stranger.server(), errImpostor, nil},
		{"a member without a certificate", client(a, ""), b.server(), errImpostor, nil},
		{"a stranger who asks", client(stranger, b.print), b.server(), nil, errStranger},
		{"one of the next secret", client(stranger, tolerant.print), tolerant.server(), nil, nil},
		{"who takes another secret may still have none of it", client(tolerant, stranger.print), stranger.server(), nil, errStranger},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked, answered := shake(t, tt.client, tt.server)
			if !errors.Is(asked, tt.asked) && tt.asked != nil || !errors.Is(answered, tt.answered) && tt.answered != nil {
				t.Errorf("the client says %v, the server %v; want %v, %v", asked, answered, tt.asked, tt.answered)
			}
			if refused := tt.asked != nil || tt.answered != nil; refused != (asked != nil) {
				t.Errorf("the client says %v", asked)
			}
		})
	}
}
