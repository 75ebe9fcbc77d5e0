package main

import "testing"

// Clients are told apart behind the balancer, and nobody can pass for another.
func testForgedAddresses(t *testing.T, d *demo) {
	alice := newClient(t, "127.0.0.2")
	bob := newClient(t, "127.0.0.3")
	path := "/resource/test"
	replica := "http://" + d.replicas[0].server.address() + path

	want(t, alice.get(d.balancer.url()+path), 200)
	want(t, bob.get(d.balancer.url()+path), 200)
	for _, forged := range [][]string{
		{"X-Forwarded-For: 192.0.2.1"},
		{"X-Forwarded-For: 192.0.2.2", "X-Forwarded-For: 192.0.2.3"},
		{"X-Forwarded-For: 192.0.2.4", "Connection: X-Forwarded-For"},
		{"X-Forwarded-For: 192.0.2.5", "X-Demo-Pass: guess"},
		{"X-Forwarded-For: 192.0.2.6", "X-Demo-Pass: guess", "Connection: X-Demo-Pass"},
		{"X-Forwarded-For: 192.0.2.7", "X-Demo-Pass: "},
		{"Forwarded: for=192.0.2.8", "X-Real-IP: 192.0.2.8"},
	} {
		for _, url := range []string{d.balancer.url() + path, replica} {
			if a := alice.get(url, forged...); a.status != 429 {
				t.Errorf("%d at %s with %q", a.status, url, forged)
			}
		}
	}
	// None of it has cost the forged addresses anything: each has its own.
	carol := newClient(t, "127.0.0.4")
	want(t, carol.get(replica, "X-Forwarded-For: 127.0.0.5"), 200)
	dave := newClient(t, "127.0.0.5")
	want(t, dave.get(d.balancer.url()+path), 200)
}
